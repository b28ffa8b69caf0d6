package tls

import (
	stdtls "crypto/tls"
	"strings"
	"testing"
)

// pair is what the rows about options have in common: certificates that fit.
type pair struct{ joiner, donor end }

func newPair(t *testing.T, key spec) pair {
	t.Helper()
	ca := newCA(t, "cluster CA")
	tca := bundle(t, ca)
	key.cn, key.by = "localhost", ca
	cert := issue(t, key).pem(t)
	return pair{end{ca: tca, cert: cert}, end{ca: tca, cert: cert}}
}

// case with sockopts on both sides.
func (p pair) with(label, what, joiner, donor string) golden {
	p.joiner.sockopt, p.donor.sockopt = joiner, donor
	return golden{label: label, what: what, joiner: p.joiner, donor: p.donor}
}

func (g golden) refused(pieces ...string) golden { g.noLoad = pieces; return g }

func (g golden) by(version, cipher string) golden {
	g.version, g.cipher = version, cipher
	return g
}

// but is a case in which socat does otherwise on both sides, or on the one that
// has the options.
func (g golden) but(v verdict, differs string) golden {
	g.socats, g.differs = v, differs
	if g.joiner.sockopt != "" {
		g.socatJoiner = v
	}
	if g.donor.sockopt != "" {
		g.socatDonor = v
	}
	return g
}

// goldenTLS are the rows C and H: versions, ciphers, and options of TLS.
func goldenTLS(t *testing.T) []golden {
	rsa, ec := newPair(t, spec{key: rsaKey()}), newPair(t, spec{})
	ed := newPair(t, spec{key: edKey(t)})
	const only12 = "max-version=TLS1.2"
	list18, list17 := "cipher="+tripleO2018, "cipher="+tripleO2017
	v12, v13 := stdtls.VersionName(stdtls.VersionTLS12), stdtls.VersionName(stdtls.VersionTLS13)

	disjoint := rsa.with("C2", "disjoint lists, TLS 1.2", "cipher=AES128-SHA256", only12+",cipher=AES256-SHA")
	disjoint.joinerSees, disjoint.donorSees = []string{"no cipher in common", "compare cipher"}, []string{"found no common cipher", "compare cipher"}
	apart := ec.with("C4", "minimum 1.3 against maximum 1.2", "min-version=TLS1.3", only12)
	apart.joinerSees, apart.donorSees = []string{"no TLS version in common"}, []string{"does not speak our TLS versions"}
	foreign := issue(t, spec{cn: "x"}).pem(t)
	untrusted := ec.with("H5", "the donor is not trusted", "", only12)
	untrusted.donor.cert = foreign
	untrusted.joinerSees, untrusted.donorSees = []string{"self-signed and not in tca"}, []string{"does not know the authority"}
	bare := ec.with("H4", "a donor without certificate", "", only12).refused("tcert: is not set")
	bare.donor.cert = ""
	const newer = "no option of this socat; others have it"

	return []golden{
		rsa.with("C1", "the TripleO list of 2018 on both sides", list18, list18).by(v13, ""),
		rsa.with("C1", "the same with TLS 1.2", list18+","+only12, list18).by(v12, "TLS_ECDHE_RSA_WITH_"),
		rsa.with("C1d", "the list of 2017 with TLS 1.2: RSA key exchange", list17+","+only12, list17).by(v12, "TLS_RSA_WITH_AES_"),
		rsa.with("C2", "a list has no effect on TLS 1.3", "cipher=AES128-SHA256", "").by(v13, ""),
		rsa.with("C2", "a list with TLS 1.2", "cipher=AES128-SHA256", only12+",cipher=AES128-SHA256").by(v12, "TLS_RSA_WITH_AES_128_CBC_SHA256"),
		rsa.with("C2", "disjoint lists", "cipher=AES128-SHA256", "cipher=AES256-SHA").by(v13, ""),
		disjoint,
		rsa.with("C3", "one unknown word", "cipher=foo", "").refused("sockopt cipher=foo", "no word"),
		rsa.with("C3", "an unknown word beside a known one", "cipher=foo:HIGH", ""),
		rsa.with("C3", "names of TLS 1.3 only", "cipher=TLS_AES_128_GCM_SHA256", "").refused("no word"),
		rsa.with("C3", "empty", "cipher=", "").refused("no word"),
		rsa.with("C3", "bare", "cipher", "").refused("a value is required"),
		rsa.with("C3", "no suite with a certificate: TLS 1.3 is left", "cipher=aNULL", "").by(v13, ""),
		rsa.with("C3", "no suite with a certificate, and TLS 1.2", "cipher=aNULL,"+only12, "").refused("has none of these ciphers"),
		rsa.with("C3f", "ciphersuites", "ciphersuites=TLS_AES_128_GCM_SHA256", "").refused("the ciphers of TLS 1.3 cannot be chosen"),
		rsa.with("C3i", "a security level", "cipher=DEFAULT@SECLEVEL=1", "cipher=DEFAULT@SECLEVEL=1").by(v13, ""),
		apart,
		ec.with("C4", "a version in lower case", "min-version=tls1.2", ""),
		ec.with("C4", "a version with a v", "min-version=TLSv1.2", "openssl-min-proto-version=TLSv1.3").by(v13, ""),
		ec.with("C4", "a version without its name", "min-version=1.2", "").refused("is not a version"),
		ec.with("C4", "DTLS as minimum has no effect", "min-version=DTLS1.2", ""),
		ec.with("C4", "the minimum above the maximum", "min-version=TLS1.3,"+only12, "").refused("is above max-version"),
		ec.with("C4", "the spelling of socat's manual", "min-proto-version=TLS1.2", "").but(fails, "socat's own manual has this name"),
		rsa.with("C4i", "TLS 1.1", "max-version=TLS1.1", "max-version=TLS1.1").refused("TLS 1.2 is the lowest version here"),
		rsa.with("C4k", "TLS 1.1 with a security level of 0", "max-version=TLS1.1,cipher=DEFAULT@SECLEVEL=0", "max-version=TLS1.1,cipher=DEFAULT@SECLEVEL=0").
			refused("TLS 1.2 is the lowest version here").both(connects, "TLS 1.2 is the lowest version here"),
		ec.with("C5", "method=TLS1.2", "method=TLS1.2", "").by(v12, "").but(fails, newer),
		ec.with("C5", "method=SSL23 negotiates", "method=SSL23", "opensslmethod=ssl23").by(v13, "").but(fails, newer),
		ec.with("C5", "method=TLS1", "method=TLS1", "").refused("TLS 1.2 is the lowest version here"),
		ec.with("C5", "DTLS 1.0", "method=DTLS1", "").refused("DTLS 1.0 is not spoken", "method=DTLS1.2"),
		ec.with("C6", "none", "compress=none", "compress=none"),
		ec.with("C6", "auto", "compress=auto", "compress=auto"),
		ec.with("C6", "zlib", "compress=zlib", "").refused("is not none or auto"),
		ec.with("C6", "bare", "compress", "").refused("a value is required"),
		ec.with("C7", "fips off", "fips=0", "fips=0").but(fails, newer),
		ec.with("C7", "fips on", "fips=1", "").refused("does not run in FIPS mode", "GODEBUG=fips140=on"),
		ec.with("C7d", "sizes of records", "maxfraglen=4096,maxsendfrag=4096", "").but(fails, newer),
		ec.with("C8", "no SNI on the donor", "", "no-sni"),
		ec.with("C8", "another SNI on the donor", "", "snihost=node1.my.cluster"),
		ec.with("C8", "no SNI on the joiner", "no-sni=1", "").but(fails, "an option of the other side is quiet here"),
		ec.with("C8", "SNI on the joiner", "snihost=x", "").but(fails, "an option of the other side is quiet here"),
		ed.with("H3", "Ed25519 with TLS 1.2", "", only12).by(v12, ""),
		bare,
		untrusted,
	}
}

// both is but for a case in which only two socats do otherwise.
func (g golden) both(v verdict, differs string) golden {
	g.socats, g.differs = v, differs
	return g
}

// goldenGrammar are the rows D and E: how a sockopt is read.
func goldenGrammar(t *testing.T) []golden {
	p := newPair(t, spec{})
	ca := newCA(t, "another CA")
	wanted := func(label, what, sockopt, cn string) golden {
		g := p.with(label, what, sockopt, "")
		donor := issue(t, spec{cn: cn, by: ca})
		g.joiner.ca, g.donor.cert = bundle(t, ca), donor.pem(t)
		return g
	}
	const twice = "stands before it"
	const restricts = "socat 1.7.4 does not start with an option of the other side; here it is quiet"
	undefined := p.with("D5", "an open single quote", "commonname='a", "").refused("quote ' is not closed")
	undefined.socatJoiner, undefined.socats = untried, untried // it reads past the end
	bracket := wanted("D5", "an open bracket reaches to the end", "commonname=(a,b", "(a,b")
	bracket.socatJoiner, bracket.socats = untried, untried // it reads on in the next argument
	file := p.joiner.cert
	dup := func(what, sockopt, key string) golden {
		return p.with("D4", what, sockopt, "").refused("beside "+key, "and remove "+strings.Split(sockopt, "=")[0]+" from sockopt")
	}
	outside := p.with("E13", "a peer outside of the range", "range=10.0.0.0/8", "")
	outside.joinerSees, outside.donorSees = []string{"is outside of sockopt range=10.0.0.0/8"}, []string{"closed the connection before it said anything", "hint: look at the log of the joiner"}

	return []golden{
		p.with("D1", "a comma first", ",pf=ip4", ",pf=ip4"),
		p.with("D1", "a comma alone", ",", ","),
		p.with("D1", "commas everywhere", ",,,nodelay,,,", "nodelay,"),
		p.with("D2", "a blank before the name", "verify=1, nodelay", "").refused("hint: no blanks around the name"),
		p.with("D2", "a blank before the =", "verify =1", "").refused("hint: no blanks around the name"),
		p.with("D3", "an unknown name", "frobnicate", "").refused(`no option "frobnicate"`),
		p.with("D3", "a misspelt name", "sndbuff=1048576", "").refused(`no option "sndbuff"`, "hint: is sndbuf meant?"),
		p.with("D3", "an option of other addresses", "unlink-early", "").refused(`no option "unlink-early"`),
		dup("cafile beside tca", "cafile="+p.joiner.ca, "tca "),
		dup("cert beside tcert", "cert="+file, "tcert "),
		p.with("D4", "cipher twice", "cipher=HIGH,ciphers=HIGH", "").refused("sockopt ciphers=HIGH: cipher=HIGH " + twice),
		p.with("D4", "pf twice", "pf=ip4,pf=ip4", "").refused(twice),
		p.with("D4", "fork, which the script gives", "fork", "").but(fails, "all connections are served anyway: a warning"),
		p.with("D4", "bind on the joiner, which the script gives", "bind=127.0.0.1", "").but(fails, "a warning: the joiner listens where mariadbd says"),
		p.with("D4", "what may stand twice", "nodelay,nodelay,reuseaddr,reuseaddr,min-version=TLS1.2,min-version=TLS1.2", "nodelay,nodelay"),
		p.with("D4", "of several versions the last counts", "max-version=TLS1.3,max-version=TLS1.2", "").by("TLS 1.2", ""),
		p.with("D5", "a quote around name and value", `"verify=0"`, "").refused(`a quote may not enclose the "="`),
		p.with("D5", "an open double quote", `commonname="a`, "").refused(`quote " is not closed`),
		undefined,
		wanted("D5", "quotes anywhere in the value", `commonname=do'no'"r"`, "donor"),
		wanted("D5", `\0 ends the text`, `commonname=donor\0x`, "donor"),
		bracket,
		p.with("D5", "!! is a second address", "cipher=HIGH!!eNULL", "").refused(`"!!" would begin a second socat address`),
		p.with("D5", "a single ! is data", "cipher=HIGH:!eNULL", ""),
		wanted("D7", "colon and = are data", "commonname=a:b=c", "a:b=c"),
		wanted("D8", "a bar is data", "commonname=a|b", "a|b"),
		p.with("E1", "a family that is none", "pf=ip", "").refused("ip4 and ip6"),
		p.with("E1", "all words for one family", "pf=inet4", "protocol-family=2"),
		p.with("E4e", "no suffixes", "sndbuf=1M", "").refused("is not a number"),
		p.with("E4e", "a size as C writes numbers", "sndbuf=0x20000", "rcvbuf=0400000"),
		p.with("E9", "connect-timeout on the joiner", "connect-timeout=3", "").but(fails, restricts),
		p.with("E9", "connect-timeout on the donor", "", "connect-timeout=3.5"),
		p.with("E12", "backlog on the donor", "", "backlog=7").but(fails, restricts),
		p.with("E12", "backlog on the joiner", "backlog=7", ""),
		p.with("E13", "range on the donor", "", "range=127.0.0.0/8").but(fails, restricts),
		p.with("E13", "a peer inside of the range", "range=127.0.0.0/8", ""),
		p.with("E13", "with a mask", "range=127.0.0.0:255.0.0.0", ""),
		p.with("E13", "with a name", "range=localhost/32,pf=ip4", ""),
		p.with("E13", "without a mask", "range=127.0.0.1", "").refused("has no mask", "NETWORK/BITS"),
		outside,
		p.with("E14", "tcpwrap", "tcpwrap=x", "").refused("hosts.allow and hosts.deny are not read", "firewall").but(untried, ""),
		p.with("E14", "max-children on the donor", "", "max-children=3").but(fails, restricts),
		p.with("E14", "max-children on the joiner", "max-children=3", ""),
	}
}
