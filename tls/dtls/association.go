package dtls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/pion/sctp"
)

const (
	// maxStreams are open at a time; more than an SST can have connections.
	maxStreams = 512
	// wideStreams have a window of wideWindow bytes, further ones a narrowWindow.
	wideStreams  = 32
	wideWindow   = 1 << 20
	narrowWindow = 128 << 10

	maxMessage   = 64 << 10
	receiveLimit = 4 << 20 // of SCTP, for what is on its way to the windows
	maxRTO       = 2000    // milliseconds: a link that comes back is noticed within so much

	recordOverhead = 13 + 8 + 16 // header, nonce and tag of AES-GCM

	// pulse is the time between heartbeats, and silenceLimit that without any sign of
	// life after which an association has ended.
	pulse        = 3 * time.Second
	silenceLimit = 10 * time.Second
	// idleLimit is the time that a listener keeps one without connections.
	idleLimit = 30 * time.Second
	// refusedFor is how long a joiner's host refuses datagrams, nothing being heard
	// meanwhile, until it is believed. Anybody may send such a refusal.
	refusedFor = time.Second
)

// transport is what is below DTLS.
type transport interface {
	net.PacketConn
	lastRefusal() time.Time
}

// An association is one of SCTP, with the goroutines that serve it.
type association struct {
	state  State
	meter  *meter
	below  transport
	sctp   *sctp.Association
	limits limits
	onIdle func(*association) // called when the last connection has been closed; nil: nothing

	ended chan struct{} // closed by end
	work  sync.WaitGroup
	owes  chan struct{} // a window has grown
	turn  chan struct{} // holds what is with sctp's Write, one at a time

	mu      sync.Mutex
	why     error
	conns   map[uint16]*Conn
	open    int  // connections that are reserved, or that Close was not called on
	retired bool // the last of a dialer's was closed
	next    uint16
	idle    time.Time
	owing   []*Conn
}

// associate makes an association over a finished handshake: as its client if onIdle is
// set. On an error dc is closed.
func associate(ctx context.Context, dc *piondtls.Conn, below transport, c Config, l limits, onIdle func(*association)) (*association, error) {
	state, err := stateOf(dc)
	if err != nil {
		dc.Close()
		return nil, err
	}
	a := &association{
		state: state, meter: &meter{Conn: dc}, below: below, limits: l, onIdle: onIdle,
		ended: make(chan struct{}), owes: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		conns: map[uint16]*Conn{}, idle: time.Now(),
	}
	if onIdle != nil {
		a.open = 1 // the connection that it is made for
	}
	a.meter.heard.Store(time.Now().UnixNano())
	options := []sctp.AssociationOption{
		sctp.WithNetConn(a.meter), sctp.WithLoggerFactory(quiet()), sctp.WithMTU(uint32(c.MTU - recordOverhead)),
		sctp.WithBlockWrite(true), sctp.WithMaxMessageSize(maxMessage), sctp.WithMaxReceiveBufferSize(receiveLimit),
		sctp.WithRTOMax(maxRTO), sctp.WithEnableInterleaving(false),
		sctp.WithEnableZeroChecksum(true), // DTLS has seen to that
	}
	// The accepting side of pion knows no context.
	stop := context.AfterFunc(ctx, func() { dc.Close() })
	if onIdle != nil {
		var all []sctp.ClientOption
		for _, o := range options {
			all = append(all, o)
		}
		a.sctp, err = sctp.ClientContext(ctx, all...)
	} else {
		var all []sctp.ServerOption
		for _, o := range options {
			all = append(all, o)
		}
		a.sctp, err = sctp.ServerWithOptions(all...)
	}
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		dc.Close()
		return nil, fmt.Errorf("no SCTP association came about: %w (%w)", err, syscall.ECONNRESET)
	}
	a.work.Go(a.watch)
	a.work.Go(a.credit)
	return a, nil
}

// accept hands the streams that the peer opens to take, which is called by several
// goroutines at once; a stream that take does not want is closed. A dialer takes none.
func (a *association) accept(take func(*Conn) bool) {
	a.work.Go(func() {
		for {
			s, err := a.sctp.AcceptStream()
			if err != nil {
				a.end(fmt.Errorf("the other side has ended the DTLS association: %w", syscall.ECONNRESET))
				return
			}
			c := a.add(s, false)
			if c == nil || take == nil {
				a.end(errProtocol("opens a stream that it must not"))
				return
			}
			c.begin(take)
		}
	})
}

// add makes the connection of a stream; nil if there are too many, or no more.
func (a *association) add(s *sctp.Stream, dialed bool) *Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why != nil || len(a.conns) >= maxStreams {
		return nil
	}
	window := wideWindow
	if len(a.conns) >= wideStreams {
		window = narrowWindow
	}
	c := newConn(a, s, window, dialed)
	a.conns[s.StreamIdentifier()] = c
	if !dialed { // else reserve has counted it
		a.open++
	}
	return c
}

// dial opens a stream that was reserved, and waits for the other side to take it.
func (a *association) dial(ctx context.Context) (*Conn, error) {
	a.mu.Lock()
	id := a.next
	a.next++
	a.mu.Unlock()
	s, err := a.sctp.OpenStream(id, 0)
	if err != nil {
		a.closed()
		return nil, fmt.Errorf("%w (%w)", err, syscall.ECONNRESET)
	}
	c := a.add(s, true)
	if c == nil {
		a.closed()
		return nil, a.cause()
	}
	if err := c.open(ctx); err != nil {
		c.drop()
		return nil, err
	}
	return c, nil
}

// reserve says whether another connection can be made on it, and counts that one.
func (a *association) reserve() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why != nil || a.retired || a.next >= maxStreamID || len(a.conns) >= maxStreams || a.meter.worn(a.limits) {
		return false
	}
	a.open++
	return true
}

// cause is why it ended.
func (a *association) cause() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why == nil {
		return fmt.Errorf("%d connections are open on one DTLS association", len(a.conns))
	}
	return a.why
}

// causeOr is why it ended, or err if that is not known yet.
func (a *association) causeOr(err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why != nil {
		return a.why
	}
	return fmt.Errorf("the DTLS association has ended (%v): %w", err, syscall.ECONNRESET)
}

// end ends it, and all its connections with err. It does not wait.
func (a *association) end(err error) {
	a.mu.Lock()
	if a.why != nil {
		a.mu.Unlock()
		return
	}
	a.why = err
	a.work.Add(1) // while others keep the count up
	close(a.ended)
	conns := make([]*Conn, 0, len(a.conns))
	for _, c := range a.conns {
		conns = append(conns, c)
	}
	a.mu.Unlock()
	for _, c := range conns {
		c.lose(err)
	}
	go func() {
		defer a.work.Done()
		a.sctp.Close()
		a.below.Close()
	}()
}

// closed is called when a connection was closed on this side.
func (a *association) closed() {
	a.mu.Lock()
	a.open--
	last := a.open == 0
	if last {
		a.idle, a.retired = time.Now(), a.onIdle != nil
	}
	a.mu.Unlock()
	if last && a.onIdle != nil {
		a.onIdle(a)
	}
}

// forget is called when a stream has ended in both directions.
func (a *association) forget(c *Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c.stream.StreamIdentifier())
}

// watch ends an association that is silent, unused, refused or worn out.
func (a *association) watch() {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	var beat time.Time
	for {
		select {
		case <-a.ended:
			return
		case <-every.C:
		}
		now, heard, refused := time.Now(), a.meter.lastHeard(), a.below.lastRefusal()
		switch {
		case a.meter.wornOut(a.limits):
			a.end(errWorn)
		case now.Sub(heard) > silenceLimit:
			a.end(fmt.Errorf("nothing was heard over UDP for %v: %w", silenceLimit, syscall.ETIMEDOUT))
		case refused.After(heard) && now.Sub(heard) > refusedFor:
			a.end(fmt.Errorf("nobody takes what is sent to the port by UDP any more: %w", syscall.ECONNREFUSED))
		case a.onIdle == nil && a.unused(now):
			a.end(fmt.Errorf("no connection for %v: %w", idleLimit, syscall.ECONNRESET))
		}
		if now.Sub(beat) > pulse || now.Sub(heard) > refusedFor && now.Sub(heard) < 2*refusedFor {
			beat = now
			a.sctp.ActiveHeartbeat()
		}
	}
}

func (a *association) unused(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open == 0 && now.Sub(a.idle) > idleLimit
}

// owe notes that c's peer may send more. Who reads does not send that himself: it may
// have to wait, and a Read must not.
func (a *association) owe(c *Conn) {
	a.mu.Lock()
	a.owing = append(a.owing, c)
	a.mu.Unlock()
	select {
	case a.owes <- struct{}{}:
	default:
	}
}

// credit sends what owe noted.
func (a *association) credit() {
	for {
		select {
		case <-a.ended:
			return
		case <-a.owes:
		}
		a.mu.Lock()
		owing := a.owing
		a.owing = nil
		a.mu.Unlock()
		for _, c := range owing {
			c.grant()
		}
	}
}

// errProtocol is a peer that does not keep to what this package speaks. It is no
// broken connection: another one would end in the same way.
type errProtocol string

func (e errProtocol) Error() string { return "the other side " + string(e) }

// isTimeout says whether pion's error is a deadline that is over.
func isTimeout(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}
