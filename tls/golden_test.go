package tls

import (
	"crypto/elliptic"
	stdtls "crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"
)

// The tables here are those of sockopt.md section 8, between our own two ends. The
// target is localhost unless the row says otherwise: it is only the name wanted,
// the connection always goes to 127.0.0.1.

// end is one end of a row; what it leaves out comes from the row's defaults.
type end struct {
	ca, cert, key string
	sockopt       string
	host          string // donor
}

func (e end) config(role Role) Config {
	c := Config{Role: role, CA: e.ca, Cert: e.cert, Key: e.key, Sockopt: e.sockopt, Host: e.host}
	if role == Donor && c.Host == "" {
		c.Host = "localhost"
	}
	return c
}

type row struct {
	name          string
	joiner, donor end
	joinerSees    []string // pieces of its error; none: accepted
	donorSees     []string
}

func (r row) run(t *testing.T) *outcome {
	o := meet(t, load(t, r.joiner.config(Joiner)), load(t, r.donor.config(Donor)))
	wantErr(t, "joiner", o.joinerErr, r.joinerSees...)
	wantErr(t, "donor", o.donorErr, r.donorSees...)
	return &o
}

func TestNamesBySocatsRule(t *testing.T) {
	ca := newCA(t, "cluster CA")
	tca := bundle(t, ca)
	donor := issue(t, spec{cn: "donor.my.cluster", by: ca}).pem(t)
	wild := spec{cn: "*.my.cluster"}
	wildSAN := spec{cn: "whatever", dns: []string{"*.my.cluster"}}

	tests := []struct {
		name   string
		joiner spec
		want   string // the donor's host
		ok     bool
	}{
		{"A2 a CN of a name is not the address", spec{cn: "localhost"}, "127.0.0.1", false},
		{"A3 a CN may be an address", spec{cn: "127.0.0.1"}, "127.0.0.1", true},
		{"A4 a SAN without any CN", spec{dns: []string{"localhost"}}, "localhost", true},
		{"A5 the CN counts beside a SAN of another name", spec{cn: "localhost", dns: []string{"other.example"}}, "localhost", true},
		{"A6 a SAN of the kind IP", spec{cn: "x", ips: []string{"127.0.0.1"}}, "127.0.0.1", true},
		{"A6 an IP is not the name", spec{cn: "x", ips: []string{"127.0.0.1"}}, "localhost", false},
		{"A7 an upper case CN is another name", spec{cn: "LOCALHOST"}, "localhost", false},
		{"A7 an upper case host is another name", spec{cn: "localhost"}, "LOCALHOST", false},
		{"A8 a wildcard CN, one label below", wild, "node1.my.cluster", true},
		{"A8 a wildcard CN, the domain itself", wild, "my.cluster", true},
		{"A8 a wildcard CN, an empty label", wild, ".my.cluster", true},
		{"A8 a wildcard CN, upper case in the wild part", wild, "NODE1.my.cluster", true},
		{"A8 a wildcard CN, the pattern itself", wild, "*.my.cluster", true},
		{"A8 a wildcard CN, two labels below", wild, "a.b.my.cluster", false},
		{"A8 a wildcard CN, upper case in the domain", wild, "node1.MY.cluster", false},
		{"A9 a wildcard SAN, one label below", wildSAN, "node1.my.cluster", true},
		{"A9 a wildcard SAN, the domain itself", wildSAN, "my.cluster", true},
		{"A9 a wildcard SAN, the CN beside it", wildSAN, "whatever", true},
		{"A9 a wildcard SAN, two labels below", wildSAN, "a.b.my.cluster", false},
		{"A10 a certificate without any name", spec{}, "localhost", false},
		{"A11 the second CN is not looked at", spec{cns: []string{"other", "localhost"}}, "localhost", false},
		{"A11 the first CN is", spec{cns: []string{"localhost", "other"}}, "localhost", true},
		{"G2 the CN of an IPv6 host bears brackets", spec{cn: "[::1]"}, "::1", true},
		{"G3 a CN without them is another name", spec{cn: "::1"}, "::1", false},
		{"G4 any spelling of an IPv6 SAN", spec{cn: "x", ips: []string{"2001:db8::5"}}, "2001:db8:0:0::0:5", true},
		{"another IPv6 address", spec{cn: "x", ips: []string{"2001:db8::5"}}, "2001:db8::6", false},
		{"a zone does not belong to the address", spec{cn: "x", ips: []string{"fe80::1"}}, "fe80::1%lo", true},
		{"not copied: a wildcard for a part of an IP address", spec{cn: "*.0.0.1"}, "127.0.0.1", false},
		{"not copied: a NUL byte ends the CN", spec{cn: "localhost\x00.evil.example"}, "localhost", false},
		{"not copied: a NUL byte ends the SAN", spec{cn: "x", dns: []string{"localhost\x00.evil.example"}}, "localhost", false},
		{"a bare wildcard matches nothing", spec{cn: "*"}, "localhost", false},
		{"a wildcard inside a label is no wildcard", spec{cn: "n*.my.cluster"}, "node1.my.cluster", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.joiner.by = ca
			r := row{
				joiner: end{ca: tca, cert: issue(t, tt.joiner).pem(t)},
				donor:  end{ca: tca, cert: donor, host: tt.want},
			}
			if !tt.ok {
				r.donorSees = []string{"wanted name", tt.want, "hint: the joiner's certificate needs that name"}
				r.joinerSees = []string{"refused our certificate"}
			}
			r.run(t)
		})
	}
}

func TestGoldenNamesAndTrust(t *testing.T) {
	ca, other := newCA(t, "cluster CA"), newCA(t, "other CA")
	self := issue(t, spec{cn: "localhost"})
	leaf := issue(t, spec{cn: "localhost", by: ca})
	leaf2 := issue(t, spec{cn: "donor.my.cluster", by: ca})
	named := issue(t, spec{cn: "node1.my.cluster", by: ca})
	foreign := issue(t, spec{cn: "localhost", by: other})
	tca, tself := bundle(t, ca), bundle(t, self)

	for _, r := range []row{
		{name: "A1 one self-signed certificate on both sides", joiner: end{ca: tself, cert: self.pem(t)}, donor: end{ca: tself, cert: self.pem(t)}},
		{name: "A12 certificates of one authority", joiner: end{ca: tca, cert: leaf.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t)}},
		{name: "A18 a bundle of a self-signed certificate and an authority",
			joiner: end{ca: bundle(t, self, ca), cert: self.pem(t)}, donor: end{ca: bundle(t, ca, self), cert: leaf2.pem(t)}},
		{name: "A13 the joiner wants the donor's name and gets it",
			joiner: end{ca: tca, cert: leaf.pem(t), sockopt: "commonname=donor.my.cluster"}, donor: end{ca: tca, cert: leaf2.pem(t)}},
		{name: "A13 the joiner wants another name", joiner: end{ca: tca, cert: leaf.pem(t), sockopt: "commonname=foo"}, donor: end{ca: tca, cert: leaf2.pem(t)},
			joinerSees: []string{"bears CN=donor.my.cluster and not the wanted name foo", "hint: sockopt commonname"}, donorSees: []string{"refused our certificate"}},
		{name: "A13 an empty commonname on the joiner is no check",
			joiner: end{ca: tca, cert: leaf.pem(t), sockopt: "commonname="}, donor: end{ca: tca, cert: leaf2.pem(t)}},
		{name: "A15 the donor's certificate is not trusted", joiner: end{ca: tca, cert: leaf.pem(t)}, donor: end{ca: tca, cert: foreign.pem(t)},
			joinerSees: []string{"was issued by CN=other CA, which is not in tca", "hint: the certificate of CN=other CA belongs into tca"},
			donorSees:  []string{"does not know the authority that signed our certificate (tcert", "must be in its tca"}},
		{name: "A15 the donor's self-signed certificate is not trusted", joiner: end{ca: tca, cert: leaf.pem(t)}, donor: end{ca: tca, cert: self.pem(t)},
			joinerSees: []string{"is self-signed and not in tca", "hint: append the certificate of the donor to tca"},
			donorSees:  []string{"does not know the authority"}},
		{name: "A16 the joiner's certificate is not trusted", joiner: end{ca: tca, cert: foreign.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t)},
			joinerSees: []string{"refused our certificate"},
			donorSees:  []string{"was issued by CN=other CA, which is not in tca"}},
		{name: "A17 the address is another name than the certificate's", joiner: end{ca: tca, cert: named.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t)},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"bears CN=node1.my.cluster and not the wanted name localhost"}},
		{name: "A17 commonname makes it the wanted one",
			joiner: end{ca: tca, cert: named.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t), sockopt: "commonname=node1.my.cluster"}},
		{name: "A18b different from socat: a leaf in tca is an anchor",
			joiner: end{ca: bundle(t, leaf2), cert: leaf.pem(t)}, donor: end{ca: bundle(t, leaf), cert: leaf2.pem(t)}},
		{name: "B1 an empty commonname is no name check, the chain counts still",
			joiner: end{ca: tca, cert: foreign.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t), sockopt: "commonname="},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"not in tca"}},
		{name: "B1, A10 different from socat 1.7.4: it needs no no-sni",
			joiner: end{ca: tca, cert: named.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t), sockopt: `commonname=""`}},
		{name: "B2 the donor does not verify", joiner: end{ca: tca, cert: foreign.pem(t)}, donor: end{ca: tca, cert: leaf2.pem(t), host: "any", sockopt: "verify=0"}},
		{name: "B2 it still sends its certificate", joiner: end{ca: tca, cert: leaf.pem(t)}, donor: end{ca: tca, cert: foreign.pem(t), sockopt: "verify=0"},
			joinerSees: []string{"not in tca"}, donorSees: []string{"does not know the authority"}},
		{name: "B3 the joiner does not verify", joiner: end{ca: tca, cert: leaf.pem(t), sockopt: "verify=0"}, donor: end{ca: tca, cert: foreign.pem(t)}},
		{name: "B3 it looks at no name either", joiner: end{ca: tca, cert: leaf.pem(t), sockopt: "verify=0,commonname=foo"}, donor: end{ca: tca, cert: foreign.pem(t)}},
		{name: "B4 nobody verifies, unrelated certificates, no tca",
			joiner: end{cert: self.pem(t), sockopt: "verify=0"}, donor: end{cert: foreign.pem(t), sockopt: "verify=0"}},
		{name: "B5 no tca on the donor: the system's authorities", joiner: end{ca: tca, cert: self.pem(t)}, donor: end{cert: leaf2.pem(t)},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"self-signed and not in the authorities of the system"}},
		{name: "B6 no tca on the joiner: the system's authorities", joiner: end{cert: leaf.pem(t)}, donor: end{ca: tca, cert: self.pem(t)},
			joinerSees: []string{"self-signed and not in the authorities of the system"}, donorSees: []string{"does not know the authority"}},
		{name: "no tca: certificates of the system's authority",
			joiner: end{cert: issue(t, spec{cn: "localhost", by: systemAuthority}).pem(t)}, donor: end{cert: issue(t, spec{cn: "d", by: systemAuthority}).pem(t)}},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t) })
	}
}

func TestGoldenDatesAndPurposes(t *testing.T) {
	ca := newCA(t, "cluster CA")
	tca := bundle(t, ca)
	good := issue(t, spec{cn: "localhost", by: ca}).pem(t)
	now := time.Now()
	date := func(d time.Time) string { return d.UTC().Format(dateForm) }
	past, future := now.Add(-48*time.Hour), now.Add(48*time.Hour)
	expired := issue(t, spec{cn: "localhost", by: ca, from: now.Add(-72 * time.Hour), until: past}).pem(t)
	early := issue(t, spec{cn: "localhost", by: ca, from: future, until: now.Add(72 * time.Hour)}).pem(t)
	selfExpired := issue(t, spec{cn: "localhost", from: now.Add(-72 * time.Hour), until: past})
	withUsage := func(u ...x509.ExtKeyUsage) string { return issue(t, spec{cn: "localhost", by: ca, usage: u}).pem(t) }
	server, client := withUsage(x509.ExtKeyUsageServerAuth), withUsage(x509.ExtKeyUsageClientAuth)
	both := withUsage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	expiredCA := issue(t, spec{cn: "old CA", ca: true, from: now.Add(-72 * time.Hour), until: past})

	for _, r := range []row{
		{name: "B12 the joiner's certificate has expired", joiner: end{ca: tca, cert: expired}, donor: end{ca: tca, cert: good},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"CN=localhost expired on " + date(past), "hint: renew the certificate in tcert on the joiner"}},
		{name: "B12 the donor's certificate has expired", joiner: end{ca: tca, cert: good}, donor: end{ca: tca, cert: expired},
			joinerSees: []string{"expired on " + date(past)}, donorSees: []string{"says our certificate has expired"}},
		{name: "B12 the joiner's certificate is not valid yet", joiner: end{ca: tca, cert: early}, donor: end{ca: tca, cert: good},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"is not valid before " + date(future), "clock"}},
		{name: "B12 the donor's certificate is not valid yet", joiner: end{ca: tca, cert: good}, donor: end{ca: tca, cert: early},
			joinerSees: []string{"is not valid before " + date(future)}, donorSees: []string{"not valid yet"}},
		{name: "B12 expired, and the donor does not verify", joiner: end{ca: tca, cert: expired}, donor: end{ca: tca, cert: good, sockopt: "verify=0"}},
		{name: "F15 a self-signed certificate that is in tca itself, expired",
			joiner: end{ca: bundle(t, selfExpired), cert: selfExpired.pem(t)}, donor: end{ca: bundle(t, selfExpired), cert: selfExpired.pem(t)},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"expired on"}},
		{name: "an expired authority is named itself",
			joiner: end{ca: bundle(t, expiredCA), cert: issue(t, spec{cn: "localhost", by: expiredCA}).pem(t)}, donor: end{ca: bundle(t, expiredCA), cert: good},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"CN=old CA expired on"}},
		{name: "B16 serverAuth alone on the donor", joiner: end{ca: tca, cert: good}, donor: end{ca: tca, cert: server},
			joinerSees: []string{"extended key usage", "for a donor", "serverAuth, clientAuth"}, donorSees: []string{"refused our certificate"}},
		{name: "B16 clientAuth alone on the joiner", joiner: end{ca: tca, cert: client}, donor: end{ca: tca, cert: good},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"extended key usage", "for a joiner"}},
		{name: "B16 each for its own side", joiner: end{ca: tca, cert: server}, donor: end{ca: tca, cert: client}},
		{name: "both purposes on both sides", joiner: end{ca: tca, cert: both}, donor: end{ca: tca, cert: both}},
		{name: "F13 a thousand years of validity", joiner: end{ca: tca, cert: issue(t, spec{cn: "localhost", by: ca, until: now.AddDate(1000, 0, 0)}).pem(t)}, donor: end{ca: tca, cert: good}},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t) })
	}
}

func TestGoldenChains(t *testing.T) {
	root := newCA(t, "root")
	inter := issue(t, spec{cn: "intermediate", ca: true, by: root})
	inter2 := issue(t, spec{cn: "lower intermediate", ca: true, by: inter})
	leaf := issue(t, spec{cn: "localhost", by: inter})
	deep := issue(t, spec{cn: "localhost", by: inter2})
	peer := issue(t, spec{cn: "localhost", by: root}).pem(t)
	troot := bundle(t, root)
	twinA, twinB := issue(t, spec{cn: "localhost"}), issue(t, spec{cn: "localhost"})

	for _, r := range []row{
		{name: "B14 leaf and intermediate in tcert", joiner: end{ca: troot, cert: leaf.pem(t, inter)}, donor: end{ca: troot, cert: peer}},
		{name: "B14 the same as client certificate", joiner: end{ca: troot, cert: peer}, donor: end{ca: troot, cert: leaf.pem(t, inter)}},
		{name: "B14 two intermediates in any order", joiner: end{ca: troot, cert: deep.pem(t, inter, inter2)}, donor: end{ca: troot, cert: peer}},
		{name: "B14b no intermediate sent", joiner: end{ca: troot, cert: leaf.pem(t)}, donor: end{ca: troot, cert: peer},
			joinerSees: []string{"refused our certificate"},
			donorSees:  []string{"was issued by CN=intermediate", "if it is an intermediate, behind the certificate in tcert on the joiner"}},
		{name: "B14b only the upper intermediate is missing", joiner: end{ca: troot, cert: deep.pem(t, inter2)}, donor: end{ca: troot, cert: peer},
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"was issued by CN=intermediate, which"}},
		{name: "B14e different from socat: an intermediate in tca is an anchor", joiner: end{ca: troot, cert: leaf.pem(t)}, donor: end{ca: bundle(t, inter), cert: peer}},
		{name: "B14g the intermediate in the sender's own tca is sent along",
			joiner: end{ca: bundle(t, root, inter), cert: leaf.pem(t)}, donor: end{ca: troot, cert: peer}},
		{name: "B14g two of them, for the donor", joiner: end{ca: troot, cert: peer}, donor: end{ca: bundle(t, inter2, inter, root), cert: deep.pem(t)}},
		{name: "F16 two self-signed certificates of one name in tca",
			joiner: end{ca: bundle(t, twinA, twinB), cert: twinA.pem(t)}, donor: end{ca: bundle(t, twinB, twinA), cert: twinB.pem(t)}},
		{name: "F17 the same certificate twice in tca", joiner: end{ca: bundle(t, twinA, twinA), cert: twinA.pem(t)}, donor: end{ca: bundle(t, twinA, twinA), cert: twinA.pem(t)}},
	} {
		t.Run(r.name, func(t *testing.T) { r.run(t) })
	}
}

func TestGoldenKeysAndVersions(t *testing.T) {
	ca := newCA(t, "cluster CA")
	tca := bundle(t, ca)
	ec := issue(t, spec{cn: "localhost", by: ca}).pem(t)
	p384 := issue(t, spec{cn: "localhost", by: ca, key: ecKey(t, elliptic.P384())}).pem(t)
	ed := issue(t, spec{cn: "localhost", by: ca, key: edKey(t)}).pem(t)
	rsa := issue(t, spec{cn: "localhost", by: ca, key: rsaKey()}).pem(t)
	const only12 = "max-version=TLS1.2"

	for _, tt := range []struct {
		row
		version uint16
		cipher  string // how its name begins
	}{
		{row{name: "A1 TLS 1.3 without further ado", joiner: end{cert: ec}, donor: end{cert: ec}}, stdtls.VersionTLS13, ""},
		{row{name: "B15 P-384", joiner: end{cert: p384}, donor: end{cert: p384}}, stdtls.VersionTLS13, ""},
		{row{name: "B15 Ed25519", joiner: end{cert: ed}, donor: end{cert: ed}}, stdtls.VersionTLS13, ""},
		{row{name: "B15, H3 Ed25519 with TLS 1.2", joiner: end{cert: ed}, donor: end{cert: ed, sockopt: only12}}, stdtls.VersionTLS12, ""},
		{row{name: "I1 wider than socat: P-384 with TLS 1.2", joiner: end{cert: p384, sockopt: only12}, donor: end{cert: p384}}, stdtls.VersionTLS12, ""},
		{row{name: "C1 the TripleO list of 2018 on both sides", joiner: end{cert: rsa, sockopt: "cipher=" + tripleO2018}, donor: end{cert: rsa, sockopt: "cipher=" + tripleO2018}}, stdtls.VersionTLS13, ""},
		{row{name: "C1 the same with TLS 1.2", joiner: end{cert: rsa, sockopt: only12 + ",cipher=" + tripleO2018}, donor: end{cert: rsa, sockopt: "cipher=" + tripleO2018}},
			stdtls.VersionTLS12, "TLS_ECDHE_RSA_WITH_"},
		{row{name: "C1d the list of 2017 with TLS 1.2: RSA key exchange", joiner: end{cert: rsa, sockopt: only12 + ",cipher=" + tripleO2017}, donor: end{cert: rsa, sockopt: "cipher=" + tripleO2017}},
			stdtls.VersionTLS12, "TLS_RSA_WITH_AES_"},
		{row{name: "C2 a list has no effect on TLS 1.3", joiner: end{cert: rsa, sockopt: "cipher=AES128-SHA256"}, donor: end{cert: rsa, sockopt: "cipher=AES256-SHA"}}, stdtls.VersionTLS13, ""},
		{row{name: "C2 a list with TLS 1.2", joiner: end{cert: rsa, sockopt: "cipher=AES128-SHA256"}, donor: end{cert: rsa, sockopt: only12 + ",cipher=AES128-SHA256"}},
			stdtls.VersionTLS12, "TLS_RSA_WITH_AES_128_CBC_SHA256"},
		{row: row{name: "C2 disjoint lists with TLS 1.2", joiner: end{cert: rsa, sockopt: "cipher=AES128-SHA256"}, donor: end{cert: rsa, sockopt: only12 + ",cipher=AES256-SHA"},
			joinerSees: []string{"no cipher in common", "compare cipher"}, donorSees: []string{"found no common cipher", "compare cipher"}}},
		{row{name: "a list without anything here leaves TLS 1.3", joiner: end{cert: rsa, sockopt: "cipher=kEDH"}, donor: end{cert: rsa}}, stdtls.VersionTLS13, ""},
		{row: row{name: "C4 minimum 1.3 against maximum 1.2", joiner: end{cert: ec, sockopt: "min-version=TLS1.3"}, donor: end{cert: ec, sockopt: only12},
			joinerSees: []string{"no TLS version in common"}, donorSees: []string{"does not speak our TLS versions"}}},
		{row{name: "C4 a version in other words", joiner: end{cert: ec, sockopt: "min-version=TLSv1.3"}, donor: end{cert: ec, sockopt: "openssl-min-proto-version=tls1.2"}}, stdtls.VersionTLS13, ""},
		{row{name: "D4 the last of several versions counts", joiner: end{cert: ec, sockopt: "max-version=TLS1.3," + only12}, donor: end{cert: ec}}, stdtls.VersionTLS12, ""},
		{row: row{name: "H4 TLS 1.2, the donor is not trusted", joiner: end{cert: ec}, donor: end{cert: issue(t, spec{cn: "x"}).pem(t), sockopt: only12},
			joinerSees: []string{"self-signed and not in tca"}, donorSees: []string{"does not know the authority"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.joiner.ca, tt.donor.ca = tca, tca
			o := tt.run(t)
			if len(tt.donorSees) > 0 || o.donor == nil || o.joiner == nil {
				return
			}
			p := o.donor.Peer()
			if p.Version != stdtls.VersionName(tt.version) || !strings.HasPrefix(p.Cipher, tt.cipher) {
				t.Errorf("%s with %s, want %s %s", p.Version, p.Cipher, stdtls.VersionName(tt.version), tt.cipher)
			}
			if q := o.joiner.Peer(); q.Version != p.Version || q.Cipher != p.Cipher {
				t.Errorf("the joiner says %s %s, the donor %s %s", q.Version, q.Cipher, p.Version, p.Cipher)
			}
		})
	}
}
