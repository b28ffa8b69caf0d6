package tls

import (
	stdtls "crypto/tls"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSockoptMeaning(t *testing.T) {
	name := func(s *settings) string {
		if s.commonname == nil {
			return "-"
		}
		return *s.commonname
	}
	for _, tt := range []struct {
		in string
		ok func(*settings) bool
	}{
		{"", func(s *settings) bool {
			return s.verify && s.commonname == nil && s.family == "" && s.suites == nil &&
				s.floor() == stdtls.VersionTLS12 && s.ceiling() == stdtls.VersionTLS13
		}},
		{"verify", func(s *settings) bool { return s.verify }},
		{"verify=2", func(s *settings) bool { return s.verify }},
		{"verify=-1", func(s *settings) bool { return s.verify }},
		{"verify=99999999999999999999999", func(s *settings) bool { return s.verify }},
		{"VERIFY=0", func(s *settings) bool { return !s.verify }},
		{"openssl-verify='0'", func(s *settings) bool { return !s.verify }},
		{`verify="0"`, func(s *settings) bool { return !s.verify }},
		{"verify=0x0", func(s *settings) bool { return !s.verify }},
		{"verify= 0", func(s *settings) bool { return !s.verify }},
		{"commonname=a", func(s *settings) bool { return name(s) == "a" }},
		{"openssl-commonname=a", func(s *settings) bool { return name(s) == "a" }},
		{"cn=(a,b)", func(s *settings) bool { return name(s) == "(a,b)" }},
		{"commonname=", func(s *settings) bool { return name(s) == "" }},
		{"commonname=''", func(s *settings) bool { return name(s) == "" }},
		{",pf=ip6", func(s *settings) bool { return s.family == "6" }},
		{"pf=IPv6", func(s *settings) bool { return s.family == "6" }},
		{"protocol-family=inet6", func(s *settings) bool { return s.family == "6" }},
		{"pf=10", func(s *settings) bool { return s.family == "6" }},
		{"pf=ip4", func(s *settings) bool { return s.family == "4" }},
		{"pf=inet", func(s *settings) bool { return s.family == "4" }},
		{"pf=0x2", func(s *settings) bool { return s.family == "4" }},
		{"pf=0", func(s *settings) bool { return s.family == "" }},
		{"cipher=AES128-SHA", func(s *settings) bool {
			return slices.Equal(s.suites, []uint16{stdtls.TLS_RSA_WITH_AES_128_CBC_SHA})
		}},
		{"ciphers=CHACHA20", func(s *settings) bool { return len(s.suites) == 2 }},
		{"cipherlist=CHACHA20", func(s *settings) bool { return len(s.suites) == 2 }},
		{"openssl-cipherlist=CHACHA20", func(s *settings) bool { return len(s.suites) == 2 }},
		{"cipher='CHACHA20,AES128-SHA'", func(s *settings) bool { return len(s.suites) == 3 }},
		{"min-version=tls1.3", func(s *settings) bool { return s.floor() == stdtls.VersionTLS13 }},
		{"min-proto-version=TLSv1.3", func(s *settings) bool { return s.floor() == stdtls.VersionTLS13 }},
		{"openssl-min-proto-version=TLS1.3", func(s *settings) bool { return s.floor() == stdtls.VersionTLS13 }},
		{"min-version=TLS1.3,min-version=TLS1.2", func(s *settings) bool { return s.floor() == stdtls.VersionTLS12 }},
		{"max-version=TLSv1.2", func(s *settings) bool { return s.ceiling() == stdtls.VersionTLS12 }},
		{"max-proto-version=TLS1.2", func(s *settings) bool { return s.ceiling() == stdtls.VersionTLS12 }},
		{"openssl-max-proto-version=TLS1.2", func(s *settings) bool { return s.ceiling() == stdtls.VersionTLS12 }},
		{"method=SSL23", func(s *settings) bool { return s.floor() == stdtls.VersionTLS12 && s.ceiling() == stdtls.VersionTLS13 }},
		{"opensslmethod=tls1.2", func(s *settings) bool { return s.floor() == stdtls.VersionTLS12 && s.ceiling() == stdtls.VersionTLS12 }},
		{"compress=none", func(s *settings) bool { return true }},
		{"fips=0", func(s *settings) bool { return true }},
		{"no-sni", func(s *settings) bool { return s.noSNI }},
		{"snihost=a", func(s *settings) bool { return *s.sniHost == "a" }},
		{"key=/a,cafile=/b,capath=/c,cert=/d", func(s *settings) bool { return s.key == "/a" && s.ca == "/b" && s.caPath == "/c" && s.cert == "/d" }},
		{"retry=2,interval=2", func(s *settings) bool { return s.retry == 2 && s.interval == 2*time.Second }},
		{"retry=600", func(s *settings) bool { return s.retry == 600 && s.interval == time.Second }},
		{"retry,forever", func(s *settings) bool { return s.retry == 1 && s.forever }},
		{"retry=5,retry=6", func(s *settings) bool { return s.retry == 6 }},
		{"interval=0.25", func(s *settings) bool { return s.interval == 250*time.Millisecond }},
		{"interval=0", func(s *settings) bool { return s.interval == minInterval }},
		{"accept-timeout=600", func(s *settings) bool { return s.acceptTimeout == 10*time.Minute }},
		{"listen-timeout=1.5", func(s *settings) bool { return s.acceptTimeout == 1500*time.Millisecond }},
		{"maxchildren=4", func(s *settings) bool { return s.maxChildren == 4 }},
		{"backlog=0x10", func(s *settings) bool { return *s.backlog == 16 }},
		{"sp=4445,lowport", func(s *settings) bool { return s.sourcePort == 4445 && s.lowPort }},
		{"nodelay,sndbuf=1048576,rcvbuf=1048576", func(s *settings) bool { return len(s.socket) == 3 }},
		{"max-version=SSL3", func(s *settings) bool { return s.ceiling() == stdtls.VersionTLS13 }},
	} {
		t.Run(tt.in, func(t *testing.T) {
			s, err := readSettings(Config{Sockopt: tt.in})
			wantErr(t, "readSettings", err)
			if err == nil && !tt.ok(s) {
				t.Errorf("%+v", s)
			}
			if err == nil && len(s.warnings) > 0 {
				t.Errorf("warnings %q", s.warnings)
			}
		})
	}
}

func TestSockoptWarnsOfWhatHasNoMeaningHere(t *testing.T) {
	for in, want := range map[string]string{
		"min-version=SSL3":                       "TLS 1.2 is the lowest version here",
		"min-version=TLS1":                       "TLS 1.2 is the lowest version here",
		"min-version=TLSv1.1":                    "TLS 1.2 is the lowest version here",
		"min-version=DTLS1.2":                    "this connection is TLS over TCP",
		"max-version=DTLSv1":                     "this connection is TLS over TCP",
		"cipher=kEDH":                            "only TLS 1.3 is left",
		"cipher=" + tripleO2017 + ":!kRSA":       "only TLS 1.3 is left",
		"cipher=AES128-SHA,min-version=TLS1.3":   "has no effect",
		"min-version=TLS1.3,max-version=DTLS1.2": "TLS over TCP",
		"compress=auto":                          "nothing is compressed",
		"linger=10":                              "linger=10 has no effect here",
		"dhparam=/no/such/file":                  "no key exchange here uses such parameters",
		"fork":                                   "all connections are served",
		"ip-recvttl-of-tomorrow=1":               "it means nothing for a TCP connection",
		"ai-addrconfig":                          "names are resolved as the host is configured",
		"su=nobody,su=root":                      "runs as the user of mariadbd",
	} {
		s, err := readSettings(Config{Sockopt: in})
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if all := strings.Join(s.warnings, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s: warnings %q lack %q", in, all, want)
		}
		if len(s.warnings) != 1 {
			t.Errorf("%s: not one warning: %q", in, s.warnings)
		}
	}
}

func TestSockoptRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		c        Config
		err      []string
	}{
		{"B11 verify takes a number", "verify=no", Config{}, []string{"sockopt verify=no", "not a number"}},
		{"B11 verify with nothing behind the =", "verify=", Config{}, []string{"not a number"}},
		{"B11 a blank behind the number", "verify=0 ", Config{}, []string{"not a number"}},
		{"A10d a bare commonname", "commonname", Config{}, []string{"a value is required"}},
		{"C3 a bare cipher", "cipher", Config{}, []string{"a value is required"}},
		{"C3 an empty cipher", "cipher=", Config{}, []string{"no word"}},
		{"C3 an unknown word as cipher", "cipher=foo", Config{}, []string{"sockopt cipher=foo", "no word"}},
		{"C3 only names of TLS 1.3", "cipher=TLS_AES_128_GCM_SHA256", Config{}, []string{"no word"}},
		{"C4 a version without its name", "min-version=1.2", Config{}, []string{"not a version"}},
		{"C4 a v before the name", "min-version=vTLS1.2", Config{}, []string{"not a version"}},
		{"C4 SSL2", "min-version=SSL2", Config{}, []string{"not a version"}},
		{"C4 minimum above maximum", "min-version=TLS1.3,max-version=TLS1.2", Config{}, []string{"TLS 1.3 is above max-version TLS 1.2"}},
		{"a maximum below TLS 1.2", "max-version=TLS1.1", Config{}, []string{"TLS 1.2 is the lowest"}},
		{"a maximum that leaves nothing of the list", "max-version=TLS1.2,cipher=kEDH", Config{}, []string{"has none of these ciphers", "hint: use a list with ECDHE"}},
		{"E1 an unknown family", "pf=ip", Config{}, []string{"sockopt pf=ip", "ip4 and ip6"}},
		{"a family that is not TCP's", "pf=1", Config{}, []string{"ip4 and ip6"}},

		{"B9 verify twice", "verify=1,verify=0", Config{}, []string{"sockopt verify=0", "verify=1 stands before it", "hint: remove one"}},
		{"B9 twice under two names", "verify=0,openssl-verify=0", Config{}, []string{"sockopt openssl-verify=0", "verify=0 stands before it"}},
		{"D4 cipher twice", "cipher=HIGH,ciphers=HIGH", Config{}, []string{"stands before it"}},
		{"D4 pf twice", "pf=ip4,pf=ip4", Config{}, []string{"stands before it"}},
		{"commonname twice", "cn=a,commonname=a", Config{}, []string{"stands before it"}},
		{"D4 cafile beside tca", "cafile=/a", Config{CA: "/b"}, []string{"sockopt cafile=/a", "beside tca /b", "hint: name the file you want in tca, and remove cafile from sockopt"}},
		{"D4 cert beside tcert", "certificate=/a", Config{Cert: "/b"}, []string{"beside tcert /b"}},
		{"key beside tkey", "openssl-key=/a", Config{Key: "/b"}, []string{"beside tkey /b"}},
		{"range twice", "range=10.0.0.0/8,range=11.0.0.0/8", Config{}, []string{"sockopt range=11.0.0.0/8: range=10.0.0.0/8 stands before it"}},
		{"C5 a method nobody knows", "method=TLS1.3", Config{}, []string{"is no method of socat"}},
		{"C5 SSL 3", "method=SSL3", Config{}, []string{"TLS 1.2 is the lowest"}},
		{"C5 DTLS 1.0", "method=DTLS1", Config{}, []string{"DTLS 1.0 is not spoken"}},
		{"method against min-version", "method=TLS1.2,min-version=TLS1.3", Config{}, []string{"is above max-version"}},
		{"a negative retry", "retry=-1", Config{}, []string{"out of range"}},
		{"an interval that is none", "interval=1e3", Config{}, []string{"not a number of seconds"}},
		{"an interval beyond all limits", "interval=Inf", Config{}, []string{"not a number of seconds"}},
		{"a port beyond all limits", "sourceport=65536", Config{}, []string{"out of range, which is 0 to 65535"}},
		{"F10 a key without a name", "key=", Config{}, []string{"a file must be named"}},
		{"one that would drop an access rule", "tcpwrap=x", Config{}, []string{"hosts.allow and hosts.deny are not read", "firewall"}},
		{"one that corrupts the stream", "crnl", Config{}, []string{"corrupt"}},
		{"ciphersuites does not exist", "ciphersuites=TLS_AES_128_GCM_SHA256", Config{}, []string{"TLS 1.3 cannot be chosen"}},
		{"an option of the program", "T=30", Config{}, []string{"-T is an option of the program"}},
		{"an unknown name", "frobnicate=1", Config{}, []string{"sockopt frobnicate=1", `no option "frobnicate"`}},
		{"D2 a blank before the name", "verify=1, pf=ip4", Config{}, []string{`no option " pf"`, "hint: no blanks around the name: protocol-family"}},
		{"D2 a blank behind the name", "verify =1", Config{}, []string{"no blanks around the name"}},
		{"- and _ differ", "min_version=TLS1.2", Config{}, []string{"socat writes it openssl-min-proto-version"}},
		{"D5 a quote around name and value", `"verify=0"`, Config{}, []string{`a quote may not enclose the "="`}},
		{"the grammar's errors come first", "nodelay,cn='", Config{}, []string{"not closed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Sockopt = tt.in
			_, err := readSettings(tt.c)
			wantErr(t, "readSettings", err, tt.err...)
		})
	}
}

func TestEveryOptionNameStandsForOneOption(t *testing.T) {
	seen := map[string]string{}
	for _, k := range options {
		for n := range strings.FieldsSeq(k.names) {
			if was, ok := seen[n]; ok {
				t.Errorf("%s is an alias of %s and of %s", n, was, k.name())
			}
			seen[n] = k.name()
			if n != strings.ToLower(n) {
				t.Errorf("%s is never found: names are looked up in lower case", n)
			}
		}
	}
}

// TestOneSidedOptionsAreQuietOnTheOtherSide: one option file serves a node in both
// roles, so what means nothing in one of them is no matter for a warning.
func TestOneSidedOptionsAreQuietOnTheOtherSide(t *testing.T) {
	values := map[string]string{"openssl-snihost": "=x", "bind": "=10.0.0.1", "range": "=10.0.0.0/8"}
	seen := 0
	for _, k := range options {
		if k.at == bothSides || k.name() == "bind" { // whoever binds a joiner means to protect it
			continue
		}
		seen++
		for _, role := range []Role{Joiner, Donor} {
			s, err := readSettings(Config{Role: role, Sockopt: k.name() + values[k.name()]})
			if err != nil || len(s.warnings) > 0 {
				t.Errorf("%s on a %s: %v, warnings %q", k.name(), role, err, s.warnings)
			}
		}
	}
	if seen < 7 {
		t.Errorf("only %d one-sided options in the table", seen)
	}
}

// TestTheTableIsSound: each option has one treatment, and what that needs.
func TestTheTableIsSound(t *testing.T) {
	for _, k := range options {
		setters := 0
		for _, has := range []bool{k.number != nil, k.text != nil, k.time != nil} {
			if has {
				setters++
			}
		}
		switch k.does {
		case native, mapped:
			if setters != 1 || k.why != "" {
				t.Errorf("%s: %d setters", k.name(), setters)
			}
		case ignored:
			if setters != 0 || k.why == "" {
				t.Errorf("%s: an ignored option needs a reason and no setter", k.name())
			}
		case refused:
			if setters != 0 || k.why == "" || k.instead == "" {
				t.Errorf("%s: a refused option needs a reason and a hint", k.name())
			}
		default:
			t.Errorf("%s: no treatment", k.name())
		}
	}
}

// TestEveryOptionOfTheRealSocatIsKnown reads the list of the installed socat: all
// that may stand in a TLS address has the same canonical name here.
func TestEveryOptionOfTheRealSocatIsKnown(t *testing.T) {
	out, err := output(t, tool(t, "socat"), "-hhh")
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ = strings.Cut(out, "opts:")
	canonical := regexp.MustCompile(`(?m)^\s+(\S+)\tgroups=(\S+)\t`)
	alias := regexp.MustCompile(`(?m)^\s+(\S+) is an alias for (\S+)$`)
	groups := strings.Fields("FD SOCKET LISTEN CHILD RETRY RANGE IP4 IP6 TCP OPENSSL APPL PROCESS")
	names := map[string]string{}
	for _, m := range canonical.FindAllStringSubmatch(out, -1) {
		if slices.ContainsFunc(strings.Split(m[2], ","), func(g string) bool { return slices.Contains(groups, g) }) {
			names[m[1]] = m[1]
		}
	}
	for _, m := range alias.FindAllStringSubmatch(out, -1) {
		if names[m[2]] != "" {
			names[m[1]] = m[2]
		}
	}
	if len(names) < 300 {
		t.Fatalf("only %d names in the list of socat:\n%s", len(names), out)
	}
	for name, of := range names {
		a, ok := lookup(name)
		b, _ := lookup(of)
		if !ok || a.does != b.does || a.name() != b.name() && a.why != b.why {
			t.Errorf("%s (%s) is not one option here: %v, %q and %q", name, of, ok, a.names, b.names)
		}
	}
}

// TestTheDocumentationListsEveryOption holds docs/sockopt.md and the table together.
func TestTheDocumentationListsEveryOption(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "docs", "sockopt.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), "\n## Every option")
	if !ok {
		t.Fatal("there is no part with every option")
	}
	part, _, _ = strings.Cut(part, "\n## ")
	code := regexp.MustCompile("`([^`]+)`")
	got, want := map[string]string{}, map[string]string{}
	for line := range strings.Lines(part) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[1], -1) {
			got[m[1]] = strings.TrimSpace(cells[2])
		}
	}
	for _, k := range options {
		for name := range strings.FieldsSeq(k.names) {
			want[name] = string(k.does)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("docs/sockopt.md (+) and the table of the code (-):\n" + diff)
	}
}

func TestFilesNamedInSockopt(t *testing.T) {
	got := SockoptFiles("key=/a,cafile='/b,c',capath=d,cert=/e,verify=0")
	if diff := cmp.Diff([]string{"/e", "/a", "/b,c", "d"}, got); diff != "" {
		t.Error(diff)
	}
	for _, s := range []string{"", "verify=0", "key=/a,nonsense"} {
		if got := SockoptFiles(s); got != nil {
			t.Errorf("%q names %q", s, got)
		}
	}
	node, ca := issue(t, spec{cn: "localhost"}), newCA(t, "CA")
	key, cert := file(t, node.keyPEM()), file(t, node.certPEM())
	ch := load(t, Config{Cert: cert, Sockopt: "key=" + key + ",cafile=" + bundle(t, ca, node)})
	if len(ch.now.material.roots) != 2 || ch.now.material.own.Leaf == nil {
		t.Errorf("%+v", ch.now.material)
	}
	_, err := Load(Config{Cert: cert, Sockopt: "key=/no/such"})
	wantErr(t, "Load", err, "sockopt key /no/such: no such file")
	_, err = Load(Config{Sockopt: "cert=" + cert})
	wantErr(t, "Load", err, "sockopt cert "+cert+": holds no private key")
	_, err = Load(Config{Cert: cert, Key: key, Sockopt: "cafile=" + key})
	wantErr(t, "Load", err, "sockopt cafile "+key+": holds no certificate")
}
