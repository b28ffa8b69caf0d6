package sst

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A contact is the joiner's side of an SST whose connections may be made again: which
// SST it is, and whether its donor is in touch.
type contact struct {
	mu    sync.Mutex
	id    string // "" if the donor cannot come again
	conn  link   // of the control connection
	timer *time.Timer
}

// begin notes the SST's id, once its first control connection is accepted.
func (c *contact) begin(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

// resumes says whether the donor makes broken connections again.
func (c *contact) resumes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.id != ""
}

// patience is how long the donor's reason for a failure is waited for.
func (c *contact) patience() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return reasonLimit
	}
	return lastWords
}

// admits refuses a connection of another SST.
func (c *contact) admits(h hello) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.id == "" && (h.Again || h.Stream):
		return errors.New("no SST has begun here that this connection could belong to")
	case c.id != "" && h.ID != c.id:
		return errors.New("this connection belongs to another SST than the one under way")
	case c.id != "" && h.Control && !h.Again:
		return errors.New("this SST has begun already")
	}
	return nil
}

// enter makes conn the control connection, in place of one that may not have noticed
// its end yet.
func (c *contact) enter(conn link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn = conn
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// lost is called at the end of conn. giveUp is called if no other one comes in time.
func (c *contact) lost(conn link, limit time.Duration, giveUp func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == conn {
		c.conn = nil
		c.timer = time.AfterFunc(limit, giveUp)
	}
}

// stop ends the time limit.
func (c *contact) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// mayCome says what speaks against a connection of a donor of ours.
func (j *joiner) mayCome(h hello) error {
	if err := j.contact.admits(h); err != nil {
		return err
	}
	if !h.Stream {
		return nil
	}
	j.deciding.Lock()
	defer j.deciding.Unlock()
	if j.dir.state != saysIncomplete {
		return errors.New("no list of files has come yet")
	}
	return nil
}

// controlledAgain takes a control connection that the donor makes in place of one that
// broke.
func (j *joiner) controlledAgain(ctx context.Context, conn link) error {
	if err := sendHello(conn, j.hello()); err != nil {
		return nil // it comes again, or not in time
	}
	j.infof("the control connection broke, and the donor has come again")
	return j.stayInTouch(ctx, conn)
}

// stayInTouch is the life of a control connection.
func (j *joiner) stayInTouch(ctx context.Context, conn link) error {
	j.contact.enter(conn)
	peer := conn.Peer()
	c := newControl(conn, "donor "+peerName(peer), j.settings.Silence)
	c.hear = func(n notice) { j.followed.hear(n, j.flows.moved.Load()) }
	err := c.run(ctx, func(state string) { j.infof("donor: %s", state) })
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errWhole):
		c.complete()
		return nil
	case cause != nil:
		c.giveUp(cause)
		return nil
	case j.intake.closing():
		return nil
	}
	if !j.contact.resumes() || !isBroken(err) || j.settings.Reconnect == 0 {
		return err
	}
	j.contact.lost(conn, j.settings.Reconnect, func() {
		j.intake.giveUp(fail(exitPipe, fmt.Errorf("%w, and has not come again within %v (sst-reconnect-timeout)", err, j.settings.Reconnect)))
	})
	return nil
}
