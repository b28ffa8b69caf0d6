package sst

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
)

// Between our own ends a connection that breaks is made again, and the work on it is
// done again or goes on where it was. That is known by the id of the SST, which the
// donor makes and says on each connection: another run of the same donor is another
// SST.

// rangesCapability is what both sides must have for all that: an SST id, connections
// made again, list sessions, and streams (docs/own-protocol.md).
const rangesCapability = "ranges/1"

func capabilities() []string { return []string{rangesCapability} }

func (h hello) can(capability string) bool { return slices.Contains(h.Capabilities, capability) }

const (
	// firstPause and maxPause are between two attempts; the pause doubles.
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
	// refusedLimit is how long a port that nobody listens on is tried: the joiner's is
	// open as long as its program runs. (A proxy may refuse for a moment.)
	refusedLimit = 3 * time.Second
)

// again calls f until it fails for another reason than a broken connection, or the
// time for that is over: how long that is depends on whether the tables are locked.
func (d *donor) again(ctx context.Context, f func(context.Context) error) error {
	if !d.ranges {
		return f(ctx)
	}
	pause := firstPause
	var since time.Time
	for {
		began, made := time.Now(), d.made.Load()
		err := f(ctx)
		if err == nil || !isBroken(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if since.IsZero() || d.made.Load() > made && time.Since(began) > maxPause {
			since, pause = time.Now(), firstPause // it had a connection, for a while
		}
		if time.Since(since)+pause > d.patience(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause = min(2*pause, maxPause)
	}
}

// patience is how long a connection is tried to be made again.
func (d *donor) patience(err error) time.Duration {
	limit := d.settings.Reconnect
	if d.locked.Load() {
		limit = d.settings.ReconnectLocked
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return min(limit, refusedLimit)
	}
	return limit
}

// isBroken says whether an error is a connection's, which another one may not have.
func isBroken(err error) bool {
	if exit, ok := errors.AsType[*transfer.ExitError](err); ok {
		switch exit.Code {
		case transfer.ExitSocket, transfer.ExitTimeout:
			return true
		case transfer.ExitStream:
			return isCut(err)
		}
		return false
	}
	if isCut(err) {
		return true
	}
	n := net.Error(nil)
	return errors.As(err, &n)
}

// isCut says whether the other end, or something between, has closed a connection.
func isCut(err error) bool {
	for _, e := range []error{
		errPeerLeft, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, os.ErrDeadlineExceeded,
		syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED, syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// dialStream makes a connection for the contents of files.
func (d *donor) dialStream(ctx context.Context) (net.Conn, error) {
	var conn link
	err := d.again(ctx, func(ctx context.Context) (err error) {
		conn, err = d.dialWith(ctx, hello{Stream: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// redial makes the control connection again.
func (d *donor) redial(ctx context.Context) (link, error) {
	var conn link
	err := d.again(ctx, func(ctx context.Context) (err error) {
		if conn, err = d.dialRaw(ctx); err != nil {
			return err
		}
		if _, err = d.greet(ctx, conn, hello{Control: true, Again: true}); err != nil {
			conn.Close()
		}
		return err
	})
	return conn, err
}
