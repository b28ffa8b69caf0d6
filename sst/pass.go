package sst

import (
	"fmt"
	"sync"
	"time"
)

// A pass is what a donor is at: a round before the lock, or what it does under it. How
// far an SST is can only be told of its pass: what the next one will have to do, the
// server decides meanwhile.
type pass struct {
	round       int       // before the lock; 0: none
	locked      time.Time // since when the donor's tables are; zero: they are not
	began       time.Time
	done, total int64 // bytes of files, whether sent or found to be the same; total 0: not known
}

// percent is 100 only at the end.
func (p pass) percent() int { return int(float64(p.done) / float64(p.total) * 100) }

// left is how long the rest of the pass takes, if all goes on as it did.
func (p pass) left(now time.Time) (time.Duration, bool) {
	if p.done <= 0 || p.done >= p.total {
		return 0, false
	}
	return time.Duration(float64(now.Sub(p.began)) * float64(p.total-p.done) / float64(p.done)), true
}

// words are for people; "" if there is nothing to say.
func (p pass) words(now time.Time) string {
	switch {
	case !p.locked.IsZero():
		return fmt.Sprintf("donor locked %.1f s", now.Sub(p.locked).Seconds())
	case p.round > 0:
		return fmt.Sprintf("round %d", p.round)
	}
	return ""
}

// passing keeps the pass that a donor is at.
type passing struct {
	mu    sync.Mutex
	now   pass
	count func() int64 // what is done grows with it
	start int64        // its value at the beginning

	news chan struct{} // the pass is another one; holds one
}

func newPassing() *passing {
	return &passing{count: func() int64 { return 0 }, news: make(chan struct{}, 1)}
}

// enter begins a pass over total bytes, of which count tells how many are done.
func (p *passing) enter(round int, total int64, count func() int64) {
	p.mu.Lock()
	p.now.round, p.now.total, p.now.began = round, total, time.Now()
	p.count, p.start = count, count()
	p.mu.Unlock()
	p.changed()
}

// lock notes whether the tables are locked.
func (p *passing) lock(locked bool) {
	p.mu.Lock()
	switch {
	case !locked:
		p.now.locked = time.Time{}
	case p.now.locked.IsZero():
		p.now.locked, p.now.total = time.Now(), 0 // the round is over, and what is to be done not known yet
	}
	p.mu.Unlock()
	p.changed()
}

func (p *passing) changed() {
	select {
	case p.news <- struct{}{}:
	default: // one is on its way
	}
}

// at is the pass as it stands.
func (p *passing) at() pass {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now
	now.done = min(p.count()-p.start, now.total)
	return now
}

// A followed pass is a donor's as the joiner hears of it, every few seconds.
type followed struct {
	mu    sync.Mutex
	now   pass
	moved int64 // what had been received when it was heard

	news chan struct{}
}

// hear takes what a notice says. moved is what has been received.
func (f *followed) hear(n notice, moved int64) {
	f.mu.Lock()
	before := f.now
	f.now.done, f.now.total, f.moved = n.Done, n.Total, moved
	if n.Round != f.now.round || n.Locked == f.now.locked.IsZero() || f.now.began.IsZero() {
		f.now.began, f.now.locked, f.now.round = time.Now(), time.Time{}, n.Round
		if n.Locked {
			f.now.locked = f.now.began
		}
	}
	changed := f.now.began != before.began
	f.mu.Unlock()
	if changed {
		select {
		case f.news <- struct{}{}:
		default:
		}
	}
}

// at is the pass at a moment when moved bytes have been received: what came since the
// last notice counts as done.
func (f *followed) at(moved int64) pass {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now
	now.done = min(now.done+max(moved-f.moved, 0), now.total)
	return now
}
