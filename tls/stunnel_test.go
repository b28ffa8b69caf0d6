package tls

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The table of sst-options.md for ssl-mode, between our own two ends. mode, trust and
// certificates of one side each.
func TestModesOfTheStockScript(t *testing.T) {
	ca := newCA(t, "CA")
	j := issue(t, spec{cn: "joiner.example", by: ca})
	d := issue(t, spec{cn: "donor.example", by: ca})
	selfJ, selfD := issue(t, spec{cn: "localhost"}), issue(t, spec{cn: "donor"})
	late := issue(t, spec{cn: "joiner.example", by: ca, from: time.Now().Add(-48 * time.Hour), until: time.Now().Add(-time.Hour)})
	sans := issue(t, spec{cn: "localhost", dns: []string{"other"}, by: ca})
	both := bundle(t, j, d)
	joins := func(id Identity) Config { return Config{Mode: VerifyIdentity, CA: both, Cert: d.pem(t), Identity: id} }

	for _, tt := range []struct {
		name                string
		joiner, donor       Config
		donorErr, joinerErr []string
	}{
		{name: "REQUIRED with unrelated self-signed certificates",
			joiner: Config{Mode: Required, Cert: selfJ.pem(t)}, donor: Config{Mode: Required, Cert: selfD.pem(t)}},
		{name: "REQUIRED with a donor that has no certificate",
			joiner: Config{Mode: Required, Cert: selfJ.pem(t)}, donor: Config{Mode: Required}},
		{name: "REQUIRED checks nobody even if a CA is known",
			joiner: Config{Mode: Required, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: Required, Cert: selfD.pem(t)}},
		{name: "VERIFY_CA with certificates of one authority, whatever the names",
			joiner: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: d.pem(t)}},
		{name: "VERIFY_CA with a donor that has no certificate",
			joiner: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: VerifyCA, CA: bundle(t, ca)},
			donorErr: []string{"certificate"}, joinerErr: []string{"sent no certificate"}},
		{name: "VERIFY_CA with a donor that is unknown",
			joiner: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: VerifyCA, CA: bundle(t, ca, selfD), Cert: selfD.pem(t)},
			donorErr: []string{"does not know the authority"}, joinerErr: []string{"is self-signed"}},
		{name: "VERIFY_CA with a joiner that is unknown",
			joiner: Config{Mode: VerifyCA, CA: bundle(t, ca, selfJ), Cert: selfJ.pem(t)}, donor: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: d.pem(t)},
			donorErr: []string{"is self-signed"}, joinerErr: []string{""}},
		{name: "VERIFY_IDENTITY is not content with the authority",
			joiner: Config{Mode: VerifyIdentity, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: VerifyIdentity, CA: bundle(t, ca), Cert: d.pem(t)},
			donorErr: []string{"is not itself in", "VERIFY_CA"}, joinerErr: []string{""}},
		{name: "VERIFY_IDENTITY of the joiner alone is not content with it either",
			joiner: Config{Mode: VerifyIdentity, CA: bundle(t, ca), Cert: j.pem(t)}, donor: Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: d.pem(t)},
			donorErr: []string{"certificate"}, joinerErr: []string{"is not itself in"}},
		{name: "VERIFY_IDENTITY with both certificates in the file",
			joiner: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)}, donor: joins(Identity{})},
		{name: "VERIFY_IDENTITY with both certificates and their authority in the file",
			joiner: Config{Mode: VerifyIdentity, CA: bundle(t, ca, j, d), Cert: j.pem(t)}, donor: joins(Identity{Hosts: []string{"joiner.example"}})},
		{name: "VERIFY_IDENTITY with the wrong name",
			joiner: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)}, donor: joins(Identity{Hosts: []string{"other"}}),
			donorErr: []string{"bears CN=joiner.example", "other"}, joinerErr: []string{""}},
		{name: "VERIFY_IDENTITY with one right name of two",
			joiner: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)}, donor: joins(Identity{Hosts: []string{"other", "Joiner.EXAMPLE"}})},
		{name: "VERIFY_IDENTITY with a wrong address and a right name",
			joiner: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)}, donor: joins(Identity{IP: "127.0.0.1", Hosts: []string{"joiner.example"}})},
		{name: "VERIFY_IDENTITY with an address and no SAN of the kind IP",
			joiner: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)}, donor: joins(Identity{IP: "127.0.0.1"}),
			donorErr: []string{"IP 127.0.0.1"}, joinerErr: []string{""}},
		{name: "VERIFY_IDENTITY with a CN beside a SAN that is another",
			joiner:   Config{Mode: VerifyIdentity, CA: bundle(t, ca, d, sans), Cert: sans.pem(t)},
			donor:    Config{Mode: VerifyIdentity, CA: bundle(t, ca, d, sans), Cert: d.pem(t), Identity: Identity{Hosts: []string{"localhost"}}},
			donorErr: []string{"not the wanted name localhost"}, joinerErr: []string{""}},
		{name: "VERIFY_IDENTITY with a certificate of the file that has expired",
			joiner:   Config{Mode: VerifyIdentity, CA: bundle(t, late, d), Cert: late.pem(t), Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }},
			donor:    Config{Mode: VerifyIdentity, CA: bundle(t, late, d), Cert: d.pem(t)},
			donorErr: []string{"expired"}, joinerErr: []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.joiner.Role, tt.donor.Role = Joiner, Donor
			tt.donor.Host = "127.0.0.1"
			o := meet(t, load(t, tt.joiner), load(t, tt.donor))
			wantErr(t, "donor", o.donorErr, tt.donorErr...)
			wantErr(t, "joiner", o.joinerErr, tt.joinerErr...)
			if o.donor != nil && (!o.donor.Own() || !o.joiner.Own()) {
				t.Error("our own ends do not know each other")
			}
		})
	}
}

func TestNamesByTheRulesOfOpenSSL(t *testing.T) {
	for _, tt := range []struct {
		cn, dns, ips string // several separated by blanks
		want         string
		ok           bool
	}{
		{cn: "node1.my.cluster", want: "node1.my.cluster", ok: true},
		{cn: "node1.my.cluster", want: "NODE1.my.CLUSTER", ok: true},
		{cn: "other node1.my.cluster", want: "node1.my.cluster", ok: true},
		{cn: "127.0.0.1", want: "127.0.0.1", ok: true},
		{cn: "localhost", dns: "other", want: "localhost"},
		{cn: "whatever", dns: "a.example localhost", want: "localhost", ok: true},
		{cn: "localhost", ips: "127.0.0.1", want: "localhost", ok: true},
		{cn: "*.my.cluster", want: "my.cluster"},
		{cn: "*.my.cluster", want: "NODE1.my.CLUSTER", ok: true},
		{cn: "*.my.cluster", want: "a.node1.my.cluster"},
		{cn: "*.my.cluster", want: ".my.cluster"},
		{cn: "*.cluster", want: "my.cluster"},
		{cn: "*.", want: "x."},
		{cn: "*..x", want: "a..x"},
		{cn: "a.*.cluster", want: "a.my.cluster"},
		{cn: "node*.my.cluster", want: "node1.my.cluster"},
		{cn: "", want: ""},
		{cn: "x", want: ""},
	} {
		t.Run(fmt.Sprintf("CN %s DNS %s IP %s for %s", tt.cn, tt.dns, tt.ips, tt.want), func(t *testing.T) {
			leaf := issue(t, spec{cns: strings.Fields(tt.cn), dns: strings.Fields(tt.dns), ips: strings.Fields(tt.ips)}).cert
			if got := bearsHost(leaf, tt.want); got != tt.ok {
				t.Errorf("got %t", got)
			}
		})
	}
	leaf := issue(t, spec{cn: "10.0.0.9", ips: []string{"10.0.0.2", "fe80::1"}}).cert
	for want, ok := range map[string]bool{"10.0.0.2": true, "::ffff:10.0.0.2": true, "10.0.0.9": false, "fe80::1": true, "fe80::1%eth0": true, "fe80::2": false, "x": false, "": false} {
		if got := bearsIP(leaf, want); got != ok {
			t.Errorf("address %q: got %t", want, got)
		}
	}
}

func TestStockSettingsThatCannotWork(t *testing.T) {
	ca, other := newCA(t, "CA"), newCA(t, "other CA")
	node, stranger := issue(t, spec{cn: "node", by: ca}), issue(t, spec{cn: "stranger", by: other})
	late := issue(t, spec{cn: "late", by: ca, until: time.Now().Add(-time.Minute)})
	crt := file(t, node.certPEM())
	for _, tt := range []struct {
		name string
		c    Config
		says []string
	}{
		{"verification without anything to verify with", Config{Mode: VerifyCA, Cert: node.pem(t)}, []string{"ssl-mode=VERIFY_CA", "no CA"}},
		{"identity without anything to verify with", Config{Mode: VerifyIdentity, Cert: node.pem(t)}, []string{"ssl-mode=VERIFY_IDENTITY"}},
		{"a joiner without a certificate", Config{Mode: VerifyCA, CA: bundle(t, ca)}, []string{"is not set"}},
		{"a key of another certificate", Config{Mode: Required, Cert: crt, Key: file(t, stranger.keyPEM())}, []string{"tkey ", "does not match certificate"}},
		{"a certificate without a key", Config{Mode: Required, Cert: crt}, []string{"no private key"}},
		{"a certificate that the CA has not issued", Config{Mode: VerifyCA, CA: bundle(t, other), Cert: node.pem(t)}, []string{"does not match tca"}},
		{"the same where nobody is verified", Config{Mode: Required, CA: bundle(t, other), Cert: node.pem(t)}, []string{"does not match tca"}},
		{"a certificate that has expired", Config{Mode: VerifyCA, CA: bundle(t, ca), Cert: late.pem(t)}, []string{"expired"}},
		{"a setting of the server is called by its name", Config{Mode: VerifyCA, CA: bundle(t, other), Cert: node.pem(t), Keys: Keys{CA: "ssl-ca", Cert: "ssl-server-cert"}},
			[]string{"ssl-server-cert ", "does not match ssl-ca"}},
		{"a directory that is not there", Config{Mode: VerifyCA, CAPath: "/nowhere/certs", Cert: node.pem(t)}, []string{"tcapath /nowhere/certs", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Role = Joiner
			_, err := Load(tt.c)
			wantErr(t, "load", err, tt.says...)
		})
	}
}

// A donor is the same in all but this: it can do without a certificate.
func TestADirectoryOfAuthorities(t *testing.T) {
	ca, other := newCA(t, "CA"), newCA(t, "other CA")
	dir := t.TempDir()
	put := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ca.pem", other.certPEM())
	put("5ED36F99.0", other.certPEM())
	put("5ed36f99.r0", other.certPEM())
	_, err := Load(Config{Mode: VerifyCA, Role: Donor, CAPath: dir})
	wantErr(t, "load", err, "under a hash name", "openssl rehash")

	put("5ed36f99.0", ca.certPEM())
	put("5ed36f99.1", []byte("junk"))
	donor := load(t, Config{Mode: VerifyCA, Role: Donor, CAPath: dir})
	if roots := donor.now.material.roots; len(roots) != 1 || !roots[0].Equal(ca.cert) {
		t.Errorf("%d certificates are trusted", len(roots))
	}
	if w := donor.Warnings(); len(w) != 1 || !strings.Contains(w[0], "5ed36f99.1") {
		t.Errorf("warnings %q", w)
	}
	mixed := load(t, Config{Mode: VerifyCA, Role: Donor, CAPath: dir, CA: bundle(t, other)})
	for name, want := range map[string]struct {
		by  *ident
		err []string
		ch  *Channel
	}{
		"of the directory":           {by: ca, ch: donor},
		"of another":                 {by: other, ch: donor, err: []string{"not in tcapath"}},
		"of the file, with both set": {by: other, ch: mixed},
	} {
		t.Run(name, func(t *testing.T) {
			id := issue(t, spec{cn: "j", by: want.by})
			o := meet(t, load(t, Config{Mode: Required, Role: Joiner, Cert: id.pem(t)}), want.ch)
			wantErr(t, "donor", o.donorErr, want.err...)
		})
	}
}

func TestWhatIsSaidOfTheModes(t *testing.T) {
	ca := newCA(t, "CA")
	node := issue(t, spec{cn: "node", by: ca})
	tca := bundle(t, ca)
	for _, tt := range []struct {
		c        Config
		describe []string
		warnings int
	}{
		{Config{Mode: Required, Role: Donor}, []string{"no certificate of our own", "peer not verified"}, 1},
		{Config{Mode: Required, Role: Joiner, Cert: node.pem(t)}, []string{"CN=node", "peer not verified"}, 1},
		{Config{Mode: VerifyCA, Role: Joiner, Cert: node.pem(t), CA: tca, Keys: Keys{CA: "ssl-ca"}}, []string{"verified against ssl-ca " + tca, "any name"}, 0},
		{Config{Mode: VerifyIdentity, Role: Donor, Cert: node.pem(t), CA: tca, Identity: Identity{Hosts: []string{"localhost"}, IP: "::1"}},
			[]string{"itself in tca", "localhost or IP ::1"}, 0},
	} {
		ch := load(t, tt.c)
		for _, want := range tt.describe {
			if !strings.Contains(ch.Describe(), want) {
				t.Errorf("%s: %q lacks %q", tt.c.Mode, ch.Describe(), want)
			}
		}
		if w := ch.Warnings(); len(w) != tt.warnings {
			t.Errorf("%s: warnings %q", tt.c.Mode, w)
		}
	}
	if cn := load(t, Config{Mode: Required, Role: Joiner, Cert: issue(t, spec{cns: []string{"first", "second"}}).pem(t)}).CommonName(); cn != "first" {
		t.Errorf("common name %q", cn)
	}
	if cn := load(t, Config{Mode: Required, Role: Donor}).CommonName(); cn != "" {
		t.Errorf("common name %q of no certificate", cn)
	}
}

func TestValuesOfSSLMode(t *testing.T) {
	for text, want := range map[string]Mode{"REQUIRED": Required, "verify_ca": VerifyCA, "Verify_Identity": VerifyIdentity} {
		if m, ok := ParseMode(text); !ok || m != want {
			t.Errorf("%s: %v %t", text, m, ok)
		}
	}
	for _, text := range []string{"", "DISABLED", "PREFERRED", "VERIFY", " REQUIRED", "VERIFY-CA"} {
		if m, ok := ParseMode(text); ok {
			t.Errorf("%q is %v", text, m)
		}
	}
}

// Whoever is in the file of VERIFY_IDENTITY is known by the whole certificate: one of
// the same subject and authority is another.
func TestIdentityIsTheCertificateNotItsName(t *testing.T) {
	ca := newCA(t, "CA")
	a, b := issue(t, spec{cn: "node", by: ca}), issue(t, spec{cn: "node", by: ca})
	i := identity{trusted: []*x509.Certificate{ca.cert, a.cert}, trust: "tca"}
	if err := i.verify(a.cert); err != nil {
		t.Error(err)
	}
	if err := i.verify(b.cert); err == nil {
		t.Error("a certificate of the same name passes")
	}
}
