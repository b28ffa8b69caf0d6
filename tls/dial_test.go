package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deafPort is a port where nobody listens.
func deafPort(t *testing.T) int {
	t.Helper()
	ln := loopback(t)
	ln.Close()
	return portOf(ln)
}

func TestRetryCounts(t *testing.T) {
	for _, tt := range []struct {
		sockopt  string
		attempts string
		atLeast  time.Duration
		below    time.Duration
	}{
		{"", "", 0, 500 * time.Millisecond},
		{"retry=2,interval=0.1", "after 3 attempts", 200 * time.Millisecond, 10 * time.Second},
		{"interval=0.04,retry=3", "after 4 attempts", 120 * time.Millisecond, 10 * time.Second},
		{"retry=2,interval=0", "after 3 attempts", 2 * minInterval, 10 * time.Second},
		{"retry,intervall=0.05", "after 2 attempts", 50 * time.Millisecond, 10 * time.Second},
	} {
		donor := anyChannel(t, Donor, tt.sockopt)
		start := time.Now()
		_, err := donor.Dial(t.Context(), "127.0.0.1", deafPort(t))
		took := time.Since(start)
		wantErr(t, tt.sockopt, err, "connection refused", tt.attempts, "hint: nothing listens there")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: the cause is lost in %v", tt.sockopt, err)
		}
		if took < tt.atLeast || took > tt.below {
			t.Errorf("%q took %v", tt.sockopt, took)
		}
		warned := strings.Join(donor.Warnings(), "\n")
		if want := tt.attempts != ""; strings.Contains(warned, "trying again every") != want || strings.Count(warned, "trying") > 1 {
			t.Errorf("%q: warnings %q", tt.sockopt, warned)
		}
	}
}

// TestForeverEndsWithItsContext: what ends a node ends the attempts, too.
func TestForeverEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("mariadbd is gone")
	node := issue(t, spec{cn: "localhost"})
	var told []string
	donor := load(t, Config{Role: Donor, CA: bundle(t, node), Cert: node.pem(t), Sockopt: "forever,interval=600", Warn: func(text string) {
		told = append(told, text) // at once, not when all is over
		cancel(why)
	}})
	if _, err := donor.Dial(ctx, "127.0.0.1", deafPort(t)); !errors.Is(err, why) {
		t.Errorf("error %v, want %v", err, why)
	}
	if len(told) != 1 || !strings.Contains(told[0], "connection refused: ") || !strings.Contains(told[0], "trying again every 10m0s (sockopt retry)") {
		t.Errorf("told %q", told)
	}
}

func TestTheJoinerMayComeLater(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: cert})
	port := deafPort(t)
	var once sync.Once
	done := make(chan error, 1)
	donor := load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost", Sockopt: "forever,interval=0.02", Warn: func(string) {
		once.Do(func() { // after the first attempt has failed
			ln, err := joiner.Listen(t.Context(), "127.0.0.1", port)
			if err != nil {
				done <- err
				return
			}
			t.Cleanup(func() { ln.Close() })
			go func() { done <- <-serveOne(t, joiner, ln) }()
		})
	}})
	conn, err := donor.Dial(t.Context(), "127.0.0.1", port)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	wantErr(t, "joiner", <-done)
}

// TestRetryCoversTheHandshake but not a name: in a second it is no other.
func TestRetryCoversTheHandshake(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: cert})
	for _, tt := range []struct {
		host, sockopt string
		connections   int
		err           []string
	}{
		{"localhost", "retry=5,interval=0.02", 2, nil},
		{"elsewhere", "retry=5,interval=0.02", 2, []string{"wanted name elsewhere"}}, // the first is not one of ours yet
	} {
		ln := loopback(t)
		count := make(chan int, 1)
		go func() {
			n := 0
			for {
				raw, err := ln.Accept()
				if err != nil {
					count <- n
					return
				}
				if n++; n == 1 {
					raw.Close() // a load balancer without a node behind it
					continue
				}
				if conn, err := joiner.Server(context.Background(), raw); err == nil {
					conn.Close()
				}
			}
		}()
		donor := load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: tt.host, Sockopt: tt.sockopt})
		conn, err := donor.Dial(t.Context(), "127.0.0.1", portOf(ln))
		wantErr(t, "donor", err, tt.err...)
		if err == nil {
			conn.Close()
		}
		ln.Close()
		if n := <-count; n != tt.connections {
			t.Errorf("%s: %d connections, want %d", tt.host, n, tt.connections)
		}
	}
}

func TestListenTriesAgainToo(t *testing.T) {
	taken := loopback(t)
	joiner := anyChannel(t, Joiner, "retry=1000,interval=0.02")
	joiner.cfg.Warn = func(text string) {
		if !strings.Contains(text, "the port is taken") || !strings.Contains(text, "trying again every 20ms") {
			t.Errorf("told %q", text)
		}
		taken.Close()
	}
	ln, err := joiner.Listen(t.Context(), "127.0.0.1", portOf(taken))
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

func TestConnectTimeout(t *testing.T) {
	if d := anyChannel(t, Donor, "connect-timeout=2.5").connectTimeout(); d != 2500*time.Millisecond {
		t.Errorf("%v", d)
	}
	if d := anyChannel(t, Donor, "connect-timeout=0").connectTimeout(); d != 10*time.Second {
		t.Errorf("0 is not the default but %v", d)
	}
	// A listener whose queue is full does not answer.
	joiner := anyChannel(t, Joiner, "backlog=0")
	ln, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	donor := anyChannel(t, Donor, "connect-timeout=0.2")
	for range 10 {
		raw, err := donor.dialTCP(t.Context(), "127.0.0.1", portOf(ln))
		if err != nil {
			wantErr(t, "Dial", err, "no answer within 200ms")
			return
		}
		defer raw.Close()
	}
	t.Error("the queue was never full")
}

// TestALocalPortServesOneConnection: an SST makes several at a time, and one port
// can serve but one. The others come from any.
func TestALocalPortServesOneConnection(t *testing.T) {
	for _, form := range []string{"sourceport=%d", "bind=:%d", "bind=127.0.0.1:%d", "bind=localhost:%d"} {
		port := deafPort(t)
		sockopt := fmt.Sprintf(form, port)
		donor := anyChannel(t, Donor, sockopt)
		ln := loopback(t)
		var ports []int
		for range 3 {
			raw, err := donor.dialTCP(t.Context(), "127.0.0.1", portOf(ln))
			if err != nil {
				t.Fatal(sockopt, err)
			}
			defer raw.Close()
			ports = append(ports, raw.LocalAddr().(*net.TCPAddr).Port)
		}
		if ports[0] != port || slices.Contains(ports[1:], port) {
			t.Errorf("%s: connections from %v", sockopt, ports)
		}
		if w := donor.Warnings(); len(w) != 1 || !strings.Contains(w[0], "others are used") {
			t.Errorf("%s: warnings %q", sockopt, w)
		}
	}
}

func TestBind(t *testing.T) {
	for in, want := range map[string]localAddr{
		"bind=10.0.0.1":       {host: "10.0.0.1"},
		"bind=10.0.0.1:99":    {host: "10.0.0.1", port: 99},
		"bind=:99":            {port: 99},
		"bind=node1":          {host: "node1"},
		"bind=node1:99":       {host: "node1", port: 99},
		"bind=::1":            {host: "::1"},
		"bind=[::1]":          {host: "::1"},
		"bind=[2001:db8::]:9": {host: "2001:db8::", port: 9},
	} {
		s, err := readSettings(Config{Role: Donor, Sockopt: in})
		if err != nil {
			t.Error(err)
		} else if s.bind.host != want.host || s.bind.port != want.port {
			t.Errorf("%s: %+v", in, *s.bind)
		}
		// On the joiner it never could work: said, and no more.
		if s, err = readSettings(Config{Role: Joiner, Sockopt: in}); err != nil || len(s.warnings) != 1 || !strings.Contains(s.warnings[0], "no effect on a joiner") {
			t.Errorf("%s on a joiner: %v, warnings %q", in, err, s.warnings)
		}
	}
	for in, want := range map[string]string{
		"bind=": "an address or a port is required", "bind=a:b": "not a port number", "bind=[x]": "not an IPv6 address", "bind=a:70000": "not a port number", "bind": "a value is required",
	} {
		_, err := readSettings(Config{Role: Donor, Sockopt: in})
		wantErr(t, in, err, want)
	}
	donor := anyChannel(t, Donor, "bind=198.51.100.7")
	_, err := donor.Dial(t.Context(), "127.0.0.1", deafPort(t))
	wantErr(t, "Dial", err, "sockopt bind=198.51.100.7: no connection can be made from there", "name an address of this host")
	donor = anyChannel(t, Donor, "bind=nobody")
	donor.lookup = resolver(nil)
	_, err = donor.Dial(t.Context(), "127.0.0.1", 1)
	wantErr(t, "Dial", err, "sockopt bind=nobody: cannot be resolved")
}

func TestBindTakesTheFamilyOfTheJoiner(t *testing.T) {
	for _, tt := range []struct{ host, want string }{{"127.0.0.1", "10.0.0.1"}, {"::1", "2001:db8::1"}, {"name", "10.0.0.1"}} {
		donor := anyChannel(t, Donor, "bind=both")
		donor.lookup = resolver(map[string][]string{"both": {"2001:db8::1", "10.0.0.1"}})
		if got, err := donor.set.bind.resolve(t.Context(), donor, tt.host); err != nil || got.String() != tt.want {
			t.Errorf("to %s: from %v, %v", tt.host, got, err)
		}
	}
}

func TestLowPort(t *testing.T) {
	ln := loopback(t)
	donor := anyChannel(t, Donor, "lowport")
	seen := map[int]bool{}
	for range 3 {
		raw, err := donor.dialTCP(t.Context(), "127.0.0.1", portOf(ln))
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		port := raw.LocalAddr().(*net.TCPAddr).Port
		low := port >= lowestLow && port <= highestLow
		if seen[port] {
			t.Errorf("port %d twice", port)
		}
		seen[port] = true
		// Who may not have one says so and goes on.
		if told := strings.Contains(strings.Join(donor.Warnings(), "\n"), "others are used"); low == told {
			t.Errorf("from port %d, warnings %q", port, donor.Warnings())
		}
	}
}

// TestAJoinerMayDemandALocalPort of the donor's first connection: the others cannot
// come from there, and are let in from where it came.
func TestAJoinerMayDemandALocalPort(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	port := deafPort(t)
	sockopt := fmt.Sprintf("sourceport=%d", port)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: cert, Sockopt: sockopt})
	ln := loopback(t)
	dial := func(sockopt string) (joinerSees error) {
		sees := serveOne(t, joiner, ln)
		donor := load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost", Sockopt: sockopt})
		if conn, err := donor.Dial(t.Context(), "127.0.0.1", portOf(ln)); err == nil {
			t.Cleanup(func() { conn.Close() })
		}
		return <-sees
	}
	wantErr(t, "joiner", dial(""), "does not come from "+"sockopt "+sockopt, "remove sourceport")
	wantErr(t, "joiner", dial(sockopt))
	wantErr(t, "joiner", dial(sockopt)) // the port is taken: from another one
	wantErr(t, "joiner", dial("bind=127.0.0.9"), "does not come from")

	joiner = load(t, Config{Role: Joiner, CA: tca, Cert: cert, Sockopt: "lowport"})
	wantErr(t, "joiner", dial(""), "does not come from a port below 1024")
}
