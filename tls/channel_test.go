package tls

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	node := issue(t, spec{cn: "node1", until: time.Date(2039, 5, 6, 7, 8, 9, 0, time.UTC)})
	cert, tca := node.pem(t), bundle(t, node, issue(t, spec{cn: "node2"}))
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{Config{Role: Donor, CA: tca, Host: "node2"},
			"TLS 1.2 to TLS 1.3; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), name node2"},
		{Config{Role: Donor, CA: tca, Host: "2001:db8::1", Sockopt: "pf=ip6"},
			"TLS 1.2 to TLS 1.3; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), name [2001:db8::1]; IPv6 only"},
		{Config{Role: Joiner, CA: tca, Sockopt: "method=dtls1.2"},
			"DTLS 1.2 over UDP, in datagrams of 1200 bytes at most; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), any name"},
		{Config{Role: Joiner, CA: tca, Sockopt: "min-version=TLS1.3"},
			"TLS 1.3 only; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), any name"},
		{Config{Role: Joiner, Sockopt: "verify=0,max-version=TLS1.2,cipher=HIGH:!RC4"},
			"TLS 1.2 only; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer not verified; for TLS 1.2 17 ciphers of HIGH:!RC4"},
		{Config{Role: Joiner, Sockopt: "commonname=n"},
			"TLS 1.2 to TLS 1.3; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against the authorities of the system, name n"},
		{Config{Role: Donor, CA: tca, Host: "node2", Sockopt: "retry=3,interval=0.5,bind=10.0.0.1,sourceport=4445,lowport,connect-timeout=2.5,snihost=x,nodelay=0,range=10.0.0.0/8,max-children=2"},
			"TLS 1.2 to TLS 1.3; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), name node2; SNI x; " +
				"tries again 3 times, every 500ms; 2.5s to connect; from 10.0.0.1; from port 4445; from a port below 1024; tcp-nodelay=0"},
		{Config{Role: Joiner, CA: tca, Sockopt: "forever,bind=10.0.0.1,sourceport=4445,lowport,connect-timeout=2,no-sni,range=10.0.0.0/8,max-children=2,backlog=7,accept-timeout=600,if=eth1,setsockopt-int=1:2:3"},
			"TLS 1.2 to TLS 1.3; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), any name; " +
				"tries again every 1s, forever; peers in 10.0.0.0/8 only; peers from port 4445 only; peers from ports below 1024 only; 10m0s for the donor to come; " +
				"2 sessions at a time; backlog 7; so-bindtodevice=eth1; setsockopt-int=1:2:3"},
		{Config{Role: Donor, CA: tca, Host: "node2", Sockopt: "no-sni,min-version=TLS1.3"},
			"TLS 1.3 only; own certificate CERT (CN=node1, valid to 2039-05-06 07:08:09 UTC); peer verified against tca CA (2 certificates), name node2; no SNI"},
	} {
		tt.c.Cert = cert
		got := strings.NewReplacer(cert, "CERT", tca, "CA").Replace(load(t, tt.c).Describe())
		if got != tt.want {
			t.Errorf("Describe:\n%s, want\n%s", got, tt.want)
		}
	}
}

func TestWarnings(t *testing.T) {
	now := time.Now()
	node := issue(t, spec{cn: "n"})
	tca, good := bundle(t, node), node.pem(t)
	expired := issue(t, spec{cn: "n", until: now.Add(-time.Minute)}).pem(t)
	early := issue(t, spec{cn: "n", from: now.Add(time.Hour)}).pem(t)
	server := issue(t, spec{cn: "n", usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}).pem(t)
	client := issue(t, spec{cn: "n", usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}).pem(t)
	anyUse := issue(t, spec{cn: "n", usage: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}).pem(t)
	for _, tt := range []struct {
		name string
		c    Config
		want string // "": none
	}{
		{"nothing to say on the joiner", Config{Role: Joiner, CA: tca, Cert: good}, ""},
		{"nothing to say on the donor", Config{Role: Donor, CA: tca, Cert: good}, ""},
		{"the joiner does not verify", Config{Role: Joiner, CA: tca, Cert: good, Sockopt: "verify=0"}, "whoever reaches the port"},
		{"the donor does not verify", Config{Role: Donor, CA: tca, Cert: good, Sockopt: "verify=0"}, "sent to whoever answers"},
		{"the donor wants no name", Config{Role: Donor, CA: tca, Cert: good, Sockopt: "commonname="}, "name of the joiner is not checked"},
		{"the joiner never wants one by default", Config{Role: Joiner, CA: tca, Cert: good, Sockopt: "commonname="}, ""},
		{"no tca", Config{Role: Joiner, Cert: good}, "tca is not set"},
		{"our certificate has expired", Config{Role: Joiner, CA: tca, Cert: expired}, "expired on 2"},
		{"our certificate is not valid yet", Config{Role: Donor, CA: tca, Cert: early}, "is not valid before 2"},
		{"a donor with a server's certificate", Config{Role: Donor, CA: tca, Cert: server}, "does not allow it as client certificate"},
		{"a joiner with one", Config{Role: Joiner, CA: tca, Cert: server}, ""},
		{"a joiner with a client's certificate", Config{Role: Joiner, CA: tca, Cert: client}, "does not allow it as server certificate"},
		{"any purpose", Config{Role: Donor, CA: tca, Cert: anyUse}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(load(t, tt.c).Warnings(), "\n")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("warnings %q, want %q", got, tt.want)
			}
		})
	}
}

// put swaps a file as certbot and Kubernetes do: by a new file under the old name.
func put(t *testing.T, path string, data ...[]byte) {
	t.Helper()
	if err := os.Rename(file(t, data...), path); err != nil {
		t.Fatal(err)
	}
}

func TestCertificatesAreReadAtEachHandshakeUntilTheFirstGoodOne(t *testing.T) {
	ca := newCA(t, "CA")
	tca := bundle(t, ca)
	path := filepath.Join(t.TempDir(), "node.pem")
	generation := func() *ident { return issue(t, spec{cn: "localhost", by: ca}) }
	stranger := load(t, Config{Role: Donor, CA: tca, Cert: issue(t, spec{cn: "x"}).pem(t), Host: "localhost"})
	donor := load(t, Config{Role: Donor, CA: tca, Cert: generation().pem(t), Host: "localhost"})

	expired := issue(t, spec{cn: "localhost", by: ca, until: time.Now().Add(-time.Minute)})
	put(t, path, expired.certPEM(), expired.keyPEM())
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: path})
	wantErr(t, "donor", meet(t, joiner, donor).donorErr, "expired on")

	// Renewed while the joiner waits. A stranger's refused handshake holds nothing.
	second := generation()
	put(t, path, second.certPEM(), second.keyPEM())
	wantErr(t, "stranger", meet(t, joiner, stranger).donorErr, "does not know the authority")

	// Caught in the middle of the next renewal: the last good pair serves.
	third := generation()
	put(t, path, third.certPEM(), second.keyPEM())
	o := meet(t, joiner, donor)
	wantErr(t, "donor", o.donorErr)
	if o.donor != nil && !o.donor.Peer().Leaf.Equal(second.cert) {
		t.Error("the donor saw another certificate than the last good one")
	}
	if w := strings.Join(joiner.Warnings(), "\n"); !strings.Contains(w, "does not match") || !strings.Contains(w, "as they were before") {
		t.Errorf("warnings %q do not tell of the bad pair", w)
	}

	// Now an SST is under way: what comes later is for the next one.
	put(t, path, third.certPEM(), third.keyPEM())
	o = meet(t, joiner, donor)
	wantErr(t, "donor", o.donorErr)
	if o.donor != nil && !o.donor.Peer().Leaf.Equal(second.cert) {
		t.Error("the certificate changed within one SST")
	}
}

func TestTrustIsReadAgainToo(t *testing.T) {
	d := issue(t, spec{cn: "donor"})
	j := issue(t, spec{cn: "localhost"})
	path := filepath.Join(t.TempDir(), "all.crt")
	put(t, path, j.certPEM())
	joiner := load(t, Config{Role: Joiner, CA: path, Cert: j.pem(t)})
	donor := load(t, Config{Role: Donor, CA: bundle(t, j), Cert: d.pem(t), Host: "localhost"})
	wantErr(t, "joiner", meet(t, joiner, donor).joinerErr, "CN=donor is self-signed and not in tca")
	put(t, path, j.certPEM(), d.certPEM())
	wantErr(t, "joiner", meet(t, joiner, donor).joinerErr)
}

func TestVeryManyAuthoritiesDoNotBreakTheHandshake(t *testing.T) {
	d := issue(t, spec{cn: "donor"})
	parts := [][]byte{d.certPEM()}
	for size := 0; size < 70<<10; size += 200 {
		parts = append(parts, issue(t, spec{cn: "authority " + strings.Repeat("x", 190)}).certPEM())
	}
	many := file(t, parts...)
	j := issue(t, spec{cn: "localhost"})
	joiner := load(t, Config{Role: Joiner, CA: many, Cert: j.pem(t)})
	o := meet(t, joiner, load(t, Config{Role: Donor, CA: bundle(t, j), Cert: d.pem(t), Host: "localhost"}))
	wantErr(t, "joiner", o.joinerErr)
	wantErr(t, "donor", o.donorErr)
	o = meet(t, joiner, load(t, Config{Role: Donor, CA: bundle(t, j), Cert: issue(t, spec{cn: "x"}).pem(t), Host: "localhost"}))
	wantErr(t, "joiner", o.joinerErr, "CN=x is self-signed and not in tca")
	wantErr(t, "donor", o.donorErr, "refused our certificate")
}
