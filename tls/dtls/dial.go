package dtls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	piondtls "github.com/pion/dtls/v3"
)

// openLimit is how long the other side may take to answer a new stream on an
// association that is there: after that a new association is tried, as the old one may
// be dead without our having noticed yet.
const openLimit = 3 * time.Second

// A Dialer makes connections. The first one makes an association; further ones to the
// same address are streams on it, until it has ended, is worn, or has no connection
// left.
type Dialer struct {
	limits limits

	making sync.Mutex // held while an association is made
	mu     sync.Mutex
	addr   string
	name   string
	assoc  *association
}

// NewDialer makes one without an association.
func NewDialer() *Dialer { return &Dialer{limits: defaultLimits} }

// A Route is how a Dialer comes to an association; both functions are called for each
// new one.
type Route struct {
	// Addr is a host and a port; an association may be used again for the same one, or
	// for the address that it came to, if Name is the same: what the listener's
	// certificate was asked for.
	Addr, Name string
	// Connect makes connected UDP sockets, one for each address that the listener may
	// have. All are knocked at: to connect one says nothing, unlike with TCP.
	Connect func(context.Context) ([]*net.UDPConn, error)
	// Config is for the handshake over it.
	Config func() Config
	// KnockLimit is how long an answer to the first datagrams is waited for, and
	// HandshakeLimit how long for all after it.
	KnockLimit, HandshakeLimit time.Duration
}

// ErrHandshake marks errors of what comes after the knock.
var ErrHandshake = errors.New("the DTLS handshake failed")

// Dial makes a connection. When nobody answers its error is a timeout, or
// errors.Is(err, syscall.ECONNREFUSED).
func (d *Dialer) Dial(ctx context.Context, r Route) (*Conn, error) {
	for {
		a, fresh, err := d.association(ctx, r)
		if err != nil {
			return nil, err
		}
		limit := openLimit
		if fresh {
			limit = r.HandshakeLimit
		}
		limited, cancel := context.WithTimeout(ctx, limit)
		c, err := a.dial(limited)
		cancel()
		if err == nil {
			return c, nil
		}
		d.leave(a)
		if fresh || ctx.Err() != nil {
			a.end(fmt.Errorf("no stream could be opened: %w", err))
			return nil, err
		}
	}
}

// association is one with a connection reserved on it. fresh: it was made for it.
func (d *Dialer) association(ctx context.Context, r Route) (a *association, fresh bool, err error) {
	d.making.Lock()
	defer d.making.Unlock()
	d.mu.Lock()
	a = d.assoc
	usable := a != nil && d.name == r.Name && (d.addr == r.Addr || a.meter.RemoteAddr().String() == r.Addr) && a.reserve()
	d.mu.Unlock()
	if usable {
		return a, false, nil
	}
	if a, err = d.make(ctx, r); err != nil {
		return nil, false, err
	}
	d.mu.Lock()
	d.addr, d.name, d.assoc = r.Addr, r.Name, a
	d.mu.Unlock()
	return a, true, nil
}

// leave makes no more connections on a; those that are there stay.
func (d *Dialer) leave(a *association) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.assoc == a {
		d.assoc = nil
	}
}

func (d *Dialer) make(ctx context.Context, r Route) (*association, error) {
	sockets, err := r.Connect(ctx)
	if err != nil {
		return nil, err
	}
	knocking, cancel := context.WithTimeout(ctx, r.KnockLimit)
	socket, err := knockAtAll(knocking, sockets)
	cancel()
	if err != nil {
		return nil, err
	}
	shaking, cancel := context.WithTimeout(ctx, r.HandshakeLimit)
	defer cancel()
	below := &connected{Conn: socket}
	h := &handshake{Config: r.Config()}
	a, err := d.shake(shaking, below, h)
	if err == nil {
		return a, nil
	}
	socket.Close()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	return nil, fmt.Errorf("%w: %w", ErrHandshake, h.explain(err))
}

// shake makes the handshakes of DTLS and SCTP.
func (d *Dialer) shake(ctx context.Context, below *connected, h *handshake) (*association, error) {
	dc, err := piondtls.ClientWithOptions(below, below.RemoteAddr(), h.client()...)
	if err != nil {
		return nil, err
	}
	if err := dc.HandshakeContext(ctx); err != nil {
		dc.Close()
		return nil, err
	}
	a, err := associate(ctx, dc, below, h.Config, d.limits, d.unused)
	if err != nil {
		return nil, err
	}
	a.accept(nil)
	return a, nil
}

// unused ends an association whose last connection was closed.
func (d *Dialer) unused(a *association) {
	d.leave(a)
	a.end(fmt.Errorf("the last connection was closed: %w", net.ErrClosed))
	a.work.Wait()
}

// knockInterval is the time to the second attempt of a knock; it doubles up to
// maxKnockInterval.
const (
	knockInterval    = 200 * time.Millisecond
	maxKnockInterval = time.Second
)

// knockAtAll knocks until the first of them is let in, and closes the others.
func knockAtAll(ctx context.Context, sockets []*net.UDPConn) (*net.UDPConn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(sockets))
	var first atomic.Pointer[net.UDPConn]
	var wg sync.WaitGroup
	for i, s := range sockets {
		wg.Go(func() {
			if errs[i] = knockAt(ctx, s); errs[i] == nil && first.CompareAndSwap(nil, s) {
				cancel()
				return
			}
			s.Close()
		})
	}
	wg.Wait()
	if s := first.Load(); s != nil {
		return s, nil
	}
	if len(errs) == 0 {
		return nil, errors.New("there is no address to knock at")
	}
	return nil, errs[0]
}

// knockAt knocks until the listener lets us in. A refusal by the joiner's host counts at
// once: there is nobody to disturb yet.
func knockAt(ctx context.Context, socket net.Conn) error {
	stop := context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if stop() {
			socket.SetDeadline(time.Time{})
		}
	}()
	say := knock{kind: knockAsk, number: newNumber()}
	buffer := make([]byte, knockSize+1)
	for pause := knockInterval; ; pause = min(2*pause, maxKnockInterval) {
		if _, err := socket.Write(say.append(nil)); err != nil && (ctx.Err() != nil || !isLoss(err) || refusal(err)) {
			return knockError(ctx, err)
		}
		for again := time.Now().Add(pause); ; {
			if ctx.Err() == nil {
				socket.SetReadDeadline(again)
			}
			n, err := socket.Read(buffer)
			if ctx.Err() != nil {
				return knockError(ctx, err)
			}
			if isTimeout(err) {
				break
			}
			if err != nil {
				return knockError(ctx, err)
			}
			k, ok := parseKnock(buffer[:n])
			if !ok || k.number != say.number {
				continue
			}
			if k.kind == knockEnter && say.kind == knockEnter {
				return nil
			}
			if k.kind == knockCookie && say.kind == knockAsk {
				say = k
				say.kind = knockEnter
				pause = knockInterval / 2
				break
			}
		}
	}
}

// knockError is a timeout if nobody has answered.
func knockError(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return os.ErrDeadlineExceeded
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
