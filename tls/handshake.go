package tls

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// ends names both ends of a connection for messages.
type ends struct {
	peer    string // "donor 10.0.0.2:41122"
	role    Role   // ours
	ownFile string // "tcert /tls/node.crt"; "" if we have none
	mode    Mode
}

func (e ends) fault(hint, format string, args ...any) *Error {
	return fault(e.peer, hint, format, args...)
}

// Server makes the joiner's side of the handshake on an accepted connection. On
// an error raw is closed. A connection that was closed before it said anything
// (a port probe) is an error that errors.Is(err, ErrProbe).
func (c *Channel) Server(ctx context.Context, raw net.Conn) (*Conn, error) {
	err := c.admits(raw.RemoteAddr())
	if err == nil {
		err = c.configureConn(raw)
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	var conn *Conn
	if c.cfg.Transport == DTLS {
		conn, err = c.serveDatagrams(ctx, raw)
	} else {
		p := c.current()
		conn, err = c.handshake(ctx, raw, p, stdtls.Server, p.config, p.verifier)
	}
	if err == nil {
		c.remember(raw.RemoteAddr())
	}
	return conn, err
}

func (c *Channel) ends(remote net.Addr) ends {
	e := ends{
		peer: fmt.Sprintf("%s %s", c.cfg.Role.peer(), remote),
		role: c.cfg.Role,
		mode: c.cfg.Mode,
	}
	if c.cfg.Cert != "" {
		e.ownFile = c.cfg.certObject()
	}
	return e
}

// handshake closes raw when it fails.
func (c *Channel) handshake(ctx context.Context, raw net.Conn, p *prepared,
	side func(net.Conn, *stdtls.Config) *stdtls.Conn, cfg *stdtls.Config, v verifier) (*Conn, error) {

	e := c.ends(raw.RemoteAddr())
	limited, cancel := context.WithTimeout(ctx, c.cfg.HandshakeTimeout)
	defer cancel()
	b := newBatch(raw, c.buffers)
	tc := side(b, cfg)
	err := tc.HandshakeContext(limited)
	if err == nil {
		c.hold(p)
		return newConn(tc, b, e), nil
	}
	if alert, ok := b.plainAlert(); ok {
		err = &net.OpError{Op: "remote error", Err: alert}
	}
	if ctx.Err() == nil && limited.Err() == nil {
		linger(raw)
	}
	b.Close()
	switch received := b.received.Load(); {
	case ctx.Err() != nil:
		return nil, &Error{Object: e.peer, Err: context.Cause(ctx)}
	case limited.Err() != nil && received == 0:
		return nil, e.fault("", "said nothing for %v: %w", c.cfg.HandshakeTimeout, err)
	case limited.Err() != nil:
		return nil, e.fault("", "did not finish the TLS handshake within %v: %w", c.cfg.HandshakeTimeout, err)
	case received == 0 && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		hint := ""
		if e.role == Donor { // a range in the sockopt of the joiner does it
			hint = fmt.Sprintf("look at the log of the %s", e.role.peer())
		}
		return nil, e.fault(hint, "%w (%w)", ErrProbe, err)
	}
	return nil, e.explain(v, err)
}

// linger lets the alert of a failed handshake reach the peer. Closing at once
// would not: with what the peer has sent meanwhile unread, the system resets the
// connection, and the alert is lost with it.
func linger(raw net.Conn) {
	if w, ok := raw.(interface{ CloseWrite() error }); ok {
		if w.CloseWrite() != nil {
			return
		}
	}
	const most = 1 << 20
	raw.SetReadDeadline(time.Now().Add(time.Second))
	io.CopyN(io.Discard, raw, most)
}
