package tls

import (
	"strings"
	"testing"
)

func TestNamesInMessages(t *testing.T) {
	for _, tt := range []struct {
		name         string
		s            spec
		title, names string
	}{
		{"a CN", spec{cn: "n"}, "CN=n", "CN=n"},
		{"a CN and SANs", spec{cn: "n", dns: []string{"a", "b"}, ips: []string{"::1"}}, "CN=n", "CN=n, DNS:a, DNS:b, IP:::1"},
		{"SANs alone", spec{dns: []string{"a"}}, "DNS:a", "DNS:a"},
		{"nothing", spec{}, "no name at all", "no name at all"},
		{"control characters", spec{cn: "a\x1b[2J\nb"}, "CN=a?[2J?b", "CN=a?[2J?b"},
		{"a control character in a SAN", spec{dns: []string{"a\x7f"}}, "DNS:a?", "DNS:a?"},
		{"very many", spec{cn: "n", dns: strings.Split(strings.Repeat("x,", 30)+"x", ",")}, "CN=n", "CN=n" + strings.Repeat(", DNS:x", 9) + ", …"},
		{"a very long one", spec{cn: strings.Repeat("é", 500)}, "CN=" + strings.Repeat("é", 198) + "�…", "CN=" + strings.Repeat("é", 198) + "�…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert := issue(t, tt.s).cert
			// A cut in the middle of a character is shown as one replacement.
			if got := title(cert); strings.ToValidUTF8(got, "�") != tt.title {
				t.Errorf("title %q, want %q", got, tt.title)
			}
			if got := names(cert); strings.ToValidUTF8(got, "�") != tt.names {
				t.Errorf("names %q, want %q", got, tt.names)
			}
		})
	}
}

// TestWhoBearsAName has what the golden table cannot show between two ends.
func TestWhoBearsAName(t *testing.T) {
	for _, tt := range []struct {
		name string
		s    spec
		want string
		ok   bool
	}{
		{"another IPv6 address", spec{cn: "x", ips: []string{"2001:db8::5"}}, "[2001:db8::6]", false},
		{"any spelling of one", spec{cn: "x", ips: []string{"2001:db8::5"}}, "[2001:db8:0:0::0:5]", true},
		{"a zone does not belong to the address", spec{cn: "x", ips: []string{"fe80::1"}}, "[fe80::1%lo]", true},
		{"a NUL byte does not end the SAN", spec{cn: "x", dns: []string{"localhost\x00.evil.example"}}, "localhost", false},
		{"a bare wildcard matches nothing", spec{cn: "*"}, "localhost", false},
		{"a wildcard of all matches nothing", spec{cn: "*."}, "localhost", false},
		{"a wildcard inside a label is no wildcard", spec{cn: "n*.my.cluster"}, "node1.my.cluster", false},
		{"upper case in the domain is another one", spec{cn: "*.my.cluster"}, "node1.MY.cluster", false},
		{"the CN beside a wildcard SAN", spec{cn: "whatever", dns: []string{"*.my.cluster"}}, "whatever", true},
	} {
		if got := bears(issue(t, tt.s).cert, tt.want); got != tt.ok {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
