package tls

import (
	"context"
	"crypto/sha256"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"net"
	"time"
)

// Conn is a connection after its handshake.
type Conn struct {
	*stdtls.Conn
	peer Peer
	own  bool
}

// Peer is who is at the other end. Without a certificate (verify=0 on the
// joiner) only Addr, Version and Cipher are set.
type Peer struct {
	Subject     string // distinguished name
	CommonName  string // the first CN of the subject
	Serial      string // hexadecimal
	Fingerprint string // SHA-256 of the certificate, hexadecimal
	Addr        string // address and port
	Leaf        *x509.Certificate
	Version     string // "TLS 1.3"
	Cipher      string
	Resumed     bool // by a session ticket; the certificate is that of the first handshake
}

// Own tells that the peer is our own binary: it agreed on [ALPN], and a hello follows.
func (c *Conn) Own() bool { return c.own }

// Peer tells who is at the other end.
func (c *Conn) Peer() Peer { return c.peer }

// Explain puts into words what the peer meant by closing the connection or by an
// alert. Errors that say nothing about the channel come back unchanged.
func (c *Conn) Explain(err error) error { return err }

// Server makes the joiner's side of the handshake on an accepted connection. On
// an error raw is closed. A connection that was closed before it said anything
// (a port probe) is an error that errors.Is(err, ErrProbe).
func (c *Channel) Server(ctx context.Context, raw net.Conn) (*Conn, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	return handshake(ctx, stdtls.Server(raw, cfg), c.cfg.HandshakeTimeout)
}

func handshake(ctx context.Context, tc *stdtls.Conn, limit time.Duration) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		tc.Close()
		return nil, err
	}
	s := tc.ConnectionState()
	p := Peer{
		Addr:    tc.RemoteAddr().String(),
		Version: stdtls.VersionName(s.Version),
		Cipher:  stdtls.CipherSuiteName(s.CipherSuite),
		Resumed: s.DidResume,
	}
	if len(s.PeerCertificates) > 0 {
		p.Leaf = s.PeerCertificates[0]
		p.Subject = p.Leaf.Subject.String()
		p.CommonName = p.Leaf.Subject.CommonName
		p.Serial = p.Leaf.SerialNumber.Text(16)
		sum := sha256.Sum256(p.Leaf.Raw)
		p.Fingerprint = hex.EncodeToString(sum[:])
	}
	return &Conn{Conn: tc, peer: p, own: s.NegotiatedProtocol == ALPN}, nil
}
