package sst

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
)

// errWhole ends the serving when everything has arrived.
var errWhole = errors.New("everything has arrived")

// serve takes connections until the SST has arrived as a whole (nil), or cannot.
func (j *joiner) serve(ctx context.Context, l *tls.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	first, by := j.settings.InitialTimeout, "sst-initial-timeout"
	if t := l.AcceptTimeout; t > 0 && (first == 0 || t < first) {
		first, by = t, "accept-timeout in sockopt"
	}
	j.intake = newIntake(j.settings.Silence, first, by, cancel)
	if l.MaxChildren > 0 {
		j.children = make(chan struct{}, min(l.MaxChildren, maxSessions))
	}
	defer j.intake.stop()
	defer j.contact.stop()
	defer j.intake.gate.thrifty()()
	var work sync.WaitGroup
	work.Go(func() {
		select {
		case <-j.intake.whole:
			cancel(errWhole)
		case <-ctx.Done():
		}
	})
	work.Go(func() { j.sayProgress(ctx) })
	j.turned = refusals{warn: j.warn}
	work.Go(func() { j.turned.run(ctx) })
	close := context.AfterFunc(ctx, func() { l.Close() })
	defer close()
	j.accept(ctx, cancel, l, &work)
	work.Wait()
	err := context.Cause(ctx)
	if errors.Is(err, errWhole) {
		return j.intake.verdict()
	}
	return fail(exitPipe, err)
}

// accept starts a goroutine of work for each connection.
func (j *joiner) accept(ctx context.Context, cancel context.CancelCauseFunc, l net.Listener, work *sync.WaitGroup) {
	for {
		raw, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				raw.Close()
			}
			return
		}
		if err != nil {
			// Descriptors may have run out for a moment.
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				continue
			}
			cancel(fmt.Errorf("accept a connection: %w", err))
			return
		}
		g := j.intake.gate.enter(raw, raw.RemoteAddr().String())
		if g == nil {
			raw.Close()
			j.turnedAway(ctx, raw.RemoteAddr().String(), errStranger)
			continue
		}
		if j.intake.gate.admit(ctx, g) != nil {
			raw.Close()
			return
		}
		work.Go(func() {
			defer g.gone()
			if err := j.arrival(ctx, raw, g); err != nil {
				cancel(err)
			}
		})
	}
}

var (
	errStranger = errors.New("too many connections from other addresses than the donor's")
	errEvicted  = errors.New("it got nowhere, and its place was needed for a newer one")
)

// arrival takes a connection through the gate. Its error ends the SST.
func (j *joiner) arrival(ctx context.Context, raw net.Conn, g *guest) error {
	addr := raw.RemoteAddr().String()
	conn, err := j.channel.Server(ctx, raw)
	if err != nil {
		if j.intake.gate.leave(g) {
			err = errEvicted
		}
		j.turnedAway(ctx, addr, err)
		return nil
	}
	defer conn.Close()
	if err := j.intake.enter(conn.Peer()); err != nil {
		j.intake.gate.leave(g)
		j.turnedAway(ctx, addr, err)
		return nil
	}
	defer j.intake.leave()
	c := &arrived{link: conn, gate: j.intake.gate, guest: g}
	defer c.letIn()
	if c.authenticated() || j.intake.owns(conn.Peer()) {
		c.letIn()
	}
	return j.connection(ctx, c)
}

// An arrived connection is past its handshake. Where certificates are demanded it is
// let in with that; elsewhere anybody gets here, and it stays at the gate until it
// shows that it is the donor.
type arrived struct {
	link
	gate  *gate
	guest *guest // nil once it is let in
}

func (c *arrived) authenticated() bool { return c.Peer().Fingerprint != "" }

// letIn is for the goroutine that serves the connection.
func (c *arrived) letIn() {
	if c.guest != nil {
		c.gate.leave(c.guest)
		c.guest.gone()
		c.guest = nil
	}
}

// Explain says why, if it was we who broke the connection.
func (c *arrived) Explain(err error) error {
	if c.guest != nil && err != nil {
		if c.gate.leave(c.guest) {
			return errEvicted
		}
	}
	return c.link.Explain(err)
}

// connection serves one peer that is past the handshake. Its error ends the SST.
func (j *joiner) connection(ctx context.Context, conn *arrived) error {
	peer := conn.Peer()
	if !conn.Own() {
		return j.session(ctx, conn)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	h, err := receiveHello(conn, "donor")
	if err == nil {
		if err = j.mayCome(h); err != nil {
			answer := j.hello()
			answer.Refused = err.Error()
			_ = sendHello(conn, answer) // it will see for itself
		} else if !h.Control {
			err = sendHello(conn, j.hello())
		}
	}
	if !stop() {
		return nil
	}
	switch {
	case err != nil:
		j.turnedAway(ctx, peer.Addr, conn.Explain(err))
		return nil
	case h.Again:
		return j.controlledAgain(ctx, conn)
	case h.Control:
		return j.controlled(ctx, conn, h)
	case h.Stream:
		return j.stream(ctx, conn)
	}
	if h.Summary != "" {
		j.summary.Store(&h.Summary)
	}
	if h.Replica != nil {
		j.replica.Store(h.Replica)
	}
	return j.session(ctx, conn)
}

func (j *joiner) hello() hello {
	return hello{
		Version: Version, Capabilities: capabilities(), Role: "joiner", PageSize: j.settings.PageSize, Sessions: cap(j.children), OldData: j.oldData,
		ByHand: j.hand != nil,
	}
}

// controlled answers the donor's control hello with our verdict on what it will
// send, and then stays in touch.
func (j *joiner) controlled(ctx context.Context, conn *arrived, h hello) error {
	peer := conn.Peer()
	if err := j.intake.claim(peer); err != nil {
		j.turnedAway(ctx, peer.Addr, err)
		return nil
	}
	conn.letIn()
	j.infof("donor %s connected, version %s", peerName(peer), h.Version)
	j.status.Change(func(r *status.Run) { r.Total = h.Need })
	answer := j.hello()
	answer.Traits = j.ourTraits(ctx)
	refused := j.fits(ctx, h, answer.Traits)
	if refused != nil {
		answer.Refused = refused.Error()
	} else if free, err := j.dir.free(); err == nil {
		answer.Free = free
	}
	if err := sendHello(conn, answer); err != nil && refused == nil {
		return fmt.Errorf("donor %s: %w", peerName(peer), conn.Explain(err))
	}
	if refused != nil {
		return refused
	}
	if h.can(rangesCapability) {
		j.contact.begin(h.ID)
	}
	return j.stayInTouch(ctx, conn)
}

// session serves one rsync session.
func (j *joiner) session(ctx context.Context, conn *arrived) error {
	if j.children != nil {
		// Others wait, as in the queue of a socat with max-children.
		select {
		case j.children <- struct{}{}:
			defer func() { <-j.children }()
		case <-ctx.Done():
			return nil
		}
	}
	s := &joinerSession{joiner: j, peer: conn.Peer(), conn: conn}
	d := j.daemon
	d.Lists = j.lists
	if conn.guest != nil {
		d.Lists = j.guestLists
	}
	d.Begin = s.begin
	counted := j.flows.link(conn)
	defer j.flows.leave(counted)
	result, err := d.Serve(ctx, counted)
	if err == nil && len(result.Failed) > 0 {
		err = fmt.Errorf("%d files could not be written, the first is %s", len(result.Failed), plain(result.Failed[0]))
	}
	if s.kind == idle {
		err = conn.Explain(err)
	}
	return s.end(ctx, err)
}

// turnedAway tells of a connection that came to nothing. It is no harm to the SST.
func (j *joiner) turnedAway(ctx context.Context, addr string, err error) {
	if errors.Is(err, tls.ErrProbe) || ctx.Err() != nil {
		return
	}
	text := err.Error()
	if hint := report.Hint(err); hint != "" {
		text += "\nhint: " + hint
	}
	j.turned.say(addr, text)
}

// logSession passes on what the engine says of a session.
func (j *joiner) logSession(level transfer.Level, text string) {
	if level == transfer.Info {
		return
	}
	j.warn(text)
}
