package tls

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// version makes what Kubernetes and certbot make of a renewal: a new directory, and
// a symlink to it that is swapped in one step.
func version(t *testing.T, dir, name string, i *ident) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string][]byte{"tls.crt": i.certPEM(), "tls.key": i.keyPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name, file), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	next := filepath.Join(dir, "next")
	if err := os.Symlink(name, next); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
}

// TestARenewalWhileTheJoinerWaits: the joiner listens, its certificate is renewed by
// a swapped symlink, then the donor comes, hours later.
func TestARenewalWhileTheJoinerWaits(t *testing.T) {
	ca := newCA(t, "CA")
	tca, dir := bundle(t, ca), t.TempDir()
	now := time.Now()
	old := issue(t, spec{cn: "localhost", by: ca, until: now.Add(time.Hour)})
	version(t, dir, "v1", old)
	later := func() time.Time { return now.Add(3 * time.Hour) }
	var clock func() time.Time
	clock = time.Now
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: filepath.Join(dir, "..data", "tls.crt"), Key: filepath.Join(dir, "..data", "tls.key"),
		Now: func() time.Time { return clock() }, Warn: func(text string) { t.Error("warned:", text) }})
	ln, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()

	renewed := issue(t, spec{cn: "localhost", by: ca})
	version(t, dir, "v2", renewed)
	clock = later
	donor := load(t, Config{Role: Donor, CA: tca, Cert: issue(t, spec{cn: "donor", by: ca}).pem(t), Host: "localhost", Now: later})
	o := meetOn(t, ln, joiner, donor)
	wantErr(t, "joiner", o.joinerErr)
	wantErr(t, "donor", o.donorErr)
	if o.donor != nil && !o.donor.Peer().Leaf.Equal(renewed.cert) {
		t.Error("the donor saw the old certificate")
	}
}

// TestARenewalHalfWritten: whatever the moment at which the files are read, the last
// good ones serve, a warning comes at once, and the next connection has the new ones.
func TestARenewalHalfWritten(t *testing.T) {
	ca := newCA(t, "CA")
	tca := bundle(t, ca)
	donor := load(t, Config{Role: Donor, CA: tca, Cert: issue(t, spec{cn: "donor", by: ca}).pem(t), Host: "localhost"})
	renewed := issue(t, spec{cn: "localhost", by: ca})
	whole := bytes.Join([][]byte{renewed.keyPEM(), renewed.certPEM()}, nil)
	for name, half := range map[string][]byte{
		"empty":                      nil,
		"in the middle of the key":   whole[:100],
		"the key alone":              renewed.keyPEM(),
		"without its last line":      whole[:len(whole)-30],
		"another key":                append(issue(t, spec{cn: "x"}).keyPEM(), renewed.certPEM()...),
		"gone for a moment (remove)": []byte("removed"),
	} {
		t.Run(name, func(t *testing.T) {
			old := issue(t, spec{cn: "localhost", by: ca})
			path := old.pem(t)
			var told []string
			joiner := load(t, Config{Role: Joiner, CA: tca, Cert: path, Warn: func(text string) { told = append(told, text) }})
			if string(half) == "removed" {
				os.Remove(path)
			} else if err := os.WriteFile(path, half, 0o600); err != nil {
				t.Fatal(err)
			}
			serves := func() []byte { return joiner.current().material.own.Leaf.Raw }
			for range 2 { // a second connection in that moment is no second warning
				if !bytes.Equal(serves(), old.cert.Raw) {
					t.Error("not the last good certificate")
				}
			}
			if len(told) != 1 || !strings.Contains(told[0], "tcert "+path) || !strings.Contains(told[0], "the files as they were before are used") {
				t.Errorf("told %q", told)
			}
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(serves(), renewed.cert.Raw) {
				t.Error("the renewed certificate is not used")
			}
			o := meet(t, joiner, donor)
			wantErr(t, "joiner", o.joinerErr)
			wantErr(t, "donor", o.donorErr)
		})
	}
}

// TestTheDonorReadsItsFilesAgainToo, at each attempt until one has succeeded.
func TestTheDonorReadsItsFilesAgainToo(t *testing.T) {
	ca := newCA(t, "CA")
	tca := bundle(t, ca)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: issue(t, spec{cn: "localhost", by: ca}).pem(t)})
	path := issue(t, spec{cn: "donor", by: ca, until: time.Now().Add(-time.Minute)}).pem(t)
	donor := load(t, Config{Role: Donor, CA: tca, Cert: path, Host: "localhost"})
	wantErr(t, "joiner", meet(t, joiner, donor).joinerErr, "expired on")
	// With TLS 1.3 the donor's own handshake had succeeded: that reading is held, and
	// the certificate that a new process reads is the renewed one.
	renewed := issue(t, spec{cn: "donor", by: ca})
	put(t, path, renewed.keyPEM(), renewed.certPEM())
	donor = load(t, Config{Role: Donor, CA: tca, Cert: path, Host: "localhost"})
	wantErr(t, "joiner", meet(t, joiner, donor).joinerErr)

	// Nobody answers at first: the files are read when somebody does.
	ln := loopback(t)
	first := issue(t, spec{cn: "donor", by: ca})
	put(t, path, first.keyPEM(), first.certPEM())
	donor = load(t, Config{Role: Donor, CA: tca, Cert: path, Host: "localhost"})
	put(t, path, renewed.keyPEM(), renewed.certPEM())
	done := make(chan []byte, 1)
	go func() {
		raw, err := ln.Accept()
		if err == nil {
			var conn *Conn
			if conn, err = joiner.Server(context.Background(), raw); err == nil {
				defer conn.Close()
				done <- conn.Peer().Leaf.Raw
				return
			}
		}
		done <- nil
	}()
	conn, err := donor.Dial(t.Context(), "127.0.0.1", portOf(ln))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !bytes.Equal(<-done, renewed.cert.Raw) {
		t.Error("the joiner saw the certificate from before the renewal")
	}
}

func TestWhatIsTrustedButNotReadIsSaid(t *testing.T) {
	node, ca := issue(t, spec{cn: "localhost"}), newCA(t, "CA")
	crl := pemOf("X509 CRL", []byte{48, 0})
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(file(t, ca.certPEM(), crl))
	empty := t.TempDir()
	for _, tt := range []struct {
		name string
		c    Config
		want string
	}{
		{"a CRL in tca", Config{CA: file(t, crl, ca.certPEM(), crl), Cert: node.pem(t)}, "the list of revoked certificates (X509 CRL) in it is not read"},
		{"a CRL in a capath without hash names", Config{Cert: node.pem(t), Sockopt: "capath=" + dir}, "X509 CRL"},
		{"a capath without hash names", Config{Cert: node.pem(t), Sockopt: "capath=" + dir}, "has no hash names such as"},
		{"an empty capath beside tca", Config{CA: bundle(t, ca), Cert: node.pem(t), Sockopt: "capath=" + empty}, "sockopt capath " + empty + ": holds no certificate"},
		{"an empty capath, and nobody is asked", Config{Cert: node.pem(t), Sockopt: "verify=0,capath=" + empty}, "holds no certificate"},
		{"a missing capath, and nobody is asked", Config{Cert: node.pem(t), Sockopt: "verify=0,capath=" + empty + "/no"}, "no such file"},
		{"a short RSA key", Config{CA: bundle(t, ca), Cert: issue(t, spec{cn: "n", by: ca, key: key}).pem(t)}, "its RSA key has 1024 bits only"},
	} {
		ch, err := Load(tt.c)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		n := 0
		for _, w := range ch.Warnings() {
			if strings.Contains(w, tt.want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s: warnings %q", tt.name, ch.Warnings())
		}
	}
	_, err = Load(Config{Cert: node.pem(t), Sockopt: "capath=" + empty})
	wantErr(t, "Load", err, "sockopt capath "+empty+": holds no certificate")
}
