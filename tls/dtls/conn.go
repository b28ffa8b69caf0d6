package dtls

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/pion/sctp"
	"github.com/pion/transport/v5/deadline"
)

// A connection is one stream of SCTP in each direction, of these messages; the kind is
// the payload protocol identifier.
//
//	open    dialer, first: the version 1 in a byte, then as credit
//	credit  how many bytes more the other side may send, 4 bytes; of the accepting side
//	        the first one is its answer to open, and one of 0 bytes says that close came
//	data    1 to 65536 bytes
//	close   one byte: 0 if all was sent that was written, 1 if something is missing.
//	        Nothing comes after it from this side, and nothing is read any more
const (
	kindOpen   sctp.PayloadProtocolIdentifier = 0x57535401
	kindCredit sctp.PayloadProtocolIdentifier = 0x57535402
	kindData   sctp.PayloadProtocolIdentifier = 0x57535403
	kindClose  sctp.PayloadProtocolIdentifier = 0x57535404

	openVersion = 1
)

const (
	// lingerLimit is how long Close waits for the other side to have what was written,
	// and minLinger how long for SCTP to take its last message. Where nothing was heard
	// for silentLinger, heartbeats having been sent, the link is most likely dead.
	lingerLimit  = 5 * time.Second
	minLinger    = 500 * time.Millisecond
	silentLinger = 3 * time.Second
)

// Conn is a connection. Like any net.Conn it may be used by several goroutines.
type Conn struct {
	assoc  *association
	stream *sctp.Stream
	window int // what the peer may have under way
	dialed bool

	writing sync.Mutex // held during a Write

	mu       sync.Mutex
	cond     sync.Cond
	inbox    ring
	owed     int   // read, and not granted anew
	granted  int   // what the peer may still send
	credit   int   // what we may still send
	opened   bool  // open has come, or its answer
	arrived  bool  // our close is there
	peerEnd  error // what Read says once the inbox is empty; nil: more may come
	lost     error // the association's end
	closed   bool
	broken   bool // a Write did not get all into the stream
	writers  int
	sending  bool // SCTP has a message of ours that the deadline is for
	deadline struct{ read, write limit }
	late     *deadline.Deadline // deadline.write, for who waits for its turn
}

func newConn(a *association, s *sctp.Stream, window int, dialed bool) *Conn {
	c := &Conn{assoc: a, stream: s, window: window, dialed: dialed, late: deadline.New()}
	if dialed {
		c.granted = window // by open
	} else {
		c.owed = window
	}
	c.cond.L = &c.mu
	s.SetBufferedAmountLowThreshold(0)
	s.OnBufferedAmountLow(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cond.Broadcast()
	})
	return c
}

// open is the dialer's beginning.
func (c *Conn) open(ctx context.Context) error {
	c.assoc.work.Go(func() { c.pump(nil) })
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	first := binary.BigEndian.AppendUint32([]byte{openVersion}, uint32(c.window))
	err := c.send(first, kindOpen, true)
	if err == nil {
		err = c.answered()
	}
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// answered waits until the other side has taken the stream.
func (c *Conn) answered() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.opened {
		switch {
		case c.lost != nil:
			return c.lost
		case c.peerEnd != nil:
			return fmt.Errorf("the other side takes no connection now: %w", syscall.ECONNRESET)
		case c.deadline.read.over():
			return os.ErrDeadlineExceeded
		}
		c.cond.Wait()
	}
	return nil
}

// begin is the accepting side's: when open has come, take has it.
func (c *Conn) begin(take func(*Conn) bool) {
	c.assoc.work.Go(func() { c.pump(take) })
}

// pump takes messages from SCTP as they come, so that no stream waits for another. It
// ends with the association, or when both sides have closed.
func (c *Conn) pump(take func(*Conn) bool) {
	message := make([]byte, maxMessage)
	for {
		n, kind, err := c.stream.ReadSCTP(message)
		if err != nil {
			c.lose(c.assoc.causeOr(err))
			return
		}
		was := c.opened
		done, err := c.receive(kind, message[:n])
		switch {
		case err != nil:
			c.assoc.end(err)
			return
		case done:
			c.stream.Close()
			c.assoc.forget(c)
			return
		case !was && c.opened && take != nil:
			c.assoc.owe(c) // the first one is the answer
			if !take(c) {
				c.assoc.work.Go(c.drop)
			}
		}
	}
}

// receive handles a message. done says that both sides have closed.
func (c *Conn) receive(kind sctp.PayloadProtocolIdentifier, p []byte) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.cond.Broadcast()
	if kind == kindOpen {
		if c.opened || c.dialed || len(p) != 5 || p[0] != openVersion {
			return false, errProtocol("speaks another version of the streams over DTLS")
		}
		c.opened = true
		p, kind = p[1:], kindCredit
	}
	switch {
	case c.peerEnd != nil:
		return false, errProtocol("sends something after it has closed a stream")
	case kind == kindCredit && len(p) == 4 && (c.opened || c.dialed):
		c.opened = true
		n := binary.BigEndian.Uint32(p)
		if n > wideWindow || c.credit > wideWindow-int(n) {
			return false, errProtocol("grants more than the largest window of a stream")
		}
		c.credit += int(n)
		c.arrived = c.arrived || n == 0
	case !c.opened:
		return false, errProtocol("does not begin a stream as it should")
	case kind == kindData && len(p) > 0:
		if c.granted -= len(p); c.granted < 0 {
			return false, errProtocol("sends more than a stream's window")
		}
		if !c.closed {
			c.inbox.put(p)
		}
	case kind == kindClose && len(p) == 1:
		c.peerEnd = io.EOF
		if p[0] != 0 {
			c.peerEnd = io.ErrUnexpectedEOF
		}
		if !c.closed {
			c.assoc.owe(c) // sooner than SCTP would acknowledge it
		}
		return c.closed, nil
	default:
		return false, errProtocol("sends what is no message of a stream")
	}
	return false, nil
}

// grant lets the peer send what has been read.
func (c *Conn) grant() {
	c.mu.Lock()
	n, ended := c.owed, c.peerEnd != nil
	if ended {
		n = 0
	}
	told := c.closed || c.lost != nil || n == 0 && !ended
	if !told {
		c.owed -= n
		c.granted += n
	}
	c.mu.Unlock()
	if !told {
		c.send(binary.BigEndian.AppendUint32(nil, uint32(n)), kindCredit, false)
	}
}

// Read reads what has arrived. After the peer's Close it is io.EOF, if nothing is
// missing, else io.ErrUnexpectedEOF; an association that ended is an error that
// errors.Is(err, syscall.ECONNRESET), ETIMEDOUT or ECONNREFUSED.
func (c *Conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.deadline.read.over():
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case c.inbox.held > 0:
			n := c.inbox.take(p)
			before := c.owed
			c.owed += n
			if at := c.window / 4; before < at && c.owed >= at {
				c.assoc.owe(c)
			}
			return n, nil
		case c.peerEnd != nil:
			return 0, c.peerEnd
		case c.lost != nil:
			return 0, c.lost
		}
		c.cond.Wait()
	}
}

// Write returns when all of p is with SCTP, which keeps no more than a window of it.
// After an error nothing is known about how much arrived.
func (c *Conn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	c.writers++
	c.mu.Unlock()
	c.writing.Lock()
	defer func() {
		c.mu.Lock()
		c.writers--
		c.broken = c.broken || err != nil
		c.mu.Unlock()
		c.writing.Unlock()
	}()
	for n < len(p) {
		m, err := c.allowance(len(p) - n)
		if err != nil {
			return n, err
		}
		if err := c.send(p[n:n+m], kindData, true); err != nil {
			return n, err
		}
		n += m
	}
	return n, nil
}

// allowance waits until at least one of want bytes may be sent, and takes it.
func (c *Conn) allowance(want int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.lost != nil:
			return 0, c.lost
		case c.peerEnd != nil:
			return 0, syscall.EPIPE
		case c.deadline.write.over():
			return 0, os.ErrDeadlineExceeded
		case c.credit > 0:
			n := min(want, c.credit, maxMessage)
			c.credit -= n
			return n, nil
		}
		c.cond.Wait()
	}
}

// send gives SCTP a message, when those before it are on their way; limited says that
// it may wait until the deadline only. One connection of an association at a time waits
// for SCTP: of several, sctp 1.12 forgets one if another's stream is closed meanwhile.
func (c *Conn) send(p []byte, kind sctp.PayloadProtocolIdentifier, limited bool) error {
	var late <-chan struct{}
	if limited {
		late = c.late.Done()
	}
	select {
	case c.assoc.turn <- struct{}{}:
	case <-late:
		return c.writeError(os.ErrDeadlineExceeded)
	case <-c.assoc.ended:
		c.lose(c.assoc.cause()) // it may not have been told yet
		return c.writeError(net.ErrClosed)
	}
	defer func() { <-c.assoc.turn }()
	c.mu.Lock()
	var until time.Time
	if limited {
		until = c.deadline.write.at
	}
	c.sending = limited
	c.stream.SetWriteDeadline(until)
	c.mu.Unlock()
	_, err := c.stream.WriteSCTP(p, kind)
	c.mu.Lock()
	c.sending = false
	c.mu.Unlock()
	if err != nil {
		err = c.writeError(err)
	}
	return err
}

// writeError is why SCTP did not take a message.
func (c *Conn) writeError(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return net.ErrClosed
	case c.lost != nil:
		return c.lost
	case isTimeout(err):
		return os.ErrDeadlineExceeded
	}
	return fmt.Errorf("%w (%w)", err, syscall.ECONNRESET)
}

// Close sends what was written and waits until it has arrived, unless a Write was
// broken off, or is by this. What is read afterwards by the peer ends as it should in
// the first case only.
func (c *Conn) Close() error { return c.close(lingerLimit) }

// drop closes without waiting: the peer learns that something is missing.
func (c *Conn) drop() {
	c.mu.Lock()
	c.broken = true
	c.mu.Unlock()
	c.close(0)
}

func (c *Conn) close(linger time.Duration) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil
	}
	c.closed = true
	c.broken = c.broken || c.writers > 0
	c.inbox = ring{}
	if c.broken {
		c.limitWrite(time.Unix(1, 0))
	}
	c.cond.Broadcast()
	c.mu.Unlock()

	c.writing.Lock()
	defer c.writing.Unlock()
	silent := c.assoc.meter.silent() > silentLinger
	c.mu.Lock()
	last := []byte{0}
	if c.broken {
		last[0] = 1
	}
	if c.broken || silent {
		linger = 0
	}
	until := time.Now().Add(max(linger, minLinger))
	c.limitWrite(until)
	c.mu.Unlock()
	if err := c.send(last, kindClose, true); err == nil && linger > 0 {
		c.acknowledged(until)
	}
	c.mu.Lock()
	c.deadline.read.set(time.Time{}, &c.cond)
	c.limitWrite(time.Time{})
	both := c.peerEnd != nil
	c.mu.Unlock()
	if both { // else pump does it
		c.stream.Close()
		c.assoc.forget(c)
	}
	c.assoc.closed()
	return nil
}

// acknowledged waits until the other side has all that was sent.
func (c *Conn) acknowledged(until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var patience limit
	patience.set(until, &c.cond)
	defer patience.set(time.Time{}, &c.cond)
	for c.lost == nil && !c.arrived && !patience.over() && c.stream.BufferedAmount() > 0 {
		c.cond.Wait()
	}
}

// lose ends the connection with the association.
func (c *Conn) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost == nil {
		c.lost = err
	}
	c.limitWrite(time.Unix(1, 0))
	c.cond.Broadcast()
}

// State is what the handshake of its association came to.
func (c *Conn) State() State { return c.assoc.state }

func (c *Conn) LocalAddr() net.Addr  { return c.assoc.below.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr { return c.assoc.meter.RemoteAddr() }

func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.deadline.read.set(t, &c.cond)
	return nil
}

func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.limitWrite(t)
	return nil
}

// limitWrite sets the deadline for what is written; mu is held.
func (c *Conn) limitWrite(t time.Time) {
	c.deadline.write.set(t, &c.cond)
	c.late.Set(t)
	if c.sending {
		c.stream.SetWriteDeadline(t)
	}
}
