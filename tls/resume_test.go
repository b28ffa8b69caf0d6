package tls

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
)

func TestLaterConnectionsResumeTheFirstAndShowTheSameCertificates(t *testing.T) {
	for _, sockopt := range []string{"", "max-version=TLS1.2"} {
		t.Run("sockopt "+sockopt, func(t *testing.T) {
			ca := newCA(t, "CA")
			tca := bundle(t, ca)
			j := issue(t, spec{cn: "localhost", by: ca})
			d := issue(t, spec{cn: "donor", by: ca})
			joiner := load(t, Config{Role: Joiner, CA: tca, Cert: j.pem(t), Sockopt: sockopt})
			donor := load(t, Config{Role: Donor, CA: tca, Cert: d.pem(t), Host: "localhost"})
			for i := range 4 {
				o := meet(t, joiner, donor)
				if o.donorErr != nil || o.joinerErr != nil {
					t.Fatal(o.donorErr, o.joinerErr)
				}
				p, q := o.joiner.Peer(), o.donor.Peer()
				if want := i > 0; p.Resumed != want || q.Resumed != want {
					t.Errorf("connection %d: resumed as the joiner says %v, the donor %v; want %v", i, p.Resumed, q.Resumed, want)
				}
				if p.CommonName != "donor" || p.Leaf == nil || !p.Leaf.Equal(d.cert) {
					t.Errorf("connection %d: the joiner sees %+v", i, p)
				}
				if q.CommonName != "localhost" || !q.Leaf.Equal(j.cert) {
					t.Errorf("connection %d: the donor sees %+v", i, q)
				}
				if !o.joiner.Own() || !o.donor.Own() {
					t.Errorf("connection %d: the ends do not know their own kind", i)
				}
			}
		})
	}
}

// TestAResumedConnectionIsVerifiedToo changes what is wanted between two connections.
func TestAResumedConnectionIsVerifiedToo(t *testing.T) {
	ca := newCA(t, "CA")
	tca := bundle(t, ca)
	// With an IPv6 address as the wanted name the ticket is kept under the peer's
	// address and port, which stay the same.
	j := issue(t, spec{cn: "j", ips: []string{"::1"}, by: ca})
	d := issue(t, spec{cn: "donor", by: ca})
	other := bundle(t, newCA(t, "other CA"))

	t.Run("by the donor, another name", func(t *testing.T) {
		err := secondWith(t, load(t, Config{Role: Joiner, CA: tca, Cert: j.pem(t)}),
			load(t, Config{Role: Donor, CA: tca, Cert: d.pem(t), Host: "::1"}),
			func(_, donor *Channel) { donor.cfg.Host = "::2" })
		if e, ok := errors.AsType[*nameError](err); !ok || e.want != "[::2]" {
			t.Errorf("error %v, want one about the name", err)
		}
	})
	t.Run("by the donor, another tca", func(t *testing.T) {
		err := secondWith(t, load(t, Config{Role: Joiner, CA: tca, Cert: j.pem(t)}),
			load(t, Config{Role: Donor, CA: tca, Cert: d.pem(t), Host: "::1"}),
			func(_, donor *Channel) {
				donor.now.verifier.trusted = load(t, Config{Cert: j.pem(t), CA: other}).now.verifier.trusted
			})
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
			t.Errorf("error %v, want one about the chain", err)
		}
	})
	t.Run("by the joiner, another name", func(t *testing.T) {
		joiner := load(t, Config{Role: Joiner, CA: tca, Cert: j.pem(t), Sockopt: "commonname=donor"})
		err := secondWith(t, joiner, load(t, Config{Role: Donor, CA: tca, Cert: d.pem(t), Host: "::1"}),
			func(joiner, _ *Channel) {
				v := joiner.now.verifier
				v.want = "someone"
				joiner.now.config.VerifyConnection = v.verify
			})
		if err == nil {
			t.Error("the joiner took a donor of another name")
		}
	})
}

// secondWith makes two connections; what change does lies between them. It
// returns the donor's error of the second, which must have been a resumption.
func secondWith(t *testing.T, joiner, donor *Channel, change func(joiner, donor *Channel)) error {
	t.Helper()
	ln := loopback(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() {
		defer close(served)
		for range 2 {
			raw, err := ln.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			if conn, err := joiner.Server(ctx, raw); err == nil {
				conn.Write([]byte("@"))
				conn.Close()
			}
		}
	}()
	defer func() { cancel(); <-served }()

	resumed := false
	var last error
	for i := range 2 {
		if i == 1 {
			change(joiner, donor)
		}
		raw, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := donor.current()
		cfg, v := donor.connection(p, "::1")
		verify := cfg.VerifyConnection
		cfg.VerifyConnection = func(s stdtls.ConnectionState) error {
			resumed = s.DidResume
			return verify(s)
		}
		conn, err := donor.handshake(ctx, raw, p, stdtls.Client, cfg, v)
		if err == nil {
			_, err = io.ReadAll(conn)
			conn.Close()
		}
		if last = err; i == 0 && err != nil {
			t.Fatal(err)
		}
	}
	if !resumed {
		t.Error("the second connection did not try to resume the first: the test shows nothing")
	}
	return last
}

func TestNoTicketIsKeptOfAStrangersJoiner(t *testing.T) {
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: cert})
	joiner.now.config.NextProtos = nil // as socat
	joiner.held = true
	donor := load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost"})
	for i := range 3 {
		o := meet(t, joiner, donor)
		if o.donorErr != nil || o.joinerErr != nil {
			t.Fatal(o.donorErr, o.joinerErr)
		}
		if o.donor.Own() || o.donor.Peer().Resumed {
			t.Errorf("connection %d: own %v, resumed %v", i, o.donor.Own(), o.donor.Peer().Resumed)
		}
	}
}
