package tls

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func pemOf(typ string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
}

func crlf(p []byte) []byte { return bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")) }

// TestPEMInTheWild loads one node's files in the forms programs write them.
func TestPEMInTheWild(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	rsaNode := issue(t, spec{cn: "localhost", key: rsaKey()})
	other := issue(t, spec{cn: "other"})
	cert, key := node.certPEM(), node.keyPEM()
	ecDER, err := x509.MarshalECPrivateKey(node.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	ecParameters := pemOf("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	bag := []byte("Bag Attributes\n    friendlyName: node 1\n    localKeyID: 54 69 6D\nsubject=CN = localhost\n\nissuer=CN = localhost\n\n")
	x25519, err := x509.MarshalPKCS8PrivateKey(must(ecdhKey()))
	if err != nil {
		t.Fatal(err)
	}

	tests := []struct {
		name string
		cert [][]byte
		key  [][]byte // nil: no tkey
		err  []string
	}{
		{name: "B13 key before certificate", cert: [][]byte{key, cert}},
		{name: "B13 certificate before key", cert: [][]byte{cert, key}},
		{name: "B13 separate files", cert: [][]byte{cert}, key: [][]byte{key}},
		{name: "the key in both files, tkey counts", cert: [][]byte{cert, other.keyPEM()}, key: [][]byte{key}},
		{name: "the first key counts", cert: [][]byte{cert}, key: [][]byte{key, other.keyPEM()}},
		{name: "an RSA PRIVATE KEY", cert: [][]byte{rsaNode.certPEM(), pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey)))}},
		{name: "an EC PRIVATE KEY", cert: [][]byte{cert, pemOf("EC PRIVATE KEY", ecDER)}},
		{name: "EC PARAMETERS before the key", cert: [][]byte{ecParameters, pemOf("EC PRIVATE KEY", ecDER), cert}},
		{name: "CRLF line ends", cert: [][]byte{crlf(key), crlf(cert)}},
		{name: "bag attributes of a PKCS#12 export", cert: [][]byte{bag, cert, bag, key}},
		{name: "text of openssl x509 -text before, a comment behind", cert: [][]byte{[]byte("Certificate:\n    Data:\n        Version: 3 (0x2)\n"), cert, key, []byte("# node 1\n")}},
		{name: "no line break at the end", cert: [][]byte{key, bytes.TrimSpace(cert)}},
		{name: "a CRL and parameters in the same file", cert: [][]byte{pemOf("X509 CRL", []byte{48, 0}), pemOf("DH PARAMETERS", []byte{48, 0}), key, cert}},
		{name: "the old name of a certificate block", cert: [][]byte{key, pemOf("X509 CERTIFICATE", node.cert.Raw)}},
		{name: "a byte order mark before text", cert: [][]byte{[]byte(bom + "# node 1\n"), key, cert}},

		{name: "a byte order mark before the first block", cert: [][]byte{[]byte(bom), key, cert}, err: []string{"tcert ", "byte order mark (BOM)", "hint: remove it: sed"}},
		{name: "a byte order mark between two blocks", cert: [][]byte{key, []byte(bom), cert}, err: []string{"byte order mark"}},
		{name: "UTF-16", cert: [][]byte{[]byte("\xff\xfe-\x00-\x00")}, err: []string{"UTF-16"}},
		{name: "two blocks run together", cert: [][]byte{bytes.TrimSpace(key), cert}, err: []string{"run together on one line", "hint: put a line break"}},
		{name: "B13 an encrypted key, PKCS#8", cert: [][]byte{cert}, key: [][]byte{pemOf("ENCRYPTED PRIVATE KEY", []byte{48, 0})}, err: []string{"tkey ", "the key on line 1 is encrypted", "hint: take the passphrase off: openssl pkey"}},
		{name: "B13 an encrypted key, the old form", cert: [][]byte{cert, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY",
			Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00112233445566778899AABBCCDDEEFF"}, Bytes: make([]byte, 64)})},
			err: []string{"tcert ", "is encrypted"}},
		{name: "B13 a certificate in DER form", cert: [][]byte{node.cert.Raw}, key: [][]byte{key}, err: []string{"tcert ", "is a certificate in DER form", "openssl x509 -inform DER -in /"}},
		{name: "B13 a key in DER form", cert: [][]byte{cert}, key: [][]byte{ecDER}, err: []string{"tkey ", "is a key in DER form"}},
		{name: "PKCS#12", cert: [][]byte{{0x30, 0x82, 1, 2, 3}}, err: []string{"binary form (DER or PKCS#12)"}},
		{name: "B13 another node's key", cert: [][]byte{cert}, key: [][]byte{other.keyPEM()}, err: []string{"tkey ", "does not match certificate /", "hint: compare"}},
		{name: "B14d the intermediate first", cert: [][]byte{other.certPEM(), cert, key}, err: []string{"belongs to certificate 2", "(CN=other)", "hint: put the certificate of this node first"}},
		{name: "B13 no key anywhere", cert: [][]byte{cert}, err: []string{"holds no private key, and tkey is not set"}},
		{name: "a tkey without a key", cert: [][]byte{cert, key}, key: [][]byte{cert}, err: []string{"tkey ", "holds no private key"}},
		{name: "a tcert without a certificate", cert: [][]byte{key}, err: []string{"tcert ", "holds no certificate"}},
		{name: "an empty tcert file", cert: [][]byte{[]byte("\n")}, err: []string{"tcert ", "is empty"}},
		{name: "a tcert with no PEM in it", cert: [][]byte{[]byte("hello\n")}, err: []string{"holds no PEM block"}},
		{name: "a block without its end", cert: [][]byte{key, cert[:len(cert)-30]}, err: []string{"the PEM block on line 6 is damaged"}},
		{name: "a damaged block before a good one", cert: [][]byte{[]byte("# x\n"), bytes.Replace(cert, []byte("MII"), []byte("M*I"), 1), cert, key}, err: []string{"the PEM block on line 2 is damaged"}},
		{name: "an empty private key block", cert: [][]byte{cert, pemOf("PRIVATE KEY", nil)}, err: []string{"the key on line"}},
		{name: "a damaged certificate", cert: [][]byte{pemOf("CERTIFICATE", node.cert.Raw[:100]), key}, err: []string{"the certificate on line 1 cannot be used"}},
		{name: "a key that cannot sign", cert: [][]byte{cert}, key: [][]byte{pemOf("PRIVATE KEY", x25519)}, err: []string{"cannot sign"}},
		{name: "B17 a TRUSTED CERTIFICATE is not read", cert: [][]byte{key, pemOf("TRUSTED CERTIFICATE", node.cert.Raw)}, err: []string{"TRUSTED CERTIFICATE on line"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{CA: bundle(t, node, rsaNode), Cert: file(t, tt.cert...)}
			if tt.key != nil {
				c.Key = file(t, tt.key...)
			}
			_, err := Load(c)
			wantErr(t, "Load", err, tt.err...)
		})
	}
}

func TestTrustedFile(t *testing.T) {
	node, ca := issue(t, spec{cn: "localhost"}), newCA(t, "CA")
	trusted := pemOf("TRUSTED CERTIFICATE", ca.cert.Raw)
	for _, tt := range []struct {
		name    string
		data    [][]byte
		trusts  int
		warning string
		err     string
	}{
		{name: "several certificates, a key and text among them", data: [][]byte{node.certPEM(), []byte("text\n"), node.keyPEM(), ca.certPEM()}, trusts: 2},
		{name: "B17 a TRUSTED CERTIFICATE beside others is left out with a warning", data: [][]byte{trusted, node.certPEM()}, trusts: 1, warning: "TRUSTED CERTIFICATE on line 1 is not read"},
		{name: "a certificate Go cannot read beside others", data: [][]byte{node.certPEM(), pemOf("CERTIFICATE", []byte{48, 0})}, trusts: 1, warning: "cannot be used"},
		{name: "B13k empty", data: [][]byte{nil}, err: "is empty"},
		{name: "B13l junk only", data: [][]byte{[]byte("junk")}, err: "holds no PEM block"},
		{name: "a key only", data: [][]byte{node.keyPEM()}, err: "holds no certificate"},
		{name: "TRUSTED CERTIFICATE only", data: [][]byte{trusted}, err: "is not read"},
		{name: "F19b a byte order mark", data: [][]byte{[]byte(bom), node.certPEM(), ca.certPEM()}, err: "byte order mark"},
	} {
		// B13m: the same with verify=0.
		for _, sockopt := range []string{"", "verify=0"} {
			t.Run(tt.name+" "+sockopt, func(t *testing.T) {
				ch, err := Load(Config{CA: file(t, tt.data...), Cert: node.pem(t), Sockopt: sockopt})
				if tt.err != "" {
					wantErr(t, "Load", err, "tca /", tt.err)
					return
				}
				wantErr(t, "Load", err)
				if n := len(ch.now.material.roots); n != tt.trusts {
					t.Errorf("%d certificates trusted, want %d", n, tt.trusts)
				}
				if all := strings.Join(ch.Warnings(), "\n"); !strings.Contains(all, tt.warning) {
					t.Errorf("warnings %q lack %q", all, tt.warning)
				}
			})
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	good := node.pem(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		c    Config
		err  []string
	}{
		{"no tcert", Config{CA: good}, []string{"tcert: is not set", "hint: set tcert in the [sst] group"}},
		{"a missing tcert", Config{CA: good, Cert: dir + "/no"}, []string{"tcert " + dir + "/no: no such file", "hint: check the path"}},
		{"a missing tkey", Config{CA: good, Cert: good, Key: dir + "/no"}, []string{"tkey " + dir + "/no: no such file"}},
		{"B13j a missing tca", Config{CA: dir + "/no", Cert: good}, []string{"tca " + dir + "/no: no such file"}},
		{"B18d a directory as tca", Config{CA: dir, Cert: good}, []string{"is a directory"}},
		{"a FIFO does not hold it up", Config{CA: good, Cert: fifo}, []string{"is not a regular file"}},
		{"a file without end", Config{CA: good, Cert: large}, []string{"larger than 16 MiB"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Load(tt.c)
			wantErr(t, "Load", err, tt.err...)
		})
	}
}

func TestAFileWithoutPermissionSaysWhoMustReadIt(t *testing.T) {
	if os.Geteuid() == 0 {
		// root may read everything: only the words can be tested.
		err := fileFault("tkey /tls/node.key", &os.PathError{Op: "open", Path: "/tls/node.key", Err: syscall.EACCES})
		wantErr(t, "fileFault", err, "tkey /tls/node.key: permission denied", "the user mariadbd runs as")
		return
	}
	node := issue(t, spec{cn: "localhost"})
	path := node.pem(t)
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Config{Cert: path})
	wantErr(t, "Load", err, "tcert "+path+": permission denied", "the user mariadbd runs as")
}

func FuzzPEM(f *testing.F) {
	node := issue(f, spec{cn: "localhost", key: ecKey(f, elliptic.P256())})
	f.Add(bytes.Join([][]byte{node.keyPEM(), node.certPEM()}, nil))
	f.Add(crlf(node.certPEM()))
	f.Add(append([]byte(bom), node.certPEM()...))
	f.Add(node.cert.Raw)
	f.Add([]byte("-----BEGIN \n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END X-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, _, err := parsePEM(data)
		if err != nil {
			if blocks != nil {
				t.Errorf("blocks beside error %v", err)
			}
			return
		}
		if len(blocks) == 0 {
			t.Fatal("neither a block nor an error")
		}
		lines := bytes.Split(data, []byte("\n"))
		begins := 0
		for _, l := range lines {
			if bytes.HasPrefix(l, []byte("-----BEGIN ")) {
				begins++
			}
		}
		if begins != len(blocks) {
			t.Errorf("%d blocks, and %d lines begin one", len(blocks), begins)
		}
		for _, b := range blocks {
			if l := lines[b.line-1]; !bytes.HasPrefix(l, []byte("-----BEGIN "+b.Type)) {
				t.Errorf("the %s is not on line %d, which is %q", b.Type, b.line, l)
			}
		}
		certificates(blocks)
		firstKey("tkey x", "x", blocks)
	})
}
