package tls

import (
	"crypto/x509"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// A channel shown the certificate of its own node says what a handshake would.
func TestAcceptsSaysWhatAHandshakeWould(t *testing.T) {
	ca := newCA(t, "CA")
	between := issue(t, spec{cn: "between", ca: true, by: ca})
	for _, c := range []struct {
		name         string
		spec         spec
		chain        []*ident
		sockopt      string
		server       string // what a donor says of the joiner, "" if it is content
		client       string // and a joiner of the donor
		host, wanted string
	}{
		{name: "a good one", spec: spec{cn: "node1", by: ca}, host: "node1", wanted: "node1"},
		{name: "of another name", spec: spec{cn: "node2", by: ca}, host: "node1", server: "wanted name node1", wanted: "node1"},
		{name: "of another name, which nobody looks at", spec: spec{cn: "node2", by: ca}, host: "node1", sockopt: ",commonname="},
		{name: "a name that both sides look for", spec: spec{cn: "node1", by: ca}, host: "node1", sockopt: ",commonname=cluster", server: "wanted name cluster", client: "wanted name cluster", wanted: "cluster"},
		{name: "expired", spec: spec{cn: "node1", by: ca, from: time.Now().Add(-2 * time.Hour), until: time.Now().Add(-time.Hour)}, host: "node1", server: "expired on", client: "expired on", wanted: "node1"},
		{name: "not verified", spec: spec{cn: "node2", by: ca, until: time.Now().Add(-time.Minute)}, host: "node1", sockopt: ",verify=0"},
		{name: "for servers alone", spec: spec{cn: "node1", by: ca, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, host: "node1", client: "extended key usage", wanted: "node1"},
		{name: "for clients alone", spec: spec{cn: "node1", by: ca, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, host: "node1", server: "extended key usage", wanted: "node1"},
		{name: "an intermediate is missing", spec: spec{cn: "node1", by: between}, host: "node1", server: "was issued by CN=between", client: "was issued by CN=between", wanted: "node1"},
		{name: "an intermediate is there", spec: spec{cn: "node1", by: between}, chain: []*ident{between}, host: "node1", wanted: "node1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			own := issue(t, c.spec)
			cfg := Config{CA: bundle(t, ca), Cert: own.pem(t, c.chain...), Sockopt: c.sockopt, Host: c.host}
			for role, want := range map[Role]string{Donor: c.server, Joiner: c.client} {
				cfg.Role = role
				ch := must(Load(cfg))
				if n := len(ch.Chain()); n != 1+len(c.chain) || !ch.Chain()[0].Equal(own.cert) {
					t.Errorf("%d certificates", n)
				}
				err := ch.Accepts(ch.Chain())
				if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("%v says %v, want %q", role, err, want)
				}
				if err != nil && Hint(err) == "" {
					t.Errorf("no hint: %v", err)
				}
				if role == Donor && ch.WantedName() != c.wanted {
					t.Errorf("wants the name %q", ch.WantedName())
				}
				if ch.Verifies() == strings.Contains(c.sockopt, "verify=0") {
					t.Error("verifies:", ch.Verifies())
				}
				refused := func(w string) bool { return strings.Contains(w, "the other node will refuse it") }
				if slices.ContainsFunc(ch.WarningsBeside(), refused) {
					t.Errorf("%q", ch.WarningsBeside())
				}
				if want == "expired on" && !slices.ContainsFunc(ch.Warnings(), refused) {
					t.Errorf("no warning of it in %q", ch.Warnings())
				}
			}
		})
	}
}

// A rehearsal meets a rehearsal and nothing else; a side of an SST that it comes to
// has held nothing and takes the next.
func TestARehearsalMeetsOnlyItsLike(t *testing.T) {
	ca := newCA(t, "CA")
	cfg := Config{CA: bundle(t, ca), Cert: issue(t, spec{cn: "localhost", by: ca}).pem(t), HandshakeTimeout: 20 * time.Second}
	load := func(role Role, rehearsal bool) *Channel {
		c := cfg
		c.Role, c.Rehearsal = role, rehearsal
		return must(Load(c))
	}
	for _, joiner := range []bool{true, false} {
		l := load(Joiner, joiner)
		ln := must(l.Listen(t.Context(), "localhost", 0))
		defer ln.Close()
		for _, donor := range []bool{!joiner, joiner} {
			accepted := make(chan error, 1)
			go func() {
				raw, err := ln.Accept()
				if err == nil {
					var conn *Conn
					if conn, err = l.Server(t.Context(), raw); err == nil {
						if conn.Rehearsed() != joiner || conn.Own() == joiner {
							t.Errorf("rehearsed %v, own %v", conn.Rehearsed(), conn.Own())
						}
						defer conn.Close()
					}
				}
				accepted <- err
			}()
			conn, err := load(Donor, donor).Dial(t.Context(), "localhost", ln.Addr().(*net.TCPAddr).Port)
			if err == nil {
				conn.Close()
			}
			if other := <-accepted; joiner == donor && (err != nil || other != nil) || joiner != donor && (!OtherProtocol(err) || !OtherProtocol(other)) {
				t.Errorf("listening %v, calling %v: %v, %v", joiner, donor, other, err)
			}
			if held := l.held; held != (joiner == donor) {
				t.Errorf("listening %v, calling %v: the files are held: %v", joiner, donor, held)
			}
		}
	}
}
