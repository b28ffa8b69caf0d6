package tls

import (
	"context"
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"wsrep_sst_rsync_tunnel/tls/dtls"
)

// Transport is how the secure channel goes over the network.
type Transport string

const (
	TCP  Transport = "tls"  // TLS over TCP; what "" means, too
	DTLS Transport = "dtls" // SCTP over DTLS over UDP; both ends are this program
)

// MinMTU and MaxMTU are the range of [Config].MTU.
const (
	MinMTU = dtls.MinMTU
	MaxMTU = dtls.MaxMTU
)

// network is its name for the net package.
func (t Transport) network() string {
	if t == DTLS {
		return "udp"
	}
	return "tcp"
}

// transport settles which one it is: sockopt may say it as socat does, with method.
func (s *settings) transport(c *Config) error {
	asked := s.method == "DTLS1.2" || s.method == "DTLS"
	switch {
	case asked && c.Transport == TCP:
		return fault("sockopt method="+s.method, "remove one of them", "contradicts transport=tls")
	case c.Transport == DTLS && s.method == "TLS1.2":
		return fault("sockopt method="+s.method, "remove one of them", "contradicts transport=dtls")
	case asked:
		c.Transport = DTLS
	case c.Transport == "":
		c.Transport = TCP
	}
	if c.MTU == 0 {
		c.MTU = dtls.DefaultMTU
	}
	if c.Transport != DTLS {
		return nil
	}
	if s.min > stdtls.VersionTLS12 {
		return fault("sockopt min-version", "remove it, or use transport=tls", "DTLS is spoken in version 1.2 only")
	}
	if len(dtls.CommonSuites(s.suites)) == 0 {
		return fault("sockopt cipher="+s.cipher, "use a list with ECDHE and AESGCM or CHACHA20, or transport=tls", "DTLS here has none of these ciphers")
	}
	return nil
}

// listenDatagrams is lc.Listen for DTLS.
func (c *Channel) listenDatagrams(ctx context.Context, lc net.ListenConfig, network, addr string) (net.Listener, error) {
	pc, err := lc.ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	socket := pc.(*net.UDPConn)
	c.enlarge(socket)
	l, err := dtls.NewListener(socket)
	if err != nil {
		socket.Close()
		return nil, err
	}
	return l, nil
}

// enlarge gives a socket its buffers, unless sockopt has said how large they are.
func (c *Channel) enlarge(socket *net.UDPConn) {
	for _, o := range c.set.socket {
		if strings.HasPrefix(o.name, "so-rcvbuf") {
			return
		}
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	if got, capped := dtls.SetBuffers(raw); capped {
		c.warn(fmt.Sprintf("the kernel gives a UDP socket %d KiB to receive in and not %d: datagrams that come fast may be lost and sent again; sysctl -w net.core.rmem_max=%d net.core.wmem_max=%d lets it have more",
			got>>10, dtls.WantedBuffer>>10, dtls.WantedBuffer, dtls.WantedBuffer))
	}
}

// handshakeOf is p for DTLS: the same files, names and ciphers.
func (c *Channel) handshakeOf(cfg *stdtls.Config, v verifier) dtls.Config {
	d := dtls.Config{MTU: c.cfg.MTU, Protocol: c.cfg.alpn(), ServerName: cfg.ServerName, Suites: c.set.suites}
	if len(cfg.Certificates) > 0 {
		d.Certificate = &cfg.Certificates[0]
	}
	if c.set.verify {
		d.Verify = func(certs []*x509.Certificate) error {
			return v.verify(stdtls.ConnectionState{PeerCertificates: certs})
		}
	}
	return d
}

// newDatagramConn is a connection after its handshake.
func (c *Channel) newDatagramConn(conn *dtls.Conn) *Conn {
	s := conn.State()
	p := peerOf(conn.RemoteAddr(), s.Certificates, s.Suite)
	p.Version = "DTLS 1.2"
	return &Conn{Conn: conn, ends: c.ends(conn.RemoteAddr()), peer: p, protocol: s.Protocol}
}

// dialDatagram makes a connection: a stream of the association, which is made first if
// there is none.
func (c *Channel) dialDatagram(ctx context.Context, host string, port int) (*Conn, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	var p *prepared
	var v verifier
	conn, err := c.datagrams.Dial(ctx, dtls.Route{
		Addr: addr, Name: c.wanted(host), KnockLimit: c.connectTimeout(), HandshakeLimit: c.cfg.HandshakeTimeout,
		Connect: func(ctx context.Context) ([]*net.UDPConn, error) { return c.connectUDP(ctx, host, port) },
		Config: func() dtls.Config {
			p = c.current()
			var cfg *stdtls.Config
			cfg, v = c.connection(p, host)
			return c.handshakeOf(cfg, v)
		},
	})
	switch {
	case err == nil:
		if p != nil {
			c.hold(p)
		}
		return c.newDatagramConn(conn), nil
	case ctx.Err() != nil:
		return nil, &Error{Object: "joiner " + addr, Err: context.Cause(ctx)}
	case errors.Is(err, dtls.ErrHandshake):
		return nil, c.datagramFault(c.endsOf("joiner "+addr), v, err)
	}
	return nil, c.knockFault(addr, err)
}

func (c *Channel) endsOf(peer string) ends {
	e := c.ends(&net.UDPAddr{})
	e.peer = peer
	return e
}

// maxAddresses of a joiner's name are tried.
const maxAddresses = 8

// connectUDP makes a socket for each address of the joiner.
func (c *Channel) connectUDP(ctx context.Context, host string, port int) (sockets []*net.UDPConn, err error) {
	defer func() {
		if err != nil {
			for _, s := range sockets {
				s.Close()
			}
		}
	}()
	addrs, err := c.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	for i, a := range addrs {
		local, err := c.set.bind.resolve(ctx, c, a.String())
		if err != nil {
			return sockets, err
		}
		raw, err := c.dialFrom(ctx, "udp", local, netip.AddrPortFrom(a, uint16(port)).String())
		if err != nil {
			if len(sockets) == 0 && i == len(addrs)-1 {
				return sockets, err
			}
			continue // of a family that this host has no way for
		}
		socket := raw.(*net.UDPConn)
		sockets = append(sockets, socket)
		c.enlarge(socket)
		if err := c.configureConn(socket); err != nil {
			return sockets, err
		}
	}
	return sockets, nil
}

// addresses are those of the joiner's name.
func (c *Channel) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	limited, cancel := context.WithTimeout(ctx, c.connectTimeout())
	defer cancel()
	addrs, err := c.lookup(limited, c.set.network("ip"), host)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// bothEnds is what most often is the matter when nobody answers.
const bothEnds = "transport=dtls (or method=DTLS1.2 in sockopt) must be set on both nodes, and both must run this program: no script speaks it"

// knockFault says why no listener of ours answered.
func (c *Channel) knockFault(addr string, err error) error {
	object := "joiner " + addr
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(object, bothEnds, "nothing listens on that port by UDP: %w", err)
	case isNet && netErr.Timeout():
		return fault(object, bothEnds+"; a firewall may let TCP through and no UDP", "no answer by UDP within %v: %w", c.connectTimeout(), err)
	}
	return c.dialFault(addr, err)
}

// datagramFault says why a handshake failed.
func (c *Channel) datagramFault(e ends, v verifier, err error) error {
	if errors.Is(err, dtls.ErrNoCertificate) {
		err = fmt.Errorf("%w (%w)", errNoPeerCertificate, err)
	}
	netErr, isNet := errors.AsType[net.Error](err)
	if errors.Is(err, context.DeadlineExceeded) || isNet && netErr.Timeout() {
		return e.fault("", "did not finish the DTLS handshake within %v: %w", c.cfg.HandshakeTimeout, err)
	}
	return e.explain(v, err)
}

// serveDatagrams makes the joiner's side of a handshake; a further connection of an
// association has it behind itself.
func (c *Channel) serveDatagrams(ctx context.Context, raw net.Conn) (*Conn, error) {
	if conn, ok := raw.(*dtls.Conn); ok {
		return c.newDatagramConn(conn), nil
	}
	pending, ok := raw.(*dtls.Pending)
	if !ok {
		return nil, fmt.Errorf("a connection of the type %T, where DTLS is spoken", raw)
	}
	p := c.current()
	limited, cancel := context.WithTimeout(ctx, c.cfg.HandshakeTimeout)
	defer cancel()
	conn, err := pending.Handshake(limited, c.handshakeOf(p.config, p.verifier))
	switch {
	case err == nil:
		c.hold(p)
		return c.newDatagramConn(conn), nil
	case ctx.Err() != nil:
		return nil, &Error{Object: c.ends(raw.RemoteAddr()).peer, Err: context.Cause(ctx)}
	}
	return nil, c.datagramFault(c.ends(raw.RemoteAddr()), p.verifier, err)
}
