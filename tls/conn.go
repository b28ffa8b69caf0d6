package tls

import (
	"cmp"
	"crypto/sha256"
	stdtls "crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// recordSize is the most plain text one TLS record holds.
const recordSize = 16 << 10

// Conn is a connection after its handshake. Like any net.Conn it may be read and
// written by two goroutines. Writes of 32 KiB to 256 KiB are the fastest.
type Conn struct {
	net.Conn        // of crypto/tls, or of dtls
	batch    *batch // nil with DTLS
	ends     ends
	peer     Peer
	protocol string      // that ALPN agreed on
	heard    atomic.Bool // the peer has sent something
}

// Peer is who is at the other end. Without a certificate (verify=0 on the joiner)
// only Addr, Version and Cipher are set. The texts are fit to be logged; what the
// certificate says byte by byte is in Leaf.
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

func newConn(tc *stdtls.Conn, b *batch, e ends) *Conn {
	s := tc.ConnectionState()
	p := peerOf(tc.RemoteAddr(), s.PeerCertificates, s.CipherSuite)
	p.Version, p.Resumed = stdtls.VersionName(s.Version), s.DidResume
	return &Conn{Conn: tc, batch: b, ends: e, peer: p, protocol: s.NegotiatedProtocol}
}

// peerOf is who showed certificates; Version and Resumed are left to the caller.
func peerOf(addr net.Addr, certs []*x509.Certificate, suite uint16) Peer {
	p := Peer{Addr: addr.String(), Cipher: stdtls.CipherSuiteName(suite)}
	if len(certs) == 0 {
		return p
	}
	p.Leaf = certs[0]
	p.Subject = printable(p.Leaf.Subject.String())
	cn, _ := firstCN(p.Leaf)
	p.CommonName = printable(cn)
	p.Serial = p.Leaf.SerialNumber.Text(16)
	sum := sha256.Sum256(p.Leaf.Raw)
	p.Fingerprint = hex.EncodeToString(sum[:])
	return p
}

// Own tells that the peer is our own binary: it agreed on [ALPN], and a hello follows.
func (c *Conn) Own() bool { return c.protocol == ALPN }

// Peer tells who is at the other end.
func (c *Conn) Peer() Peer { return c.peer }

// Read reads from the connection. An alert of the peer, a refused certificate of
// ours for instance, is an [Error] with a hint.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	if err != nil {
		err = c.ends.alert(err)
	}
	return n, err
}

// Write writes to the connection and returns when all of p has gone to the
// operating system, or with DTLS to the association. After an error nothing is known about how much arrived.
func (c *Conn) Write(p []byte) (int, error) {
	if c.batch == nil || len(p) <= recordSize {
		return c.Conn.Write(p)
	}
	c.batch.begin()
	n, err := c.Conn.Write(p)
	if endErr := c.batch.end(); err == nil && endErr != nil {
		n, err = 0, endErr
	}
	return n, err
}

// Close says goodbye to the peer and closes the connection; a Write under way is
// broken off instead.
func (c *Conn) Close() error {
	if c.batch != nil && c.batch.writing() {
		c.batch.Close()
	}
	return c.Conn.Close()
}

// lastWord reads the alert that may be waiting behind a write that failed: a peer
// that refuses us sends it and closes, and whoever writes first sees only that.
func (c *Conn) lastWord() error {
	c.Conn.SetReadDeadline(time.Now().Add(time.Second))
	for range 100 {
		if _, err := c.Conn.Read(make([]byte, 512)); err != nil {
			alert := c.ends.alert(err)
			if _, told := errors.AsType[*Error](alert); told {
				return alert
			}
			return nil
		}
	}
	return nil
}

// Explain puts into words what the peer meant by closing the connection without a
// word, which is how socat refuses a name. It is for the error that ended the use
// of c; errors that say nothing about the channel come back unchanged.
func (c *Conn) Explain(err error) error {
	err = c.ends.alert(err)
	cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if _, told := errors.AsType[*Error](err); told || !cut || c.heard.Load() {
		return err
	}
	if alert := c.lastWord(); alert != nil {
		return alert
	}
	if c.ends.mode != Socat {
		return c.ends.fault("look at its log; most often it does not accept "+cmp.Or(c.ends.ownFile, "a peer without a certificate")+" with its CA and its ssl-mode",
			"closed the connection after the handshake without a word: %w", err)
	}
	return c.ends.fault("look at its log; most often it does not accept "+c.ends.ownFile+": its tca or its sockopt commonname forbids it",
		"closed the connection after the handshake without a word: %w", err)
}
