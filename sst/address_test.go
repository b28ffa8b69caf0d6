package sst

import (
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/sst/report"
)

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Address
	}{
		{"F6 a host alone is met at the default port, which socat has not", "10.0.0.2", Address{Host: "10.0.0.2", Port: 4444}},
		{"a port may follow", "node2.example.com:14444", Address{Host: "node2.example.com", Port: 14444}},
		{"F6 and a module", "127.0.0.1:19037/rsync_tunnel_sst", Address{Host: "127.0.0.1", Port: 19037, Module: "rsync_tunnel_sst"}},
		{"what follows the module is another method's", "h:1/xtrabackup_sst/123/1", Address{Host: "h", Port: 1, Module: "xtrabackup_sst"}},
		{"IPv6 in brackets", "[::1]:19041/rsync_sst", Address{Host: "::1", Port: 19041, Module: "rsync_sst"}},
		{"IPv6 in brackets without a port, as wsrep_node_address gives it", "[::1]", Address{Host: "::1", Port: 4444}},
		{"F6 IPv6 without brackets, which socat has not, as older servers guess it", "fd00::12", Address{Host: "fd00::12", Port: 4444}},
		{"with the zone of an interface", "[fe80::1%eth0]:4444", Address{Host: "fe80::1%eth0", Port: 4444}},
		{"a certificate's name and a secret come before", "node2:08b6e5@10.0.0.2:4444/rsync_sst",
			Address{User: "node2", Secret: "08b6e5", Host: "10.0.0.2", Port: 4444, Module: "rsync_sst"}},
		{"the last @ counts", "a@b:c@h", Address{User: "a@b", Secret: "c", Host: "h", Port: 4444}},
		{"an underscore is in names of containers", "db_2:5", Address{Host: "db_2", Port: 5}},
		{"an empty port is none", "h:", Address{Host: "h", Port: 4444}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseAddress(c.in)
			c.want.Raw = c.in
			if err != nil || got != c.want {
				t.Errorf("%q: got %#v, %v, want %#v", c.in, got, err, c.want)
			}
		})
	}
}

func TestAddressesThatAreNone(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                      "",
		"F6 only a port":               ":4444",
		"only a module":                "/rsync_sst",
		"port 0":                       "h:0",
		"a port too large":             "h:65536",
		"a port that is a word":        "h:mysql",
		"a negative port":              "h:-1",
		"an open bracket":              "[::1",
		"a name in brackets":           "[node]:1",
		"IPv4 in brackets":             "[10.0.0.1]:1",
		"text after the bracket":       "[::1]x",
		"colons that are not IPv6":     "a:b:c",
		"a blank":                      "a b",
		"a quote":                      "a'b",
		"a newline":                    "a\nready b",
		"a percent sign in a name":     "a%b",
		"a command":                    "$(id)",
		"a zone that is no interface":  "[fe80::1%a b]",
		"more than any server's line":  strings.Repeat("a", 2000),
		"a byte that is not ASCII":     "h\xff",
		"a name with a slash at first": "@/m",
		"a name that DNS cannot have":  strings.Repeat("h", 254),
	} {
		if a, err := ParseAddress(in); err == nil {
			t.Errorf("%s: %q became %#v", name, in, a)
		}
	}
}

func TestReadyNamesTheModule(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.2":        "10.0.0.2:4444/rsync_tunnel_sst",
		"[::1]:19041":     "[::1]:19041/rsync_tunnel_sst",
		"fd00::1":         "[fd00::1]:4444/rsync_tunnel_sst",
		"Node2.Example:5": "Node2.Example:5/rsync_tunnel_sst",
	} {
		a, err := ParseAddress(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Ready("rsync_tunnel_sst"); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestReadyRefusesAZoneBeforeTheDonorDoes(t *testing.T) {
	a, err := ParseAddress("[fe80::1%eth0]:4444")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Ready("m"); err == nil || statusOf(err) != exitInvalid || report.Hint(err) == "" {
		t.Errorf("%v, status %d", err, statusOf(err))
	}
	if a.HostPort() != "[fe80::1%eth0]:4444" {
		t.Errorf("still good to listen on: %s", a.HostPort())
	}
}

func TestAnAddressInALogHasNoSecret(t *testing.T) {
	a, err := ParseAddress("cn:08b6e5dfeb56@h:1/m")
	if err != nil {
		t.Fatal(err)
	}
	if s := a.String(); s != "h:1/m" {
		t.Errorf("got %q", s)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"h", "h:1/m/2/3", "[::1]:4444/rsync_sst", "cn:x@[fe80::1%eth0]", "fd00::12", "a@b@c:1", strings.Repeat("h", 1020)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		if a.Port < 1 || a.Port > 65535 || a.Host == "" || strings.ContainsAny(a.Host, "/@[] \n'\"`$") {
			t.Fatalf("%q became %#v", s, a)
		}
		// What we tell others, we understand.
		again, err := ParseAddress(a.HostPort() + "/m")
		if err != nil || again.Host != a.Host || again.Port != a.Port || again.Module != "m" {
			t.Fatalf("%q became %s, and that %#v (%v)", s, a.HostPort(), again, err)
		}
		if ready, err := a.Ready("m"); err == nil && strings.Trim(ready, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]/") != "" {
			t.Fatalf("the donor's server refuses %q", ready)
		}
	})
}
