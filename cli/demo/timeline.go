package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A timeline says what happened when, as it happens.
type timeline struct {
	out io.Writer

	mu    sync.Mutex
	began time.Time
	at    map[mariadbd.Moment]time.Duration
}

func newTimeline(out io.Writer) *timeline {
	return &timeline{out: out, at: map[mariadbd.Moment]time.Duration{}}
}

// mark notes a moment, once, and says so.
func (t *timeline) mark(m mariadbd.Moment, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m == mariadbd.Started {
		t.began = time.Now()
	}
	if _, known := t.at[m]; known {
		return
	}
	t.at[m] = time.Since(t.began)
	fmt.Fprintln(t.out, strings.TrimRight(fmt.Sprintf("%8.2f s  %-10s %s", t.at[m].Seconds(), m, detail), " "))
}

// between is the time from one moment to another, 0 if one is not known.
func (t *timeline) between(from, to mariadbd.Moment) time.Duration {
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
