package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// goldenNet are the rows F about attempts and G about IPv6.
func goldenNet(t *testing.T) []golden {
	p := newPair(t, spec{})
	ca := newCA(t, "cluster CA")
	tca, donor := bundle(t, ca), issue(t, spec{cn: "donor", by: ca}).pem(t)
	over6 := func(label, what string, s spec, host, joiner string, ok bool) golden {
		s.by = ca
		g := golden{label: label, what: what, over6: true, joiner: end{ca: tca, cert: issue(t, s).pem(t), sockopt: joiner}, donor: end{ca: tca, cert: donor, host: host}}
		if !ok {
			g.joinerSees, g.donorSees = []string{"refused our certificate"}, []string{"wanted name"}
		}
		return g
	}
	ip := spec{cn: "x", ips: []string{"::1"}}
	out := over6("G8", "a peer outside of the range", ip, "::1", "pf=ip6,range=[2001:db8::]/32", true)
	out.joinerSees, out.donorSees = []string{"is outside of sockopt range"}, []string{"closed the connection before it said anything"}
	attempts := func(label, what, sockopt string, connects int, atLeast time.Duration) golden {
		return golden{label: label, what: what, alone: func(t *testing.T) {
			start := time.Now()
			_, err := load(t, p.with("", "", "", sockopt).donor.config(Donor)).Dial(t.Context(), "127.0.0.1", deafPort(t))
			wantErr(t, "donor", err, "connection refused")
			if connects > 1 {
				wantErr(t, "donor", err, fmt.Sprintf("after %d attempts", connects))
			}
			if took := time.Since(start); took < atLeast {
				t.Errorf("it took %v", took)
			}
		}}
	}
	return []golden{
		attempts("F1", "one attempt by default", "", 1, 0),
		attempts("F2", "retry counts further attempts", "retry=2,interval=0.1", 3, 200*time.Millisecond),
		attempts("F3", "bare retry is one more, after a second", "retry", 2, time.Second),
		attempts("F4", "a fraction of a second", "interval=0.03,retry=3", 4, 90*time.Millisecond),
		{label: "F5", what: "forever, but for the end of the SST", alone: func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			why, failed := errors.New("mariadbd is gone"), 0
			c := p.with("", "", "", "forever,interval=0.01").donor.config(Donor)
			c.Warn = func(string) { failed++; time.AfterFunc(100*time.Millisecond, func() { cancel(why) }) }
			if _, err := load(t, c).Dial(ctx, "127.0.0.1", deafPort(t)); !errors.Is(err, why) || failed != 1 {
				t.Errorf("%v, warned %d times", err, failed)
			}
		}},
		over6("G1", "an IPv6 address needs no pf", ip, "::1", "", true).but6(),
		over6("G1", "nor does pf hurt", ip, "::1", "pf=ip6", true),
		over6("G2", "the CN of an IPv6 host bears brackets", spec{cn: "[::1]"}, "::1", "pf=ip6", true),
		over6("G3", "a CN without them is another name", spec{cn: "::1"}, "::1", "pf=ip6", false),
		over6("G4", "any spelling of a SAN", ip, "0:0:0:0:0:0:0:1", "pf=ip6", true),
		out,
		over6("G8", "a peer inside of the range", ip, "::1", "pf=ip6,range=[::]/64", true),
		{label: "G5", what: "all addresses of IPv6 are those of IPv4, too", alone: func(t *testing.T) { meetsIPv4(t, p, "pf=ip6", true) }},
		{label: "G6", what: "unless ipv6only says otherwise", alone: func(t *testing.T) { meetsIPv4(t, p, "pf=ip6,ipv6only=1", false) }},
	}
}

// but6 is a joiner's sockopt without pf=ip6: what the script makes of it.
func (g golden) but6() golden {
	g.socatJoiner, g.socats, g.differs = fails, fails, "an IPv6 address says by itself what it is"
	return g
}

// meetsIPv4 lets a donor come over IPv4 to a joiner on [::].
func meetsIPv4(t *testing.T, p pair, sockopt string, ok bool) {
	t.Helper()
	needIPv6(t)
	joiner, donor := load(t, p.with("", "", sockopt, "").joiner.config(Joiner)), load(t, p.donor.config(Donor))
	ln, err := joiner.Listen(t.Context(), "::", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		var conn *Conn
		raw, err := ln.Accept()
		if err == nil {
			conn, err = joiner.Server(context.Background(), raw)
		}
		if err == nil {
			conn.Close()
		}
		done <- err
	}()
	conn, err := donor.Dial(t.Context(), "127.0.0.1", ln.Addr().(*net.TCPAddr).Port)
	if (err == nil) != ok {
		t.Errorf("%v, want a connection: %v", err, ok)
	}
	if err == nil {
		conn.Close()
	}
	ln.Close()
	if err := <-done; (err == nil) != ok {
		t.Errorf("joiner: %v", err)
	}
}

// goldenCurves are the rows I: socat 1.7 knows one curve, and we know all.
func goldenCurves(t *testing.T) []golden {
	const only12 = "max-version=TLS1.2"
	p256, p384 := spec{}, spec{key: ecKey(t, elliptic384)}
	ca := newCA(t, "cluster CA")
	tca := bundle(t, ca)
	meet := func(label, what string, joiner, donor spec) golden {
		joiner.cn, joiner.by, donor.cn, donor.by = "localhost", ca, "donor", ca
		return golden{label: label, what: what, version: "TLS 1.2",
			joiner: end{ca: tca, cert: issue(t, joiner).pem(t), sockopt: only12}, donor: end{ca: tca, cert: issue(t, donor).pem(t)}}
	}
	i1, i2 := meet("I1", "P-384 on the joiner", p384, p256), meet("I2", "P-384 on the donor", p256, p384)
	i1.socatDonor, i1.socats, i1.differs = fails, fails, "all curves are known here"
	i2.socatJoiner, i2.socatDonor, i2.socats, i2.differs = fails, connects, fails, "all curves are known here"
	rows := []golden{i1, i2, meet("I3", "P-256 on both", p256, p256)}
	for _, o := range []struct {
		what string
		args []string
	}{
		{"P-256 alone", []string{"-groups", "P-256"}},
		{"wider than socat: X25519 alone", []string{"-groups", "X25519"}},
		{"wider than socat: P-384 alone", []string{"-groups", "P-384"}},
		{"wider than socat: X25519 alone, TLS 1.2", []string{"-tls1_2", "-groups", "X25519"}},
	} {
		rows = append(rows, golden{label: "I4", what: o.what, alone: func(t *testing.T) { openSSLMeets(t, o.args...) }})
	}
	return rows
}

// openSSLMeets lets openssl's client come to a joiner.
func openSSLMeets(t *testing.T, args ...string) {
	t.Helper()
	openssl := tool(t, "openssl")
	p := newPair(t, spec{key: rsaKey()})
	joiner := load(t, p.joiner.config(Joiner))
	ln := loopback(t)
	sees := serveOne(t, joiner, ln)
	start(t, openssl, append([]string{"s_client", "-connect", ln.Addr().String(), "-cert", p.donor.cert, "-CAfile", p.donor.ca, "-quiet"}, args...)...)
	wantErr(t, "joiner", <-sees)
}
