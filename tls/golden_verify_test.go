package tls

import (
	"crypto/x509"
	"testing"
	"time"
)

// goldenVerify are the rows B about verify, dates and purposes.
func goldenVerify(t *testing.T) []golden {
	ca, other := newCA(t, "cluster CA"), newCA(t, "other CA")
	tca := bundle(t, ca)
	self := issue(t, spec{cn: "localhost"})
	cert := func(s spec) string {
		if s.by == nil {
			s.by = ca
		}
		return issue(t, s).pem(t)
	}
	leaf, named, foreign := cert(spec{cn: "localhost"}), cert(spec{cn: "node1.my.cluster"}), cert(spec{cn: "localhost", by: other})
	joiner, donor := end{ca: tca, cert: leaf}, end{ca: tca, cert: cert(spec{cn: "donor.my.cluster"})}
	with := func(e end, sockopt string) end { e.sockopt = sockopt; return e }
	bad := func(e end, cert string) end { e.cert = cert; return e }
	refusesDonor := golden{joinerSees: []string{"not in tca"}, donorSees: []string{"does not know the authority"}}
	refusesJoiner := golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"not in tca"}}
	row := func(label, what string, j, d end, as golden) golden {
		as.label, as.what, as.joiner, as.donor = label, what, j, d
		return as
	}
	twice := golden{noLoad: []string{"stands before it, and socat refuses connections when this option stands twice", "hint: remove one of them"}}

	now := time.Now()
	date := func(d time.Time) string { return d.UTC().Format(dateForm) }
	past, future := now.Add(-48*time.Hour), now.Add(48*time.Hour)
	expired := cert(spec{cn: "localhost", from: now.Add(-72 * time.Hour), until: past})
	early := cert(spec{cn: "localhost", from: future, until: now.Add(72 * time.Hour)})
	selfExpired := issue(t, spec{cn: "localhost", from: now.Add(-72 * time.Hour), until: past})
	tselfExpired := bundle(t, selfExpired)
	oldCA := issue(t, spec{cn: "old CA", ca: true, from: now.Add(-72 * time.Hour), until: past})
	tOldCA := bundle(t, oldCA)
	usage := func(u ...x509.ExtKeyUsage) string { return cert(spec{cn: "localhost", usage: u}) }
	server, client := usage(x509.ExtKeyUsageServerAuth), usage(x509.ExtKeyUsageClientAuth)
	both := usage(x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)

	return []golden{
		row("B1", "no name is wanted, and none said", bad(joiner, named), with(donor, "commonname=,no-sni=1"), golden{}),
		row("B1", "no name is wanted, another said", bad(joiner, named), with(donor, "commonname=,snihost=x"), golden{}),
		row("B1", "the chain counts still", bad(joiner, foreign), with(donor, "commonname=,no-sni=1"), refusesJoiner),
		row("B2", "the donor verifies neither chain nor name", bad(joiner, foreign), end{ca: tca, cert: donor.cert, host: "127.0.0.1", sockopt: "verify=0"}, golden{}),
		row("B2", "it still sends its certificate", joiner, end{ca: tca, cert: foreign, sockopt: "verify=0"}, refusesDonor),
		row("B3", "the joiner does not verify, the donor has no certificate", with(joiner, "verify=0"), end{ca: tca},
			golden{noLoad: []string{"tcert: is not set"}, socatDonor: connects, socats: connects, differs: "the script, too, demands tcert on both sides"}),
		row("B3", "the donor is not trusted", with(joiner, "verify=0"), bad(donor, foreign), golden{}),
		row("B3", "no name is looked at either", with(joiner, "verify=0,commonname=foo"), bad(donor, foreign), golden{}),
		row("B4", "nobody verifies, unrelated certificates, no tca", end{cert: self.pem(t), sockopt: "verify=0"}, end{cert: foreign, sockopt: "verify=0"}, golden{}),
		row("B5", "no tca on the donor: the system's authorities", bad(joiner, self.pem(t)), end{cert: donor.cert},
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"self-signed and not in the authorities of the system"}}),
		row("B6", "no tca on the joiner: the system's authorities", end{cert: leaf}, bad(donor, self.pem(t)),
			golden{joinerSees: []string{"self-signed and not in the authorities of the system"}, donorSees: []string{"does not know the authority"}}),
		row("B6", "a certificate of the system's authority", end{cert: cert(spec{cn: "localhost", by: systemAuthority})}, end{cert: cert(spec{cn: "d", by: systemAuthority})}, golden{}),
		row("B7", "a joiner without certificate", end{ca: tca}, donor, golden{noLoad: []string{"tcert: is not set"}}),
		row("B8", "a joiner with a key alone", end{ca: tca, key: leaf}, donor, golden{noLoad: []string{"tcert: is not set"}}),
		row("B9", "verify on and off", with(joiner, "verify=1,verify=0"), donor, twice),
		row("B9", "verify off and on", with(joiner, "verify=0,verify=1"), donor, twice),
		row("B9", "the same under two names", with(joiner, "verify=0,openssl-verify=0"), donor, twice),
		row("B10", "bare is on", with(joiner, "verify"), donor, golden{}),
		row("B10", "bare is on: a stranger", with(joiner, "verify"), bad(donor, foreign), refusesDonor),
		row("B10", "any number is on", with(joiner, "verify=2"), bad(donor, foreign), refusesDonor),
		row("B11", "a word", with(joiner, "verify=no"), donor, golden{noLoad: []string{"sockopt verify=no", "is not a number"}}),
		row("B11", "nothing", with(joiner, "verify="), donor, golden{noLoad: []string{"is not a number"}}),
		row("B11", "a blank behind the number", with(joiner, "verify='0 '"), donor, golden{noLoad: []string{"is not a number"}}),
		row("B11", "0 in quotes", with(joiner, `verify="0"`), bad(donor, foreign), golden{}),
		row("B11", "0 in hexadecimal", with(joiner, "verify=0x0"), bad(donor, foreign), golden{}),
		row("B11", "a blank before the number", with(joiner, "verify=' 0'"), bad(donor, foreign), golden{}),

		row("B12", "the joiner's certificate has expired", bad(joiner, expired), donor,
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"CN=localhost expired on " + date(past), "hint: renew the certificate in tcert on the joiner"}}),
		row("B12", "the donor's certificate has expired", joiner, bad(donor, expired),
			golden{joinerSees: []string{"expired on " + date(past)}, donorSees: []string{"says our certificate has expired"}}),
		row("B12", "the joiner's certificate is not valid yet", bad(joiner, early), donor,
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"is not valid before " + date(future), "clock"}}),
		row("B12", "the donor's certificate is not valid yet", joiner, bad(donor, early),
			golden{joinerSees: []string{"is not valid before " + date(future)}, donorSees: []string{"not valid yet"}}),
		row("B12", "expired, and the donor does not verify", bad(joiner, expired), with(donor, "verify=0"), golden{}),
		row("F15", "an expired certificate that is itself in tca", end{ca: tselfExpired, cert: selfExpired.pem(t)}, end{ca: tselfExpired, cert: selfExpired.pem(t)},
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"expired on"}}),
		row("B12", "an expired authority is named itself", end{ca: tOldCA, cert: cert(spec{cn: "localhost", by: oldCA})}, end{ca: tOldCA, cert: donor.cert},
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"CN=old CA expired on"}}),
		row("F13", "a thousand years of validity", bad(joiner, cert(spec{cn: "localhost", until: now.AddDate(1000, 0, 0)})), donor, golden{}),

		row("B16", "serverAuth alone on the donor", joiner, bad(donor, server),
			golden{joinerSees: []string{"extended key usage", "for a donor", "serverAuth, clientAuth"}, donorSees: []string{"refused our certificate"}}),
		row("B16", "clientAuth alone on the joiner", bad(joiner, client), donor,
			golden{joinerSees: []string{"refused our certificate"}, donorSees: []string{"extended key usage", "for a joiner"}}),
		row("B16", "serverAuth alone on the joiner", bad(joiner, server), donor, golden{}),
		row("F14", "each for its own side", bad(joiner, server), bad(donor, client), golden{}),
		row("F14", "both purposes on both sides", bad(joiner, both), bad(donor, both), golden{}),
	}
}
