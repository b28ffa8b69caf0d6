package tls

import "testing"

// goldenNames are the rows A: whom the donor and the joiner take for the right one.
func goldenNames(t *testing.T) []golden {
	ca, other := newCA(t, "cluster CA"), newCA(t, "other CA")
	tca := bundle(t, ca)
	self := issue(t, spec{cn: "localhost"})
	tself := bundle(t, self)
	leaf := issue(t, spec{cn: "localhost", by: ca})
	leaf2 := issue(t, spec{cn: "donor.my.cluster", by: ca})
	foreign := issue(t, spec{cn: "localhost", by: other})
	donor := leaf2.pem(t)
	cert := func(s spec) string {
		s.by = ca
		return issue(t, s).pem(t)
	}
	wild := cert(spec{cn: "*.my.cluster"})
	wildSAN := cert(spec{cn: "whatever.my.cluster.x", dns: []string{"*.my.cluster"}})
	named := cert(spec{cn: "node1.my.cluster"})

	// name is a case in which only the joiner's certificate and the wanted name matter.
	name := func(label, what, joiner, want string, ok bool) golden {
		g := golden{label: label, what: what, joiner: end{ca: tca, cert: joiner}, donor: end{ca: tca, cert: donor, host: want}}
		if !ok {
			g.donorSees = []string{"wanted name", want, "hint: the joiner's certificate needs that name"}
			g.joinerSees = []string{"refused our certificate"}
		}
		return g
	}
	localhost := end{ca: tca, cert: leaf.pem(t)}
	d := end{ca: tca, cert: donor}
	with := func(e end, sockopt string) end { e.sockopt = sockopt; return e }
	noName := end{ca: tca, cert: cert(spec{})}
	const emptySNI = "socat 1.7.4 makes an empty SNI name of it and fails; 1.8 and we do not"
	weakNUL := name("A6", "not copied: a NUL byte ends the CN", cert(spec{cn: "localhost\x00.evil.example"}), "localhost", false)
	weakNUL.socats, weakNUL.socatDonor, weakNUL.socatJoiner = untried, untried, untried
	weakWild := name("A8", "not copied: a wildcard for a part of an IP address", cert(spec{cn: "*.0.0.1"}), "127.0.0.1", false)
	weakWild.socats, weakWild.socatDonor = connects, connects
	weakWild.differs = "a wildcard never stands for a part of an address here"

	return []golden{
		{label: "A1", what: "one self-signed certificate on both sides", joiner: end{ca: tself, cert: self.pem(t)}, donor: end{ca: tself, cert: self.pem(t)}, version: "TLS 1.3"},
		name("A2", "a CN of a name is not the address", leaf.pem(t), "127.0.0.1", false),
		name("A3", "a CN may be an address", cert(spec{cn: "127.0.0.1"}), "127.0.0.1", true),
		name("A4", "a SAN without any CN", cert(spec{dns: []string{"localhost"}}), "localhost", true),
		name("A5", "the CN counts beside a SAN of another name", cert(spec{cn: "localhost", dns: []string{"other.example"}}), "localhost", true),
		name("A6", "a SAN of the kind IP", cert(spec{cn: "x", ips: []string{"127.0.0.1"}}), "127.0.0.1", true),
		name("A6", "an IP is not the name", cert(spec{cn: "x", ips: []string{"127.0.0.1"}}), "localhost", false),
		weakNUL,
		name("A7", "an upper case CN is another name", cert(spec{cn: "LOCALHOST"}), "localhost", false),
		name("A7", "an upper case host is another name", leaf.pem(t), "LOCALHOST", false),
		name("A8", "one label below", wild, "node1.my.cluster", true),
		name("A8", "the domain itself", wild, "my.cluster", true),
		name("A8", "an empty label", wild, ".my.cluster", true),
		name("A8", "upper case in the wild part", wild, "NODE1.my.cluster", true),
		name("A8", "the pattern itself", wild, "*.my.cluster", true),
		name("A8", "two labels below", wild, "a.b.my.cluster", false),
		weakWild,
		name("A9", "one label below", wildSAN, "node1.my.cluster", true),
		name("A9", "the domain itself", wildSAN, "my.cluster", true),
		name("A9", "the CN beside it", wildSAN, "whatever.my.cluster.x", true),
		name("A9", "two labels below", wildSAN, "a.b.my.cluster", false),
		{label: "A10", what: "a certificate without any name", joiner: noName, donor: d,
			donorSees: []string{"bears no name at all and not the wanted name localhost"}, joinerSees: []string{"refused our certificate"}},
		{label: "A10", what: "an empty commonname wants none", joiner: noName, donor: with(d, "commonname="), socatDonor: fails, socats: fails, differs: emptySNI},
		{label: "A10", what: "the same in quotes", joiner: noName, donor: with(d, `commonname=""`), socatDonor: fails, socats: fails, differs: emptySNI},
		{label: "A10", what: "a bare commonname", joiner: noName, donor: with(d, "commonname"), noLoad: []string{"sockopt commonname", "a value is required"}},
		name("A11", "the second CN is not looked at", cert(spec{cns: []string{"other", "localhost"}}), "localhost", false),
		name("A11", "the first is", cert(spec{cns: []string{"localhost", "other"}}), "localhost", true),
		{label: "A12", what: "certificates of one authority", joiner: localhost, donor: d},
		{label: "A13", what: "the joiner wants no name by default", joiner: localhost, donor: d},
		{label: "A13", what: "it wants the donor's name", joiner: with(localhost, "commonname=donor.my.cluster"), donor: d},
		{label: "A13", what: "it wants another one", joiner: with(localhost, "commonname=foo"), donor: d,
			joinerSees: []string{"bears CN=donor.my.cluster and not the wanted name foo", "hint: sockopt commonname"}, donorSees: []string{"refused our certificate"}},
		{label: "A13", what: "an empty commonname is no check", joiner: with(localhost, "commonname="), donor: d},
		{label: "A14", what: "a donor without certificate", joiner: localhost, donor: end{ca: tca}, noLoad: []string{"tcert: is not set", "hint: set tcert"}},
		{label: "A15", what: "the donor's certificate is not trusted", joiner: localhost, donor: end{ca: tca, cert: foreign.pem(t)},
			joinerSees: []string{"was issued by CN=other CA, which is not in tca", "hint: the certificate of CN=other CA belongs into tca"},
			donorSees:  []string{"does not know the authority that signed our certificate (tcert", "must be in its tca"}},
		{label: "A15", what: "the donor's self-signed certificate is not trusted", joiner: localhost, donor: end{ca: tca, cert: self.pem(t)},
			joinerSees: []string{"is self-signed and not in tca", "hint: append the certificate of the donor to tca"}, donorSees: []string{"does not know the authority"}},
		{label: "A16", what: "the joiner's certificate is not trusted", joiner: end{ca: tca, cert: foreign.pem(t)}, donor: d,
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"was issued by CN=other CA, which is not in tca"}},
		{label: "A17", what: "the address is another name than the certificate's", joiner: end{ca: tca, cert: named}, donor: d,
			joinerSees: []string{"refused our certificate"}, donorSees: []string{"bears CN=node1.my.cluster and not the wanted name localhost"}},
		{label: "A17", what: "commonname makes it the wanted one", joiner: end{ca: tca, cert: named}, donor: with(d, "commonname=node1.my.cluster")},
		{label: "A18", what: "a bundle of a self-signed certificate and an authority",
			joiner: end{ca: bundle(t, self, ca), cert: self.pem(t)}, donor: end{ca: bundle(t, ca, self), cert: donor}},
		{label: "A18b", what: "only the peer's leaf is trusted", joiner: end{ca: bundle(t, leaf2), cert: leaf.pem(t)}, donor: end{ca: bundle(t, leaf), cert: donor},
			socatJoiner: fails, socatDonor: fails, socats: fails, differs: "every member of tca is an anchor here, also a leaf"},
	}
}
