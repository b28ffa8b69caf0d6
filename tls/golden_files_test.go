package tls

import (
	"crypto/rsa"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

// byOpenSSL makes files that Go cannot make: it runs openssl in a directory of its
// own, with these lines of arguments. Without openssl they do not exist, and
// neither do the cases.
func byOpenSSL(t *testing.T, files map[string][]byte, lines ...[]string) string {
	t.Helper()
	openssl := tool(t, "openssl")
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range lines {
		for i, a := range args {
			if len(a) > 1 && a[0] == '@' {
				args[i] = filepath.Join(dir, a[1:])
			}
		}
		if out, err := output(t, openssl, args...); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

// goldenFiles are the rows B and F about files: keys, certificates, chains.
func goldenFiles(t *testing.T) []golden {
	ca := newCA(t, "cluster CA")
	rsaCA := issue(t, spec{cn: "RSA CA", ca: true, key: rsaKey()})
	tca := bundle(t, ca, rsaCA)
	leaf := issue(t, spec{cn: "localhost", by: ca})
	rsaLeaf := issue(t, spec{cn: "localhost", by: ca, key: rsaKey()})
	other := issue(t, spec{cn: "other"})
	peer := end{ca: tca, cert: issue(t, spec{cn: "localhost", by: ca}).pem(t)}
	missing := filepath.Join(t.TempDir(), "missing")

	joiner := func(label, what, cert, key string, noLoad ...string) golden {
		return golden{label: label, what: what, joiner: end{ca: tca, cert: cert, key: key}, donor: peer, noLoad: noLoad}
	}
	trust := func(label, what, ca, sockopt string, noLoad ...string) golden {
		return golden{label: label, what: what, joiner: end{ca: ca, cert: peer.cert, sockopt: sockopt}, donor: peer, noLoad: noLoad}
	}
	chain := func(label, what string, j, d end) golden {
		return golden{label: label, what: what, joiner: j, donor: d}
	}

	pkcs1 := pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey)))
	encrypted := joiner("B13", "an encrypted key", file(t, leaf.certPEM()), file(t, pemOf("ENCRYPTED PRIVATE KEY", []byte{48, 0})), "is encrypted", "hint: take the passphrase off")
	encrypted.socatJoiner, encrypted.socats = untried, untried // it asks on the terminal
	bag := []byte("Bag Attributes\n    localKeyID: 54 69 6D\nsubject=CN = localhost\n\n")

	root := newCA(t, "root")
	inter := issue(t, spec{cn: "intermediate", ca: true, by: root})
	low := issue(t, spec{cn: "lower intermediate", ca: true, by: inter})
	below, deep := issue(t, spec{cn: "localhost", by: inter}), issue(t, spec{cn: "localhost", by: low})
	troot := bundle(t, root)
	rootPeer := end{ca: troot, cert: issue(t, spec{cn: "localhost", by: root}).pem(t)}
	noLink := chain("B14b", "no intermediate is sent", end{ca: troot, cert: below.pem(t)}, rootPeer)
	noLink.joinerSees, noLink.donorSees = []string{"refused our certificate"}, []string{"was issued by CN=intermediate", "if it is an intermediate, behind the certificate in tcert on the joiner"}
	upperOnly := chain("B14b", "the upper intermediate is missing", end{ca: troot, cert: deep.pem(t, low)}, rootPeer)
	upperOnly.joinerSees, upperOnly.donorSees = []string{"refused our certificate"}, []string{"was issued by CN=intermediate, which"}
	anchor := chain("B14e", "the peer trusts the intermediate only", end{ca: troot, cert: below.pem(t)}, end{ca: bundle(t, inter), cert: rootPeer.cert})
	anchor.socatDonor, anchor.socats, anchor.differs = fails, fails, "every member of tca is an anchor here, also an intermediate"
	twinA, twinB := issue(t, spec{cn: "localhost", keyID: []byte{1}}), issue(t, spec{cn: "localhost", keyID: []byte{2}})
	bomFirst := trust("F19b", "a byte order mark before the only block", file(t, []byte(bom), ca.certPEM()), "", "byte order mark (BOM)", "sed -i")
	bomFirst.socatJoiner, bomFirst.socats, bomFirst.differs = connects, connects, "OpenSSL 3 reads over it; others lose the block"

	rows := []golden{
		joiner("B13", "key before certificate", file(t, leaf.keyPEM(), leaf.certPEM()), ""),
		joiner("B13", "certificate before key", file(t, leaf.certPEM(), leaf.keyPEM()), ""),
		joiner("B13", "separate files", file(t, leaf.certPEM()), file(t, leaf.keyPEM())),
		joiner("B13", "an RSA PRIVATE KEY", file(t, rsaLeaf.certPEM(), pkcs1), ""),
		joiner("B13", "no key anywhere", file(t, leaf.certPEM()), "", "holds no private key"),
		joiner("B13", "another node's key", file(t, leaf.certPEM()), file(t, other.keyPEM()), "does not match certificate"),
		joiner("B13", "a certificate in DER form", file(t, leaf.cert.Raw), file(t, leaf.keyPEM()), "is a certificate in DER form", "openssl x509 -inform DER"),
		joiner("B13", "a missing certificate", missing, "", "tcert "+missing+": no such file"),
		joiner("B13", "a missing key", file(t, leaf.certPEM()), missing, "tkey "+missing+": no such file"),
		encrypted,
		trust("B13j", "missing", missing, "", "tca "+missing+": no such file"),
		trust("B13k", "empty", file(t, nil), "", "is empty"),
		trust("B13l", "junk only", file(t, []byte("junk\n")), "", "holds no PEM block"),
		trust("B13m", "missing, with verify=0", missing, "verify=0", "no such file"),
		trust("B13m", "empty, with verify=0", file(t, nil), "verify=0", "is empty"),
		trust("B18d", "a directory", t.TempDir(), "", "is a directory"),

		chain("B14", "leaf and intermediate in tcert", end{ca: troot, cert: file(t, below.certPEM(), inter.certPEM()), key: file(t, below.keyPEM())}, rootPeer),
		chain("B14", "key, leaf and intermediate in one file", end{ca: troot, cert: below.pem(t, inter)}, rootPeer),
		chain("B14", "as client certificate", rootPeer, end{ca: troot, cert: below.pem(t, inter)}),
		chain("B14", "two intermediates", end{ca: troot, cert: deep.pem(t, low, inter)}, rootPeer),
		noLink, upperOnly,
		joiner("B14d", "the intermediate first", file(t, inter.certPEM(), below.certPEM(), below.keyPEM()), "", "belongs to certificate 2", "hint: put the certificate of this node first"),
		anchor,
		chain("B14g", "the intermediate is in the sender's own tca", end{ca: bundle(t, root, inter), cert: below.pem(t)}, rootPeer),
		chain("B14g", "two of them, for the donor", rootPeer, end{ca: bundle(t, low, inter, root), cert: deep.pem(t)}),

		{label: "F10", what: "an empty key", joiner: end{ca: tca, cert: peer.cert, sockopt: "key="}, donor: peer, noLoad: []string{"sockopt key=", "a file must be named"}},
		{label: "F16", what: "two self-signed certificates of one name", joiner: end{ca: bundle(t, twinA, twinB), cert: twinA.pem(t)}, donor: end{ca: bundle(t, twinB, twinA), cert: twinB.pem(t)}},
		{label: "F17", what: "the same certificate twice", joiner: end{ca: bundle(t, twinA, twinA), cert: twinA.pem(t)}, donor: end{ca: bundle(t, twinA, twinA), cert: twinA.pem(t)}},
		joiner("F18", "CRLF line ends", file(t, crlf(leaf.keyPEM()), crlf(leaf.certPEM())), ""),
		joiner("F19", "text around the blocks", file(t, bag, leaf.certPEM(), bag, leaf.keyPEM(), []byte("# the end\n")), ""),
		joiner("F20", "blocks of other kinds", file(t, pemOf("DH PARAMETERS", []byte{48, 0}), leaf.keyPEM(), leaf.certPEM()), ""),
		bomFirst,
	}
	return append(rows, goldenDirs(t, ca, peer)...)
}

// goldenDirs are the rows about capath, and those whose files only openssl makes.
func goldenDirs(t *testing.T, ca *ident, peer end) []golden {
	key := func(name, cn string) []string {
		return []string{"req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "@" + name + ".key", "-out", "@" + name + ".crt", "-days", "2", "-subj", "/CN=" + cn}
	}
	hashed := byOpenSSL(t, map[string][]byte{"ca.pem": ca.certPEM()}, []string{"rehash", "@."})
	plain := filepath.Dir(file(t, ca.certPEM()))
	wrong := bundle(t, newCA(t, "wrong CA"))
	capath := func(what, ca, dir string) golden {
		return golden{label: "B18", what: what, joiner: end{ca: ca, cert: peer.cert, sockopt: "capath=" + dir}, donor: peer}
	}
	unhashed := capath("without hash names", "", plain)
	unhashed.socatJoiner, unhashed.socats, unhashed.differs = fails, fails, "a capath that socat finds nothing in has all its PEM files read"
	missing := capath("missing", "", filepath.Join(plain, "missing"))
	missing.noLoad = []string{"sockopt capath " + filepath.Join(plain, "missing"), "no such file"}

	dir := byOpenSSL(t, map[string][]byte{"ca.pem": ca.certPEM(), "ca.key": ca.keyPEM()},
		[]string{"x509", "-in", "@ca.pem", "-addtrust", "serverAuth", "-trustout", "-out", "@trusted.pem"},
		[]string{"req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "@v1.key", "-out", "@v1.csr", "-subj", "/CN=localhost"},
		[]string{"x509", "-req", "-in", "@v1.csr", "-signkey", "@v1.key", "-days", "2", "-out", "@v1.crt"},
		append(key("leaf", "localhost"), "-addext", "basicConstraints=critical,CA:FALSE"),
		[]string{"ecparam", "-name", "secp256k1", "-genkey", "-out", "@k1.key"},
		[]string{"req", "-x509", "-key", "@k1.key", "-out", "@k1.crt", "-days", "2", "-subj", "/CN=localhost"},
		[]string{"req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", "@weak.key", "-out", "@weak.crt", "-days", "2", "-subj", "/CN=localhost"},
		[]string{"ecparam", "-name", "prime256v1", "-genkey", "-out", "@params.key"},
		[]string{"req", "-x509", "-key", "@params.key", "-out", "@params.crt", "-days", "2", "-subj", "/CN=localhost"},
		[]string{"req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "@sha1.key", "-out", "@sha1.csr", "-subj", "/CN=localhost"},
		[]string{"x509", "-req", "-sha1", "-in", "@sha1.csr", "-CA", "@ca.pem", "-CAkey", "@ca.key", "-set_serial", "7", "-days", "2", "-out", "@sha1.crt"},
	)
	at := func(name string) string { return filepath.Join(dir, name) }
	self := func(label, what, name string) golden {
		e := end{ca: at(name + ".crt"), cert: at(name + ".crt"), key: at(name + ".key")}
		return golden{label: label, what: what, joiner: e, donor: e}
	}
	k1 := self("B15", "secp256k1", "k1")
	k1.noLoad = []string{"cannot be used"}
	weak := self("B15f", "RSA with 1024 bits", "weak")
	weak.socatJoiner, weak.socatDonor, weak.socats, weak.differs = fails, fails, fails, "OpenSSL's security level 2 refuses it; where that is 1, such certificates still work"
	sha1 := golden{label: "B15g", what: "a signature with SHA-1", joiner: end{ca: peer.ca, cert: at("sha1.crt"), key: at("sha1.key")}, donor: peer,
		joinerSees: []string{"refused our certificate"}, donorSees: []string{"is signed with an algorithm that is too weak", "ECDSA-SHA1", "hint: renew the certificate in tcert on the joiner"}}
	trusted := golden{label: "B17", what: "a TRUSTED CERTIFICATE for servers only", joiner: end{ca: at("trusted.pem"), cert: peer.cert}, donor: peer,
		noLoad: []string{"the TRUSTED CERTIFICATE on line 1 is not read", "openssl x509"}}
	p384 := issue(t, spec{cn: "localhost", key: ecKey(t, elliptic384)})
	ed := issue(t, spec{cn: "localhost", key: edKey(t)})
	both := func(label, what string, i *ident) golden {
		e := end{ca: bundle(t, i), cert: i.pem(t)}
		return golden{label: label, what: what, joiner: e, donor: e, version: "TLS 1.3"}
	}
	return []golden{
		capath("with hash names", "", hashed),
		unhashed,
		missing,
		{label: "B18e", what: "the wrong cafile and the right capath", joiner: end{ca: wrong, cert: peer.cert, sockopt: "capath=" + hashed}, donor: peer},
		{label: "B19", what: "a missing file", joiner: end{ca: peer.ca, cert: peer.cert, sockopt: "dhparam=/nonexistent"}, donor: peer},
		both("B15", "P-256", issue(t, spec{cn: "localhost"})),
		both("B15", "P-384", p384),
		both("B15", "Ed25519", ed),
		self("B15", "EC PARAMETERS before the key", "params"),
		k1, weak, sha1, trusted,
		self("F11", "self-signed with CA:FALSE", "leaf"),
		self("F12", "X.509 v1", "v1"),
	}
}
