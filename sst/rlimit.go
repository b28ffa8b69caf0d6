package sst

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A rateLimit lets all connections of one SST together send so many bytes a second
// (rlimit). It keeps a moment up to which everything let through so far is paid for;
// who sends moves it on, and sleeps until it has come. Sleeps that are too long, as all
// are a little, come off the next one, so that the mean is exact.
type rateLimit struct {
	rate   float64      // bytes a second
	waited atomic.Int64 // ns in which one or more of them waited

	mu    sync.Mutex
	paid  time.Time
	waits time.Time // up to when somebody waits
}

const (
	// rateSlack is a debt that nobody sleeps for: a small write costs no system call,
	// and the debt adds up until it is worth one.
	rateSlack = 10 * time.Millisecond
	// rateCredit is how much of the time in which nothing was sent may be made up for.
	rateCredit = 100 * time.Millisecond
	// ratePiece is the time in which one piece of a large write goes. A rate too small
	// for minPiece makes longer ones.
	ratePiece = 50 * time.Millisecond
	minPiece  = 512
)

// newRateLimit allows rate bytes a second, more than 0. There is no credit yet.
func newRateLimit(rate int64) *rateLimit {
	return &rateLimit{rate: float64(rate), paid: time.Now()}
}

// take lets n bytes through after the time that it returns.
func (r *rateLimit) take(n int) time.Duration {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if oldest := now.Add(-rateCredit); r.paid.Before(oldest) {
		r.paid = oldest
	}
	r.paid = r.paid.Add(time.Duration(float64(n) / r.rate * float64(time.Second)))
	debt := r.paid.Sub(now)
	if debt <= rateSlack {
		return 0
	}
	from := now
	if r.waits.After(now) {
		from = r.waits
	}
	r.waits = r.paid
	r.waited.Add(int64(r.waits.Sub(from)))
	return debt
}

// piece is how much one connection takes at a time, so that the others get theirs.
func (r *rateLimit) piece() int {
	return max(minPiece, int(min(r.rate*ratePiece.Seconds(), 1<<30)))
}

// A limitedLink sends no faster than its limit lets it. Its sleeps end as a write
// would: by a deadline, also one that is set meanwhile, and by Close.
type limitedLink struct {
	link
	limit *rateLimit

	mu       sync.Mutex
	closed   bool
	deadline time.Time     // for writes
	changed  chan struct{} // closed when one of the above changes
}

func newLimitedLink(l link, limit *rateLimit) *limitedLink {
	return &limitedLink{link: l, limit: limit, changed: make(chan struct{})}
}

// Write sends p in pieces, each when it may go.
func (l *limitedLink) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:min(len(p), n+l.limit.piece())]
		if err := l.pause(l.limit.take(len(piece))); err != nil {
			return n, err
		}
		m, err := l.link.Write(piece)
		if n += m; err != nil || n == len(p) {
			return n, err
		}
	}
}

// pause sleeps for d, unless a deadline or Close comes before.
func (l *limitedLink) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	for {
		l.mu.Lock()
		closed, deadline, changed := l.closed, l.deadline, l.changed
		l.mu.Unlock()
		now, until := time.Now(), end
		switch {
		case closed:
			return net.ErrClosed
		case deadline.IsZero():
		case !now.Before(deadline):
			return os.ErrDeadlineExceeded
		case deadline.Before(until):
			until = deadline
		}
		if !now.Before(end) {
			return nil
		}
		t := time.NewTimer(until.Sub(now))
		select {
		case <-t.C:
		case <-changed:
		}
		t.Stop()
	}
}

func (l *limitedLink) SetDeadline(t time.Time) error {
	err := l.link.SetDeadline(t)
	l.change(func() { l.deadline = t })
	return err
}

func (l *limitedLink) SetWriteDeadline(t time.Time) error {
	err := l.link.SetWriteDeadline(t)
	l.change(func() { l.deadline = t })
	return err
}

func (l *limitedLink) Close() error {
	l.change(func() { l.closed = true })
	return l.link.Close()
}

// change does f and wakes who sleeps.
func (l *limitedLink) change(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
	close(l.changed)
	l.changed = make(chan struct{})
}
