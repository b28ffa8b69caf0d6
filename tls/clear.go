package tls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Clear is what the stock script uses where no TLS is configured: it listens and
// dials as a [Channel] does, and nothing is encrypted or checked. Nobody gets one
// by a mistake in the settings of a Channel: it is loaded by a call of its own.
type Clear struct{ tcp Channel }

// LoadClear makes one. Of c it uses the role, the connect timeout and the clock.
func LoadClear(c Config) *Clear {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	return &Clear{tcp: Channel{cfg: c, set: &settings{}, lookup: net.DefaultResolver.LookupNetIP}}
}

// Listen is [Channel.Listen].
func (c *Clear) Listen(ctx context.Context, host string, port int) (*Listener, error) {
	return c.tcp.Listen(ctx, host, port)
}

// Server takes an accepted connection.
func (c *Clear) Server(raw net.Conn) *ClearConn { return newClearConn(raw, c.tcp.cfg.Role) }

// Dial connects to the joiner.
func (c *Clear) Dial(ctx context.Context, host string, port int) (*ClearConn, error) {
	raw, err := c.tcp.dialTCP(ctx, host, port)
	if err != nil {
		return nil, err
	}
	return newClearConn(raw, c.tcp.cfg.Role), nil
}

// ClearConn is a TCP connection with the manners of a [Conn].
type ClearConn struct {
	net.Conn
	role  Role // ours
	first [3]byte
	read  int          // of first; for the one goroutine that reads
	heard atomic.Int32 // as read, for Explain
}

func newClearConn(raw net.Conn, role Role) *ClearConn { return &ClearConn{Conn: raw, role: role} }

// Own is false: without TLS nobody can tell.
func (c *ClearConn) Own() bool { return false }

// Peer has an address and nothing else.
func (c *ClearConn) Peer() Peer { return Peer{Addr: c.RemoteAddr().String(), Version: "no TLS"} }

// Read keeps the first bytes, which tell a peer that speaks TLS.
func (c *ClearConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.read < len(c.first) {
		c.read += copy(c.first[c.read:], p[:n])
		c.heard.Store(int32(c.read))
	}
	return n, err
}

// Explain puts into words what makes two nodes of different settings part: one
// speaks TLS and the other does not. A peer that left before it said anything is
// [ErrProbe]. Other errors come back unchanged.
func (c *ClearConn) Explain(err error) error {
	if err == nil {
		return nil
	}
	object := c.role.peer().String() + " " + c.RemoteAddr().String()
	const hint = "ssl-mode and the certificates that it is derived from (tca, tcert, tkey, ssl-*) must agree on all nodes"
	heard := c.heard.Load()
	// A record of a handshake or an alert, and the major version of all TLS.
	if heard >= 2 && (c.first[0] == 22 || c.first[0] == 21) && c.first[1] == 3 {
		return fault(object, hint, "speaks TLS, and this node is configured to go without: %w", err)
	}
	cut := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	switch {
	case heard > 0 || !cut:
		return err
	case c.role == Joiner:
		return &Error{Object: object, Err: fmt.Errorf("%w (%w)", ErrProbe, err)}
	}
	return fault(object, "look at its log; it may speak TLS: "+hint, "closed the connection without a word: %w", err)
}
