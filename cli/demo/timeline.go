package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// A timeline says what happened when, as it happens.
type timeline struct {
	out io.Writer

	mu    sync.Mutex
	began time.Time
	at    map[moment]time.Duration
}

// A moment of an SST.
type moment string

// The moments, in their order.
const (
	started   moment = "started"   // the joiner's program
	ready     moment = "ready"     // the joiner listens
	asked     moment = "asked"     // the donor's program is started
	connected moment = "connected" // both know each other
	locked    moment = "locked"    // the donor's tables cannot be written
	copied    moment = "copied"    // all files are with the joiner
	unlocked  moment = "unlocked"
	done      moment = "done" // everything is on the joiner's disk and has its name
)

func newTimeline(out io.Writer) *timeline { return &timeline{out: out, at: map[moment]time.Duration{}} }

// mark notes a moment, once, and says so.
func (t *timeline) mark(m moment, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m == started {
		t.began = time.Now()
	}
	if _, known := t.at[m]; known {
		return
	}
	t.at[m] = time.Since(t.began)
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("%8.2f s  %-10s %s", t.at[m].Seconds(), m, detail), " "))
}

// between is the time from one moment to another, 0 if one is not known.
func (t *timeline) between(from, to moment) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, known := t.at[from]
	b, both := t.at[to]
	if !known || !both {
		return 0
	}
	return b - a
}

// rate is a speed for people.
func rate(bytes int64, d time.Duration) string {
	if d <= 0 {
		return "no time to speak of"
	}
	return fmt.Sprintf("%.0f MB/s", float64(bytes)/1e6/d.Seconds())
}
