package tls

import (
	stdtls "crypto/tls"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	tripleO2017 = "!SSLv2:kEEH:kRSA:kEDH:kPSK:+3DES:!aNULL:!eNULL:!MD5:!EXP:!RC4:!SEED:!IDEA:!DES"
	tripleO2018 = "!SSLv2:kEECDH:kRSA:kEDH:kPSK:+3DES:!aNULL:!eNULL:!MD5:!EXP:!RC4:!SEED:!IDEA:!DES:!SSLv3:!TLSv1"
)

// suiteNames gives OpenSSL's names of ids, sorted.
func suiteNames(ids []uint16) []string {
	var names []string
	for _, s := range suites {
		if slices.Contains(ids, s.id) {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	return names
}

func TestCipherList(t *testing.T) {
	all := len(suites)
	const gcm256 = "ECDHE-RSA-AES256-GCM-SHA384"
	tests := []struct {
		name, list string
		count      int      // suites selected
		has, lacks []string // by OpenSSL name
		err        string
	}{
		{name: "the TripleO list of 2018 takes the AEAD suites and drops those of SSLv3 and TLSv1", list: tripleO2018, count: 11,
			has: []string{gcm256, "AES128-GCM-SHA256", "AES128-SHA256"}, lacks: []string{"AES128-SHA", "ECDHE-RSA-AES128-SHA"}},
		{name: "the TripleO list of 2017 has no working ECDHE word, RSA key exchange is what is left", list: tripleO2017, count: 5,
			has: []string{"AES256-GCM-SHA384", "AES128-SHA"}, lacks: []string{gcm256}},
		{name: "HIGH is everything here", list: "HIGH", count: all},
		{name: "DEFAULT stands at the beginning only", list: "DEFAULT:!AES128", count: all - 8 - 1, lacks: []string{"AES128-SHA"}},
		{name: "DEFAULT in another place is an unknown word", list: "CHACHA20:DEFAULT", count: 2},
		{name: "a security level is taken and has no effect", list: "DEFAULT@SECLEVEL=0", count: all},
		{name: "a conjunction selects what all its words select", list: "ECDHE+AESGCM+aRSA", count: 2, has: []string{gcm256}},
		{name: "a killed suite does not come back", list: "!AESGCM:HIGH", count: all - 6, lacks: []string{gcm256}},
		{name: "a removed suite may come back", list: "HIGH:-AESGCM:AESGCM", count: all},
		{name: "blanks and commas separate as colons do", list: "CHACHA20 AES128-SHA,AES256-SHA;AES128-SHA256", count: 5},
		{name: "a prefix ends the word before it", list: "HIGH!CHACHA20", count: all - 2},
		{name: "an unknown word beside a known one is ignored", list: "FOO:AES128-SHA:BAR", count: 1},
		{name: "Suite B stands for two suites", list: "SUITEB128", count: 2},
		{name: "suites that only OpenSSL has leave none", list: "DHE-RSA-AES256-GCM-SHA384:PSK:aNULL", count: 0},
		{name: "a list of unknown words is refused", list: "kEEH", err: "no word"},
		{name: "a list of names of TLS 1.3 is refused", list: "TLS_AES_128_GCM_SHA256", err: "no word"},
		{name: "an empty list is refused", list: "", err: "no word"},
		{name: "a list that only takes away is refused", list: "!RC4:-AES128", err: "no word"},
		{name: "moving to the end adds nothing", list: "+AES128", err: "no word"},
		{name: "a command alone selects nothing", list: "@SECLEVEL=1", err: "no word"},
		{name: "case counts", list: "high", err: "no word"},
		{name: "a character without a meaning is refused", list: "HIGH:$", err: "no place"},
		{name: "an unknown command is refused", list: "HIGH:@FOO", err: "no command"},
		{name: "a prefix without a word is refused", list: "HIGH:!", err: "missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ids, err := cipherList(tt.list)
			if tt.err != "" {
				wantErr(t, "cipherList", err, tt.err)
				return
			}
			got := suiteNames(ids)
			if err != nil || len(ids) != tt.count {
				t.Fatalf("%d suites %v, error %v; want %d", len(ids), got, err, tt.count)
			}
			for _, name := range tt.has {
				if !slices.Contains(got, name) {
					t.Errorf("%s is missing in %v", name, got)
				}
			}
			for _, name := range tt.lacks {
				if slices.Contains(got, name) {
					t.Errorf("%s is in %v", name, got)
				}
			}
		})
	}
}

func TestEverySuiteIsOneOfCryptoTLS(t *testing.T) {
	ours := map[uint16]bool{}
	for _, s := range suites {
		ours[s.id] = true
	}
	for _, s := range slices.Concat(stdtls.CipherSuites(), stdtls.InsecureCipherSuites()) {
		old := slices.Contains(s.SupportedVersions, stdtls.VersionTLS12)
		weak := strings.Contains(s.Name, "RC4") || strings.Contains(s.Name, "3DES")
		if want := old && !weak; ours[s.ID] != want {
			t.Errorf("%s in our table: %v, want %v", s.Name, ours[s.ID], want)
		}
	}
}

// TestCipherListsMeanWhatOpenSSLSays compares random lists with the openssl
// program. The security level is off there: it hides suites, and we have none.
func TestCipherListsMeanWhatOpenSSLSays(t *testing.T) {
	openssl := tool(t, "openssl")
	words := strings.Fields("ALL HIGH COMPLEMENTOFDEFAULT kECDHE kEECDH ECDHE EECDH ECDH kRSA RSA aRSA aECDSA ECDSA AES AES128 AES256 AESGCM" +
		" CBC CHACHA20 SHA SHA1 SHA256 SHA384 FIPS TLSv1.2 TLSv1 TLSv1.0 SSLv3 SSLv2 aNULL eNULL kEDH DHE PSK SRP CAMELLIA ARIA AESCCM MEDIUM LOW EXP" +
		" 3DES RC4 MD5 kEEH FOO ECDHE-RSA-AES128-SHA AES256-GCM-SHA384 DHE-RSA-AES128-SHA TLS_AES_128_GCM_SHA256 @STRENGTH")
	odd := regexp.MustCompile("[@-]|COMPLEMENT|FIPS")
	r := rand.New(rand.NewPCG(1, 2))
	for range 150 {
		var items []string
		for range 1 + r.IntN(5) {
			item := words[r.IntN(len(words))]
			if item[0] != '@' {
				for r.IntN(4) == 0 {
					// In a conjunction OpenSSL gives a suite's full name, FIPS and
					// COMPLEMENTOFDEFAULT effects that no manual promises.
					if w := words[r.IntN(len(words))]; !odd.MatchString(w) && !odd.MatchString(item) {
						item += "+" + w
					}
				}
				item = []string{"", "", "", "!", "-", "+"}[r.IntN(6)] + item
			}
			items = append(items, item)
		}
		list := strings.Join(items, ":")
		out, err := output(t, openssl, "ciphers", "-tls1_2", "-s", ":"+list+":@SECLEVEL=0")
		var theirs []string
		if err == nil {
			for name := range strings.SplitSeq(strings.TrimSpace(out), ":") {
				if slices.ContainsFunc(suites, func(s suite) bool { return s.name == name }) {
					theirs = append(theirs, name)
				}
			}
		}
		slices.Sort(theirs)
		ids, ourErr := cipherList(list)
		if ours := suiteNames(ids); !slices.Equal(ours, theirs) {
			t.Errorf("%s:\n ours   %v (%v)\n theirs %v", list, ours, ourErr, theirs)
		}
		if err == nil && ourErr != nil {
			t.Errorf("%s: openssl takes it, we do not: %v", list, ourErr)
		}
	}
}

func FuzzCipherList(f *testing.F) {
	for _, s := range []string{tripleO2017, tripleO2018, "DEFAULT@SECLEVEL=0", "HIGH!!eNULL", "+", "A+B", "SUITEB128", ":::", "@", "-", "ALL:!kRSA+AES"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ids, err := cipherList(list)
		if err != nil {
			if ids != nil {
				t.Errorf("%q: suites beside error %v", list, err)
			}
			return
		}
		if ids == nil {
			t.Errorf("%q: nil would be crypto/tls's own choice", list)
		}
		if strings.HasPrefix(list, "SUITEB") {
			return // stands for the whole list, whatever comes behind
		}
		// Killing all at the end leaves none, whatever came before.
		if ids, err := cipherList(list + ":!ALL"); err != nil || len(ids) != 0 {
			t.Errorf("%q with all killed: %v, %v", list, ids, err)
		}
	})
}
