package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var errSilence = errors.New("time-out")

// watchedConn ends a session that went silent, or whose context ended, by making
// every read and write of the connection fail. The connection itself stays the
// caller's to close.
//
// It also sends the keep-alives, from a goroutine of its own, so that neither a
// slow disk nor a long deletion keeps them back.
type watchedConn struct {
	net.Conn
	last    atomic.Int64 // time of the last byte either way, in nanoseconds since start
	start   time.Time
	timeout atomic.Int64 // allowed silence in nanoseconds; 0: none
	writing atomic.Int64 // when the write under way began, in nanoseconds since start; 0: none is
	alive   atomic.Pointer[func()]

	mu    sync.Mutex
	cause error
}

func watch(conn net.Conn, timeout time.Duration) *watchedConn {
	w := &watchedConn{Conn: conn, start: time.Now()}
	w.timeout.Store(int64(timeout))
	return w
}

func (w *watchedConn) touch() { w.last.Store(int64(time.Since(w.start))) }

func (w *watchedConn) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if n > 0 {
		w.touch()
	}
	return n, w.explain(err)
}

func (w *watchedConn) Write(p []byte) (int, error) {
	w.writing.Store(max(1, int64(time.Since(w.start))))
	n, err := w.Conn.Write(p)
	w.writing.Store(0)
	if n > 0 {
		w.touch()
	}
	return n, w.explain(err)
}

// explain puts the reason for a forced end in the place of the deadline error.
func (w *watchedConn) explain(err error) error {
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil {
		return w.cause
	}
	return err
}

// stop makes reads and writes fail with cause; the first cause stays.
func (w *watchedConn) stop(cause error) {
	w.mu.Lock()
	if w.cause == nil {
		w.cause = cause
	}
	w.mu.Unlock()
	w.Conn.SetDeadline(time.Unix(1, 0))
}

// keepAlive sets what is called several times within the time-out, to send a
// keep-alive when nothing else was sent lately.
func (w *watchedConn) keepAlive(f func()) { w.alive.Store(&f) }

// run ends the connection when it is silent for too long or ctx ends.
func (w *watchedConn) run(ctx context.Context, done <-chan struct{}) {
	for {
		timeout := time.Duration(w.timeout.Load())
		select {
		case <-done:
			return
		case <-ctx.Done():
			w.stop(context.Cause(ctx))
			return
		case <-time.After(watchStep(timeout)):
		}
		now := time.Since(w.start)
		// A peer may live and send, and take nothing: a slow disk is given more time than
		// silence, but not all of it, for a donor may be locked.
		if since := time.Duration(w.writing.Load()); timeout > 0 && since > 0 && now-since >= patience*timeout {
			w.stop(fmt.Errorf("the other side has taken nothing for %v: %w", (now - since).Round(time.Millisecond), errSilence))
			return
		}
		silent := now - time.Duration(w.last.Load())
		if timeout > 0 && silent >= timeout {
			w.stop(fmt.Errorf("nothing sent or received for %v: %w", silent.Round(time.Millisecond), errSilence))
			return
		}
	}
}

// beat calls the keep-alive. It is apart from run, since a write to a peer that
// does not read may block.
func (w *watchedConn) beat(done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(watchStep(time.Duration(w.timeout.Load()))):
		}
		if f := w.alive.Load(); f != nil && w.timeout.Load() > 0 {
			(*f)()
		}
	}
}

// patience is how many times the allowed silence one write may take.
const patience = 2

func watchStep(timeout time.Duration) time.Duration {
	if timeout > 0 {
		return max(min(time.Second, timeout/8), time.Millisecond)
	}
	return time.Second
}

// watching starts the watch; the function it returns ends it and waits for it.
func (w *watchedConn) watching(ctx context.Context) (end func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { w.run(ctx, done) })
	wg.Go(func() { w.beat(done) })
	return func() {
		close(done)
		w.Conn.SetWriteDeadline(time.Unix(1, 0)) // a keep-alive that is stuck
		wg.Wait()
		w.Conn.SetWriteDeadline(time.Time{})
	}
}
