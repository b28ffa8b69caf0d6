package tls

import (
	"context"
	"net"
	"net/netip"
	"testing"
)

func TestRange(t *testing.T) {
	for _, tt := range []struct {
		in       string
		in4, in6 string // inside
		out      []string
	}{
		{in: "10.1.0.0/16", in4: "10.1.2.3", out: []string{"10.2.0.0", "::1", "::ffff:10.2.0.0"}},
		{in: "10.1.2.3/16", in4: "10.1.200.200", in6: "::ffff:10.1.2.3", out: []string{"10.2.0.0"}}, // the bits behind the mask count for nothing
		{in: "10.1.2.3/32", in4: "10.1.2.3", out: []string{"10.1.2.2"}},
		{in: "0.0.0.0/0", in4: "203.0.113.9", out: []string{"::1"}},
		{in: "10.1.0.0:255.255.0.0", in4: "10.1.9.9", out: []string{"10.2.0.1"}},
		{in: "10.0.7.0:255.0.255.0", in4: "10.99.7.1", out: []string{"10.99.8.1"}},
		{in: "[2001:db8::]/32", in6: "2001:db8:9::1", out: []string{"2001:db9::", "10.0.0.1"}},
		{in: "[::1]/128", in6: "::1", out: []string{"::2", "127.0.0.1"}},
		{in: "[fe80::]/10", in6: "fe80::1%lo", out: []string{"::1"}},
		{in: "[2001:db8::]:[ffff:ffff::]", in6: "2001:db8::5", out: []string{"2001:db9::5"}},
	} {
		r, err := parseRange(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		for _, inside := range []string{tt.in4, tt.in6} {
			if inside != "" && !r.contains(netip.MustParseAddr(inside)) {
				t.Errorf("%s does not contain %s", tt.in, inside)
			}
		}
		for _, outside := range tt.out {
			if r.contains(netip.MustParseAddr(outside)) {
				t.Errorf("%s contains %s", tt.in, outside)
			}
		}
	}
	for in, want := range map[string]string{
		"":                  "has no mask",
		"10.0.0.0":          "has no mask", // E13
		"10.0.0.0/":         "has no mask",
		"10.0.0.0/33":       "not a number of bits",
		"10.0.0.0/x":        "not a number of bits",
		"10.0.0.0/-1":       "not a number of bits",
		"[::]/129":          "not a number of bits",
		"::1/128":           "is not an address or a name",
		"[10.0.0.1]/8":      "not an IPv6 address in brackets",
		"[::1/128":          "not an IPv6 address in brackets",
		"[fe80::1%lo]/64":   "not an IPv6 address in brackets",
		"10.0.0.0:255.255":  "not a mask",
		"10.0.0.0:[ffff::]": "not of one kind",
		"[::]:255.0.0.0":    "not of one kind",
		"/8":                "is not an address or a name",
	} {
		_, err := parseRange(in)
		wantErr(t, in, err, want)
	}
}

func TestARangeMayBeNamed(t *testing.T) {
	table := map[string][]string{"nodes": {"2001:db8::1", "10.1.2.3"}, "six": {"2001:db8::1"}}
	for _, tt := range []struct {
		in, inside, outside, err string
	}{
		{in: "nodes/24", inside: "10.1.2.200", outside: "2001:db8::1"}, // IPv4 first
		{in: "nodes/64", inside: "2001:db8::200", outside: "10.1.2.3"}, // no IPv4 address has so many bits
		{in: "six/64", inside: "2001:db8::200", outside: "2001:db8:1::"},
		{in: "nodes:255.255.0.0", inside: "10.1.99.99", outside: "10.2.0.0"},
		{in: "nobody/24", err: "cannot be resolved"},
		{in: "six:255.0.0.0", err: "its mask fits no address of six"},
	} {
		ch := anyChannel(t, Joiner, "range="+tt.in)
		ch.lookup = resolver(table)
		if ch.set.peers.contains(netip.MustParseAddr("10.1.2.3")) {
			t.Errorf("%s lets somebody in before it is resolved", tt.in)
		}
		ln, err := ch.Listen(t.Context(), "127.0.0.1", 0)
		if tt.err != "" {
			wantErr(t, tt.in, err, "sockopt range="+tt.in, tt.err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ln.Close()
		if r := ch.set.peers; !r.contains(netip.MustParseAddr(tt.inside)) || r.contains(netip.MustParseAddr(tt.outside)) {
			t.Errorf("%s became %v/%v", tt.in, r.net, r.mask)
		}
	}
}

// TestWhoIsOutsideOfTheRangeGetsNoHandshake: the listener goes on for the others.
func TestWhoIsOutsideOfTheRangeGetsNoHandshake(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	c := Config{Role: Joiner, CA: bundle(t, node), Cert: node.pem(t), Sockopt: "range=127.0.0.2/32"}
	joiner := load(t, c)
	ln, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c.Role, c.Host = Donor, "localhost"
	for _, tt := range []struct {
		from string
		sees []string
	}{
		{"127.0.0.3", []string{"donor 127.0.0.3:", "is outside of sockopt range=127.0.0.2/32", "widen the range"}},
		{"127.0.0.2", nil},
	} {
		c.Sockopt = "bind=" + tt.from
		donor := load(t, c)
		sees := serveOne(t, joiner, ln)
		conn, err := donor.Dial(t.Context(), "127.0.0.1", portOf(ln))
		wantErr(t, "joiner", <-sees, tt.sees...)
		if (err == nil) != (tt.sees == nil) {
			t.Errorf("from %s: the donor sees %v", tt.from, err)
		}
		if err == nil {
			if host, _, _ := net.SplitHostPort(conn.LocalAddr().String()); host != tt.from {
				t.Errorf("the connection comes from %s", host)
			}
			conn.Close()
		}
	}
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "[::1]/128", "10.0.0.0:255.0.0.0", "localhost/32", "[::]:[::]", "a:b", "[", "/", "::/0"} {
		f.Add(s, "10.0.0.1")
	}
	f.Fuzz(func(t *testing.T, in, peer string) {
		r, err := parseRange(in)
		if err != nil {
			if r != nil {
				t.Errorf("%q: a range beside %v", in, err)
			}
			return
		}
		ip, err := netip.ParseAddr(peer)
		if err != nil {
			return
		}
		if r.name != "" {
			if r.contains(ip) {
				t.Errorf("%q contains %s before its name is resolved", in, ip)
			}
			lookup := func(context.Context, string, string) ([]netip.Addr, error) { return []netip.Addr{ip}, nil }
			c := &Channel{set: &settings{}, cfg: Config{ConnectTimeout: 1e9}, lookup: lookup}
			if r.resolve(t.Context(), c) == nil && !r.contains(ip) {
				t.Errorf("%q resolved to %s does not contain it", in, ip)
			}
			return
		}
		self, _ := netip.AddrFromSlice(r.net)
		if !r.contains(self) {
			t.Errorf("%q does not contain its own network", in)
		}
	})
}
