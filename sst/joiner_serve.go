package sst

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
)

// maxHandshakes bounds the connections that have not shown a certificate yet;
// others wait in the kernel's queue. maxSessions bounds those that have.
const (
	maxHandshakes = 64
	maxSessions   = 1024
	maxTurned     = 20 // lines about connections that came to nothing
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
	var work sync.WaitGroup
	work.Go(func() {
		select {
		case <-j.intake.whole:
			cancel(errWhole)
		case <-ctx.Done():
		}
	})
	work.Go(func() { j.sayProgress(ctx) })
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
	handshakes := make(chan struct{}, maxHandshakes)
	sessions := make(chan struct{}, maxSessions)
	for {
		select {
		case handshakes <- struct{}{}:
		case <-ctx.Done():
			return
		}
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
		work.Go(func() {
			conn, err := j.channel.Server(ctx, raw)
			<-handshakes
			if err != nil {
				j.turnedAway(ctx, raw.RemoteAddr().String(), err)
				return
			}
			defer conn.Close()
			select {
			case sessions <- struct{}{}:
				defer func() { <-sessions }()
			default:
				j.turnedAway(ctx, raw.RemoteAddr().String(), fmt.Errorf("%d connections are open already", maxSessions))
				return
			}
			if err := j.connection(ctx, conn); err != nil {
				cancel(err)
			}
		})
	}
}

// connection serves one peer whose certificate was accepted. Its error ends the SST.
func (j *joiner) connection(ctx context.Context, conn link) error {
	peer := conn.Peer()
	if err := j.intake.enter(peer); err != nil {
		j.turnedAway(ctx, peer.Addr, err)
		return nil
	}
	defer j.intake.leave()
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
	return j.session(ctx, conn)
}

func (j *joiner) hello() hello {
	return hello{
		Version: Version, Capabilities: capabilities(), Role: "joiner", PageSize: j.settings.PageSize, Sessions: cap(j.children), OldData: j.oldData,
	}
}

// controlled answers the donor's control hello with our verdict on what it will
// send, and then stays in touch.
func (j *joiner) controlled(ctx context.Context, conn link, h hello) error {
	peer := conn.Peer()
	if err := j.intake.claim(peer); err != nil {
		j.turnedAway(ctx, peer.Addr, err)
		return nil
	}
	j.infof("donor %s connected, version %s", peerName(peer), h.Version)
	j.expected.Store(h.Need)
	answer := j.hello()
	refused := j.fits(ctx, h)
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
func (j *joiner) session(ctx context.Context, conn link) error {
	if j.children != nil {
		// Others wait, as in the queue of a socat with max-children.
		select {
		case j.children <- struct{}{}:
			defer func() { <-j.children }()
		case <-ctx.Done():
			return nil
		}
	}
	s := &joinerSession{joiner: j, peer: conn.Peer()}
	d := j.daemon
	d.Begin = s.begin
	result, err := d.Serve(ctx, countedLink{conn, &j.moved})
	if err == nil && len(result.Failed) > 0 {
		err = fmt.Errorf("%d files could not be written, the first is %s", len(result.Failed), plain(result.Failed[0]))
	}
	if s.kind == idle {
		err = conn.Explain(err)
	}
	return s.end(ctx, err)
}

// turnedAway tells of a connection that came to nothing. It is no harm to the SST,
// and anybody can make any number of them.
func (j *joiner) turnedAway(ctx context.Context, addr string, err error) {
	if errors.Is(err, tls.ErrProbe) || ctx.Err() != nil {
		return
	}
	n := j.turned.Add(1)
	if n > maxTurned {
		return
	}
	text := fmt.Sprintf("connection from %s turned away: %v", addr, err)
	if hint := report.Hint(err); hint != "" {
		text += "\nhint: " + hint
	}
	if n == maxTurned {
		text += "\nfurther ones will not be reported"
	}
	j.warn(text)
}

// logSession passes on what the engine says of a session.
func (j *joiner) logSession(level transfer.Level, text string) {
	if level == transfer.Info {
		return
	}
	j.warn(text)
}
