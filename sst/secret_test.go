package sst

import (
	"strings"
	"testing"
)

func TestSecretsAreRandomHexadecimalDigits(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		s := newSecret()
		if len(s) != 32 || strings.Trim(s, "0123456789abcdef") != "" || seen[s] {
			t.Fatalf("secret %q", s)
		}
		seen[s] = true
	}
}

func TestMagicFiles(t *testing.T) {
	const secret = "08b6e5dfeb56700aecd6d6b9e2640544"
	for _, c := range []struct {
		name, text string
		secret     string
		bypass     bool
	}{
		{"of an SST", testUUID + ":42 0\n", "", false},
		{"without a newline", testUUID + ":42 0", "", false},
		{"of an SST with a secret", testUUID + ":42 0\nsecret " + secret + "\n", secret, false},
		{"of an IST with a secret", testUUID + ":42 0\nsecret " + secret + "\nbypass\n", secret, true},
		{"of an IST", testUUID + ":42 0\nbypass\n", "", true},
		{"with blanks around", testUUID + ":42 0\nsecret \t" + secret + " \nbypass now\n", secret, true},
		{"of which the first secret counts", testUUID + ":42 0\nsecret " + secret + "\nsecret other\n", secret, false},
		{"with words that only begin so", testUUID + ":42 0\nsecrets x\nbypassed\n bypass\n", "", false},
		{"with carriage returns", testUUID + ":42 0\r\nsecret " + secret + "\r\nbypass\r\n", secret, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := parseMagic(c.text)
			if err != nil || m.position.String() != testUUID+":42 0" || m.secret != c.secret || m.bypass != c.bypass {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	for _, text := range []string{"", "\n" + testUUID + ":42 0\n", "secret x\n", zeroUUID + ":-1\n"} {
		if m, err := parseMagic(text); err == nil {
			t.Errorf("%q is taken for %+v", text, m)
		}
	}
}

func TestWhoKnowsTheSecret(t *testing.T) {
	for _, c := range []struct {
		name, ours, theirs string
		says               string
	}{
		{"nobody made one", "", "", ""},
		{"nobody made one, and the donor has one", "", "x", ""},
		{"the donor knows it", "abc", "abc", ""},
		{"the donor has none", "abc", "", "sent none"},
		{"the donor has another", "abc", "abd", "sent another"},
		{"the donor knows a part", "abc", "ab", "sent another"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := magicText{secret: c.theirs}.checkSecret(c.ours)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
			if err != nil && (strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), "abd")) {
				t.Errorf("a secret is in %q", err)
			}
		})
	}
}

func TestWhatServersTellOfTheJoiner(t *testing.T) {
	for text, want := range map[string]remoteAuth{
		"":                   {},
		"(null)":             {},
		"node2:0123":         {"node2", "0123"},
		"node2":              {"node2", ""},
		":0123":              {"", "0123"},
		"CN=a:b:c":           {"CN=a", "b:c"},
		"*.my.cluster:01 23": {"*.my.cluster", "01 23"},
	} {
		if got := parseRemoteAuth(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for text, want := range map[string]remoteAuth{
		"sst_user=u\nsst_password=p\nsst_remote_user=node2\nsst_remote_password=0123\n": {"node2", "0123"},
		"sst_remote_password=a=b\r\nsst_remote_user= x\r\n":                             {" x", "a=b"},
		"sst_remote_user=\nsst_remote_password=\n":                                      {},
		"sst_remote_user=node2\nsst_remote_password=01":                                 {"node2", ""},
		"sst_remote_users=x\nxsst_remote_user=y\nsst_remote_user\n":                     {},
		"": {},
	} {
		if got := parseCredentials(text); got != want {
			t.Errorf("%q: %+v", text, got)
		}
	}
	for secret, ok := range map[string]bool{"": true, "0123": true, strings.Repeat("x", 128): true, strings.Repeat("x", 129): false, "a\nbypass": false, "a b": false, "é": false} {
		if err := (remoteAuth{secret: secret}).check(); (err == nil) != ok {
			t.Errorf("%q: %v", secret, err)
		}
	}
}

// What is written is read back; what is read holds no more than was in the text.
func FuzzMagicFile(f *testing.F) {
	f.Add(testUUID + ":42 0\nsecret 08b6e5dfeb56700aecd6d6b9e2640544\nbypass\n")
	f.Add(testUUID + ":7\nbypass x\n")
	f.Add("secret\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseMagic(text)
		if err != nil {
			return
		}
		if !strings.Contains(text, m.secret) || strings.ContainsAny(m.secret, "\n") {
			t.Errorf("secret %q", m.secret)
		}
		if (remoteAuth{secret: m.secret}).check() != nil {
			return
		}
		if again, err := parseMagic(m.String()); err != nil || again != m {
			t.Errorf("%+v read again: %+v, %v", m, again, err)
		}
	})
}

func FuzzCredentials(f *testing.F) {
	f.Add("sst_user=u\nsst_password=p\nsst_remote_user=node2\nsst_remote_password=0123\n", "cn:secret")
	f.Fuzz(func(t *testing.T, text, auth string) {
		a := parseCredentials(text)
		if strings.ContainsAny(a.user+a.secret, "\n") {
			t.Errorf("%+v", a)
		}
		if a := parseRemoteAuth(auth); a != (remoteAuth{}) && auth != a.user+":"+a.secret && auth != a.user {
			t.Errorf("%q: %+v", auth, a)
		}
	})
}
