package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func anyChannel(t *testing.T, role Role, sockopt string) *Channel {
	t.Helper()
	node := issue(t, spec{cn: "localhost"})
	return load(t, Config{Role: role, CA: bundle(t, node), Cert: node.pem(t), Sockopt: sockopt, Host: "localhost"})
}

// resolver answers from a table; what is not in it does not exist.
func resolver(table map[string][]string) func(context.Context, string, string) ([]netip.Addr, error) {
	return func(_ context.Context, network, host string) ([]netip.Addr, error) {
		var addrs []netip.Addr
		for _, s := range table[host] {
			a := netip.MustParseAddr(s)
			if network == "ip" || network == "ip4" && a.Is4() || network == "ip6" && a.Is6() {
				addrs = append(addrs, a)
			}
		}
		if len(addrs) == 0 {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return addrs, nil
	}
}

func TestListen(t *testing.T) {
	names := map[string][]string{
		"localhost":     {"::1", "127.0.0.1"},
		"hosts-own":     {"127.0.1.1"},
		"behind.nat":    {"198.51.100.7", "2001:db8::7"},
		"two.addresses": {"198.51.100.7", "127.0.0.1"},
	}
	wild := []string{"[::]", "0.0.0.0"}
	for _, tt := range []struct {
		name, host, sockopt string
		on                  []string // one of these addresses
		note                string
		err                 string
	}{
		{name: "a local address", host: "127.0.0.1", on: []string{"127.0.0.1"}},
		{name: "another local address", host: "127.0.0.2", on: []string{"127.0.0.2"}},
		{name: "no host", host: "", on: wild},
		{name: "no host, IPv4 only", host: "", sockopt: "pf=ip4", on: []string{"0.0.0.0"}},
		{name: "the wildcard of IPv4", host: "0.0.0.0", on: wild},
		{name: "G5 the wildcard of IPv6 takes IPv4 too", host: "::", sockopt: "pf=ip6", on: wild},
		{name: "an address of another machine", host: "198.51.100.7", on: wild, note: "198.51.100.7 is not an address of this machine: listening on all addresses"},
		{name: "a name, IPv4 first as socat", host: "localhost", on: []string{"127.0.0.1"}},
		{name: "a name behind NAT", host: "behind.nat", on: wild, note: "behind.nat is not an address of this machine"},
		{name: "a name with one local address", host: "two.addresses", on: []string{"127.0.0.1"}},
		{name: "a name nobody knows", host: "no.such.host", on: wild, note: "no.such.host cannot be resolved"},
		{name: "the host's own name as Debian has it", host: "hosts-own", on: wild, note: "hosts-own is a loopback address on this machine"},
		{name: "a literal of the other family", host: "127.0.0.1", sockopt: "pf=ip6", err: "127.0.0.1 is not an IPv6 address"},
		{name: "a literal of the other family, turned round", host: "::1", sockopt: "pf=ip4", err: "::1 is not an IPv4 address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ch := anyChannel(t, Joiner, tt.sockopt)
			ch.lookup = resolver(names)
			ln, err := ch.Listen(t.Context(), tt.host, 0)
			if tt.err != "" {
				wantErr(t, "Listen", err, tt.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			host := strings.TrimSuffix(ln.Addr().String(), fmt.Sprintf(":%d", portOf(ln)))
			if !slices.Contains(tt.on, host) {
				t.Errorf("listens on %s, want one of %v", host, tt.on)
			}
			if tt.note == "" && ln.Note() != "" || !strings.Contains(ln.Note(), tt.note) {
				t.Errorf("note %q, want %q", ln.Note(), tt.note)
			}
		})
	}
}

func TestListenOnIPv6(t *testing.T) {
	needIPv6(t)
	for _, host := range []string{"::1", "[::1]"} {
		ch := anyChannel(t, Joiner, "")
		ln, err := ch.Listen(t.Context(), host, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := ln.Addr().(*net.TCPAddr).IP.String(); got != "::1" || ln.Note() != "" {
			t.Errorf("listens on %s, note %q", got, ln.Note())
		}
		ln.Close()
	}
}

func needIPv6(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("SKIPPED, NOT TESTED: this machine has no IPv6")
	}
	ln.Close()
}

func TestATakenPortIsNamed(t *testing.T) {
	taken := loopback(t)
	for _, host := range []string{"127.0.0.1", "", "198.51.100.7"} {
		_, err := anyChannel(t, Joiner, "").Listen(t.Context(), host, portOf(taken))
		wantErr(t, "Listen on "+host, err, "listen on ", fmt.Sprint(portOf(taken)), "the port is taken", "hint: another SST may still run")
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen on %q: %v is not EADDRINUSE", host, err)
		}
	}
}

func TestListenEndsWithItsContext(t *testing.T) {
	ch := anyChannel(t, Joiner, "")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("mariadbd is gone")
	ch.lookup = func(ctx context.Context, _, _ string) ([]netip.Addr, error) {
		cancel(why)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if _, err := ch.Listen(ctx, "slow.example", 0); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
}
