package sst

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Refusals of connections are no harm, and anybody can make any number of them: of
// each interval only the first few are told one by one, the others as a number.
const (
	refusalInterval = 10 * time.Second
	refusalsShown   = 5
)

// refusals tells of connections that came to nothing.
type refusals struct {
	warn func(string)

	mu    sync.Mutex
	shown int    // in this interval
	more  int    // in this interval, not shown
	last  string // of them
}

// say tells of one.
func (r *refusals) say(addr, text string) {
	r.mu.Lock()
	r.shown++
	show := r.shown <= refusalsShown
	if !show {
		r.more++
		r.last = host(addr)
	}
	r.mu.Unlock()
	if show {
		r.warn(fmt.Sprintf("connection from %s turned away: %s", addr, text))
	}
}

// run tells the numbers until ctx ends.
func (r *refusals) run(ctx context.Context) {
	tick := time.NewTicker(refusalInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.sum()
		case <-ctx.Done():
			r.sum()
			return
		}
	}
}

// sum tells the number of an interval and begins the next.
func (r *refusals) sum() {
	r.mu.Lock()
	more, last := r.more, r.last
	r.shown, r.more = 0, 0
	r.mu.Unlock()
	if more > 0 {
		r.warn(fmt.Sprintf("%d more connections turned away in the last %d s, the last from %s", more, int(refusalInterval.Seconds()), last))
	}
}
