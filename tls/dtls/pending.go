package dtls

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"time"

	piondtls "github.com/pion/dtls/v3"
)

// A Pending is a peer that has knocked. It is a net.Conn only to be accepted, to be
// known by its address, and to be closed: nothing can be read from it.
type Pending struct {
	flow     *flow
	listener *Listener
}

// Handshake makes the listener's side of the handshake, and waits for the first
// connection of the association; ctx is to limit both. When it fails the Pending is
// closed.
func (p *Pending) Handshake(ctx context.Context, c Config) (*Conn, error) {
	h := &handshake{Config: c}
	conn, err := p.handshake(ctx, h)
	if err != nil {
		p.flow.Close()
		if cause := context.Cause(ctx); cause != nil && h.refused == nil {
			return nil, cause
		}
		return nil, h.explain(err)
	}
	return conn, nil
}

func (p *Pending) handshake(ctx context.Context, h *handshake) (*Conn, error) {
	dc, err := piondtls.ServerWithOptions(p.flow, p.flow.RemoteAddr(), h.server()...)
	if err != nil {
		return nil, err
	}
	if err := dc.HandshakeContext(ctx); err != nil {
		dc.Close()
		return nil, err
	}
	a, err := associate(ctx, dc, p.flow, h.Config, p.listener.limits, nil)
	if err != nil {
		return nil, err
	}
	first := make(chan *Conn, 1)
	var came atomic.Bool // streams come side by side
	a.accept(func(c *Conn) bool {
		if came.Swap(true) {
			return p.listener.offer(c)
		}
		first <- c
		return true
	})
	select {
	case c := <-first:
		return c, nil
	case <-a.ended:
		return nil, a.cause()
	case <-ctx.Done():
		a.end(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
}

// Close ends it without an answer.
func (p *Pending) Close() error { return p.flow.Close() }

func (p *Pending) Read([]byte) (int, error)         { return 0, os.ErrInvalid }
func (p *Pending) Write([]byte) (int, error)        { return 0, os.ErrInvalid }
func (p *Pending) LocalAddr() net.Addr              { return p.flow.LocalAddr() }
func (p *Pending) RemoteAddr() net.Addr             { return p.flow.RemoteAddr() }
func (p *Pending) SetDeadline(time.Time) error      { return nil }
func (p *Pending) SetReadDeadline(time.Time) error  { return nil }
func (p *Pending) SetWriteDeadline(time.Time) error { return nil }
