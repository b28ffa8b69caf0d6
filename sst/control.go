package sst

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A control is our end of the control connection between our own two programs
// (see hello.go). It is alive while run is.
type control struct {
	conn     net.Conn
	peer     string        // "joiner" or "donor", for errors
	interval time.Duration // between two notices of ours
	measure  func(*notice) // puts what can be counted into a notice of ours; may be nil
	hear     func(notice)  // is told of each notice of the other side; may be nil

	mu      sync.Mutex // guards what follows
	state   string
	silence time.Duration // after which the other side counts as dead; 0: never
	ended   bool          // nobody reads any more
	news    chan struct{} // state has changed; holds one

	writing sync.Mutex // held while a line is written
}

func newControl(conn net.Conn, peer string, silence time.Duration) *control {
	interval := noticeInterval
	if silence > 0 {
		interval = min(interval, silence/4) // the other side most likely has the same limit
	}
	return &control{conn: conn, peer: peer, interval: interval, silence: silence, news: make(chan struct{}, 1)}
}

// noticeInterval is short enough for four notices in what anybody sets as a limit of
// silence, and long enough to cost nothing.
const noticeInterval = time.Second

// lastWords is the time for telling the other side why we end.
const lastWords = time.Second

// A side whose connections break waits for the other one to say why, as long as the
// control connection is up: a machine under load may take a while to get round to it.
// While tables are locked it is not worth that long.
const (
	reasonLimit       = 10 * time.Second
	reasonLimitLocked = 3 * time.Second
)

// errPeerLeft says that the other side closed the control connection without a
// reason: it was killed, or its host went away.
var errPeerLeft = errors.New("closed the connection without giving a reason")

// run exchanges notices until ctx ends or the other side says that all is complete
// (nil), it gives up (an error with its reason), or is silent for too long or gone. heard is called with each
// state the other side tells.
func (c *control) run(ctx context.Context, heard func(string)) error {
	ctx, cancel := context.WithCancel(ctx)
	var sender sync.WaitGroup
	sender.Go(func() { c.beat(ctx) })
	// A reader that waits is woken by a deadline in the past.
	wake := context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ended = true
		c.conn.SetReadDeadline(time.Unix(1, 0))
	})
	err := c.listen(ctx, heard)
	wake()
	cancel()
	c.conn.SetWriteDeadline(time.Now().Add(lastWords)) // for a notice that is stuck
	sender.Wait()
	return err
}

func (c *control) listen(ctx context.Context, heard func(string)) error {
	last := ""
	for {
		c.conn.SetReadDeadline(c.deadline())
		if ctx.Err() != nil {
			return nil
		}
		line, err := readLine(c.conn)
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%s: nothing heard of it for %v", c.peer, c.patience())
		case errors.Is(err, io.EOF):
			return fmt.Errorf("%s %w", c.peer, errPeerLeft)
		case err != nil:
			return fmt.Errorf("%s: control connection: %w", c.peer, err)
		}
		n, err := parseNotice(line)
		if err != nil {
			return fmt.Errorf("%s: %w", c.peer, err)
		}
		if n.Error != "" {
			return fmt.Errorf("%s gave up: %s", c.peer, n.Error)
		}
		if n.Complete {
			return nil
		}
		if c.hear != nil {
			c.hear(n)
		}
		if n.State != "" && n.State != last {
			last = n.State
			heard(n.State)
		}
	}
}

// deadline is when the other side will have been silent for too long.
func (c *control) deadline() time.Time {
	if limit := c.patience(); limit > 0 {
		return time.Now().Add(limit)
	}
	return time.Time{}
}

func (c *control) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.silence
}

// hurry changes how long the other side may be silent, from now on.
func (c *control) hurry(silence time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silence = silence
	if !c.ended && silence > 0 {
		c.conn.SetReadDeadline(time.Now().Add(silence))
	}
}

// beat tells the other side again and again that we live. A write that fails is
// the reader's to report: both ends of a dead connection show there.
func (c *control) beat(ctx context.Context) {
	t := time.NewTicker(c.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-c.news:
		}
		c.mu.Lock()
		n := notice{State: c.state}
		c.mu.Unlock()
		if c.measure != nil {
			c.measure(&n)
		}
		if c.write(n, c.deadline()) != nil {
			return
		}
	}
}

// tell says what we are doing now, and goes on saying it. It does not wait: a donor
// calls it while its tables are locked.
func (c *control) tell(state string) {
	c.mu.Lock()
	c.state = state
	c.mu.Unlock()
	select {
	case c.news <- struct{}{}:
	default: // the change before this one is not out yet: they go together
	}
}

// said is what was told last.
func (c *control) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// giveUp tells the other side why we end, if it can be told within a second.
func (c *control) giveUp(reason error) {
	_ = c.write(notice{Error: reason.Error()}, time.Now().Add(lastWords)) // we are leaving anyway
}

// complete tells the other side that everything has arrived.
func (c *control) complete() {
	_ = c.write(notice{Complete: true}, time.Now().Add(lastWords)) // it will see for itself
}

func (c *control) write(n notice, deadline time.Time) error {
	b, err := n.line()
	if err != nil {
		return err
	}
	// Set before the lock is taken, so that it also ends a write that is stuck.
	c.conn.SetWriteDeadline(deadline)
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err = c.conn.Write(b)
	return err
}
