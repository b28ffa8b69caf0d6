package dtls

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// selfSigned is a certificate with its key, of the kind of pub.
func selfSigned(t testing.TB, rsaKey bool) *stdtls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "node"}, DNSNames: []string{"node"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	c := &stdtls.Certificate{}
	var der []byte
	var err error
	if rsaKey {
		key, _ := rsa.GenerateKey(rand.Reader, 2048)
		der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		c.PrivateKey = key
	} else {
		key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
		c.PrivateKey = key
	}
	if err != nil {
		t.Fatal(err)
	}
	c.Certificate = [][]byte{der}
	return c
}

// A side is what a test changes of one end.
type side struct {
	config Config
	limits limits
}

// A pair is a listener and a dialer that trust each other, and what lies between.
type pair struct {
	t        testing.TB
	listener *Listener
	dialer   *Dialer
	joiner   Config
	route    Route
	accepted chan *Conn // those past the handshake
	refused  chan error // what came of the others
}

func newPair(t testing.TB, change func(donor, joiner *side)) *pair {
	t.Helper()
	cert := selfSigned(t, false)
	same := func(certs []*x509.Certificate) error {
		if string(certs[0].Raw) != string(cert.Certificate[0]) {
			return errors.New("another certificate")
		}
		return nil
	}
	base := side{Config{MTU: DefaultMTU, Certificate: cert, Protocol: "test/1", Verify: same}, defaultLimits}
	donor, joiner := base, base
	if change != nil {
		change(&donor, &joiner)
	}
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	enlarge(t, socket)
	l, err := NewListener(socket)
	if err != nil {
		t.Fatal(err)
	}
	l.limits = joiner.limits
	p := &pair{t: t, listener: l, dialer: NewDialer(), joiner: joiner.config, accepted: make(chan *Conn, 100), refused: make(chan error, 100)}
	p.dialer.limits = donor.limits
	p.to(l.Addr())
	p.route.Config = func() Config { return donor.config }
	go p.serve()
	t.Cleanup(func() {
		l.Close()
		for len(p.accepted) > 0 {
			p.finish(<-p.accepted)
		}
	})
	return p
}

// finish ends the joiner's side of an association, which may not have heard of its end.
func (p *pair) finish(joiner *Conn) {
	joiner.Close()
	joiner.assoc.end(net.ErrClosed)
	joiner.assoc.work.Wait()
}

// to makes the dialer go to another address.
func (p *pair) to(addr net.Addr) {
	p.route = Route{Addr: addr.String(), Config: p.route.Config, KnockLimit: 5 * time.Second, HandshakeLimit: 20 * time.Second}
	p.route.Connect = func(context.Context) ([]*net.UDPConn, error) {
		socket, err := net.DialUDP("udp", nil, addr.(*net.UDPAddr))
		if err == nil {
			enlarge(p.t, socket)
		}
		return []*net.UDPConn{socket}, err
	}
}

func enlarge(t testing.TB, socket *net.UDPConn) {
	raw, err := socket.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	SetBuffers(raw)
}

func (p *pair) serve() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		if conn, ok := c.(*Conn); ok {
			p.accepted <- conn
			continue
		}
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			conn, err := c.(*Pending).Handshake(ctx, p.joiner)
			if err != nil {
				p.refused <- err
				return
			}
			p.accepted <- conn
		}()
	}
}

// connect makes a connection: both its ends.
func (p *pair) connect() (donor, joiner *Conn) {
	p.t.Helper()
	donor, err := p.dialer.Dial(context.Background(), p.route)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { donor.Close() })
	select {
	case joiner = <-p.accepted:
	case <-time.After(20 * time.Second):
		p.t.Fatal("the joiner has accepted nothing")
	}
	p.t.Cleanup(func() { p.finish(joiner) })
	return donor, joiner
}
