package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// connected makes a TCP connection as the two roles do, up to the handshake: the
// listening socket, the accepted one and the dialled one, with their options.
func connected(t *testing.T, host, sockopt string) (listening, accepted, dialled syscall.Conn, joiner, donor *Channel) {
	t.Helper()
	joiner, donor = anyChannel(t, Joiner, sockopt), anyChannel(t, Donor, sockopt)
	ln, err := joiner.Listen(t.Context(), host, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := donor.dialTCP(t.Context(), host, portOf(ln))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	if err := joiner.configureConn(peer); err != nil {
		t.Fatal(err)
	}
	return ln.Listener.(syscall.Conn), peer.(syscall.Conn), raw.(syscall.Conn), joiner, donor
}

func getInt(t *testing.T, c syscall.Conn, level, opt int) (value int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		e := raw.Control(func(fd uintptr) { value, err = unix.GetsockoptInt(int(fd), level, opt) })
		err = errors.Join(err, e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// TestSocketOptionsAreSetForReal sets each and asks the kernel.
func TestSocketOptionsAreSetForReal(t *testing.T) {
	const tcp, sol, ip, ip6 = unix.IPPROTO_TCP, unix.SOL_SOCKET, unix.IPPROTO_IP, unix.IPPROTO_IPV6
	plain := func(n int) int { return n }
	double := func(n int) int { return 2 * n } // Linux counts its own needs, too
	on := []string{"accepted", "dialled"}
	all := []string{"listening", "accepted", "dialled"}
	for _, tt := range []struct {
		sockopt    string
		level, opt int
		want       int
		on         []string
		host       string
	}{
		{"keepalive=0", sol, unix.SO_KEEPALIVE, 0, on, ""},
		{"keepalive", sol, unix.SO_KEEPALIVE, 1, on, ""},
		{"so-keepalive=1,keepidle=77", tcp, unix.TCP_KEEPIDLE, 77, on, ""},
		{"keepintvl=11", tcp, unix.TCP_KEEPINTVL, 11, on, ""},
		{"tcp-keepcnt=4", tcp, unix.TCP_KEEPCNT, 4, on, ""},
		{"", tcp, unix.TCP_NODELAY, 1, on, ""}, // wider than socat: no Nagle
		{"nodelay=0", tcp, unix.TCP_NODELAY, 0, on, ""},
		{"tcp-nodelay", tcp, unix.TCP_NODELAY, 1, on, ""},
		{"nodelay=0,nodelay=1", tcp, unix.TCP_NODELAY, 1, on, ""}, // D4 the last one counts
		{"sndbuf=50000", sol, unix.SO_SNDBUF, double(50000), all, ""},
		{"so-rcvbuf=60000", sol, unix.SO_RCVBUF, double(60000), all, ""},
		{"sndbuf=0x4000", sol, unix.SO_SNDBUF, double(0x4000), all, ""},
		{"sndbuf-late=70000", sol, unix.SO_SNDBUF, double(70000), on, ""},
		{"so-rcvbuf-late=70001", sol, unix.SO_RCVBUF, double(70001), on, ""},
		{"priority=4", sol, unix.SO_PRIORITY, 4, all, ""},
		{"tos=0x10", ip, unix.IP_TOS, 0x10, on, ""},
		{"tos=0x10", ip6, unix.IPV6_TCLASS, 0x10, on, "::1"},
		{"ip-ttl=33", ip, unix.IP_TTL, 33, all, ""},
		{"ttl=33", ip6, unix.IPV6_UNICAST_HOPS, 33, all, "::1"},
		{"mtudiscover=0", ip, unix.IP_MTU_DISCOVER, 0, all, ""},
		{"ip-mtu-discover=2", ip6, unix.IPV6_MTU_DISCOVER, 2, all, "::1"},
		{"freebind", ip, unix.IP_FREEBIND, 1, all, ""},
		{"syncnt=3", tcp, unix.TCP_SYNCNT, 3, []string{"dialled"}, ""},
		{"linger2=9", tcp, unix.TCP_LINGER2, 9, all, ""},
		{"window-clamp=200000", tcp, unix.TCP_WINDOW_CLAMP, 200000, all, ""},
		{"defer-accept=1", tcp, unix.TCP_DEFER_ACCEPT, 1, []string{"listening"}, ""},
		{"reuseaddr=0", sol, unix.SO_REUSEADDR, 0, []string{"listening"}, ""},
		{"", sol, unix.SO_REUSEADDR, 1, []string{"listening"}, ""},
		{"reuseport", sol, unix.SO_REUSEPORT, 1, []string{"listening"}, ""},
		{"setsockopt-int=6:5:88", tcp, unix.TCP_KEEPINTVL, 88, on, ""},
		{"setsockopt-int=1:12:3,setsockopt-int=6:5:9", sol, unix.SO_PRIORITY, 3, on, ""},
	} {
		t.Run(tt.sockopt+" "+tt.host, func(t *testing.T) {
			if tt.host == "" {
				tt.host = "127.0.0.1"
			} else {
				needIPv6(t)
			}
			sockopt := tt.sockopt
			if strings.HasPrefix(sockopt, "defer-accept") {
				// Nothing is sent here, so there would be nothing to accept.
				joiner := anyChannel(t, Joiner, sockopt)
				ln, err := joiner.Listen(t.Context(), tt.host, 0)
				if err != nil {
					t.Fatal(err)
				}
				defer ln.Close()
				if got := getInt(t, ln.Listener.(syscall.Conn), tt.level, tt.opt); got < tt.want {
					t.Errorf("%d, want at least %d", got, tt.want)
				}
				return
			}
			l, a, d, joiner, donor := connected(t, tt.host, sockopt)
			for _, name := range tt.on {
				socket := map[string]syscall.Conn{"listening": l, "accepted": a, "dialled": d}[name]
				if got := getInt(t, socket, tt.level, tt.opt); got != plain(tt.want) {
					t.Errorf("%s: %d, want %d", name, got, tt.want)
				}
			}
			if w := append(joiner.Warnings(), donor.Warnings()...); len(w) > 0 {
				t.Errorf("warnings %q", w)
			}
		})
	}
}

func TestTheSegmentSizeIsSetForReal(t *testing.T) {
	for sockopt, want := range map[string]int{"mss=700": 700, "tcp-maxseg=800": 800} {
		l, a, d, _, _ := connected(t, "127.0.0.1", sockopt)
		if got := getInt(t, l, unix.IPPROTO_TCP, unix.TCP_MAXSEG); got != want {
			t.Errorf("%s: listening socket has %d", sockopt, got)
		}
		for name, c := range map[string]syscall.Conn{"accepted": a, "dialled": d} {
			// What is left of it once the time stamps of TCP have their room.
			if got := getInt(t, c, unix.IPPROTO_TCP, unix.TCP_MAXSEG); got > want || got < want-20 {
				t.Errorf("%s: the %s socket has %d", sockopt, name, got)
			}
		}
	}
}

func TestAnInterfaceIsTheOnlyOne(t *testing.T) {
	l, a, d, _, _ := connected(t, "127.0.0.1", "if=lo")
	for _, c := range []syscall.Conn{l, a, d} {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if name, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err != nil || strings.TrimRight(name, "\x00") != "lo" {
				t.Errorf("bound to %q, %v", name, err)
			}
		})
	}

	_, err := anyChannel(t, Joiner, "bindtodevice=nosuchif0").Listen(t.Context(), "127.0.0.1", 0)
	wantErr(t, "Listen", err, "sockopt so-bindtodevice=nosuchif0: it restricts who can connect", "no such device", "ip link shows")
	_, err = anyChannel(t, Donor, "interface=nosuchif0").Dial(t.Context(), "127.0.0.1", 1)
	wantErr(t, "Dial", err, "sockopt so-bindtodevice=nosuchif0")
	// Who may not is told what it takes.
	err = socketOption{name: "so-bindtodevice", text: "eth1", isText: true}.fault(os.NewSyscallError("setsockopt", syscall.EPERM))
	wantErr(t, "fault", err, "so-bindtodevice=eth1", "CAP_NET_RAW")
}

func TestARawStringOption(t *testing.T) {
	_, a, d, joiner, donor := connected(t, "127.0.0.1", "setsockopt-string=6:13:reno")
	for _, c := range []syscall.Conn{a, d} {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if name, err := unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil || strings.TrimRight(name, "\x00") != "reno" {
				t.Errorf("congestion control %q, %v; warnings %q", name, err, append(joiner.Warnings(), donor.Warnings()...))
			}
		})
	}
}

func TestATuningThatTheSystemRefusesIsAWarning(t *testing.T) {
	for _, sockopt := range []string{"keepcnt=100000", "setsockopt-int=6:9999:1", "tcp-maxseg=1"} {
		_, _, _, joiner, donor := connected(t, "127.0.0.1", sockopt)
		for _, c := range []*Channel{joiner, donor} {
			if all := strings.Join(c.Warnings(), "\n"); !strings.Contains(all, "the system does not take it") || !strings.Contains(all, "the connection goes on without") {
				t.Errorf("%s: warnings of the %s: %q", sockopt, c.cfg.Role, all)
			}
		}
	}
}

func TestIPv6Only(t *testing.T) {
	needIPv6(t)
	for sockopt, want := range map[string]bool{"pf=ip6": true, "pf=ip6,ipv6only=1": false, "v6only=1": false, "v6only=0": true} {
		joiner := anyChannel(t, Joiner, sockopt)
		ln, err := joiner.Listen(t.Context(), "::", 0)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", portOf(ln)))
		if err == nil {
			conn.Close()
		}
		if got := err == nil; got != want {
			t.Errorf("%s: IPv4 gets in: %v (%v), want %v", sockopt, got, err, want)
		}
		if conn, err = net.Dial("tcp6", fmt.Sprintf("[::1]:%d", portOf(ln))); err != nil {
			t.Errorf("%s: IPv6: %v", sockopt, err)
		} else {
			conn.Close()
		}
		ln.Close()
	}
}

// backlogOf is what the kernel has as the limit of a listening socket.
func backlogOf(t *testing.T, l syscall.Conn) int {
	t.Helper()
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var limit int
	raw.Control(func(fd uintptr) {
		info, e := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err = e; e == nil {
			limit = int(info.Sacked) // of a listening socket
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return limit
}

func TestBacklog(t *testing.T) {
	for sockopt, ok := range map[string]func(int) bool{
		"backlog=7": func(n int) bool { return n == 7 },
		"":          func(n int) bool { return n >= 128 },
	} {
		ln, err := anyChannel(t, Joiner, sockopt).Listen(context.Background(), "127.0.0.1", 0)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		if got := backlogOf(t, ln.Listener.(syscall.Conn)); !ok(got) {
			t.Errorf("%q: the queue takes %d", sockopt, got)
		}
	}
}

func TestRawOptionsThatCannotBeRead(t *testing.T) {
	for in, want := range map[string]string{
		"setsockopt-int":                 "a value is required",
		"setsockopt-int=1:2":             "three parts",
		"setsockopt-int=1:2:x":           "not a number",
		"setsockopt-int=-1:2:3":          "out of range",
		"setsockopt-int=1:2:99999999999": "out of range",
		"setsockopt=1:2:x0001":           "binary values are not read",
		"sndbuf=99999999999":             "out of range",
		"sndbuf=1M":                      "not a number", // E4e
		"if=a-name-that-is-too-long":     "longer than the name of an interface",
		"type=2":                         "TCP, whose type is 1",
		"so-protocol=17":                 "TCP, whose number is 6",
	} {
		_, err := readSettings(Config{Sockopt: in})
		wantErr(t, in, err, want)
	}
	for _, in := range []string{"type=1", "so-protocol=6", "prototype=6"} {
		if _, err := readSettings(Config{Sockopt: in}); err != nil {
			t.Error(err)
		}
	}
}
