package tls

import (
	stdtls "crypto/tls"
	"slices"
	"strings"
	"testing"
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
	} {
		s, err := readSettings(Config{Sockopt: in})
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if all := strings.Join(s.warnings, "\n"); !strings.Contains(all, want) {
			t.Errorf("%s: warnings %q lack %q", in, all, want)
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
