package sst

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls"
)

// What bound the speed of an SST: the question that everybody asks who finds it slow. A
// donor can tell, since the kernel keeps account of what each connection waited for.

// flows keeps account of the data connections of one side.
type flows struct {
	moved   atomic.Int64 // bytes
	waiting atomic.Int64 // ns that readers waited for the other side

	mu   sync.Mutex
	live map[*countedLink]bool
	sum  tls.Flow      // of those that are closed
	open time.Duration // likewise: how long they were
}

// A countedLink counts what it moves.
type countedLink struct {
	link
	flows *flows
	began time.Time
}

// link takes a connection into account until it is closed.
func (f *flows) link(conn link) *countedLink {
	c := &countedLink{conn, f, time.Now()}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live == nil {
		f.live = map[*countedLink]bool{}
	}
	f.live[c] = true
	return c
}

func (c *countedLink) Read(p []byte) (int, error) {
	began := time.Now()
	n, err := c.link.Read(p)
	c.flows.waiting.Add(int64(time.Since(began)))
	c.flows.moved.Add(int64(n))
	return n, err
}

func (c *countedLink) Write(p []byte) (int, error) {
	n, err := c.link.Write(p)
	c.flows.moved.Add(int64(n))
	return n, err
}

func (c *countedLink) Close() error {
	c.flows.leave(c)
	return c.link.Close()
}

// leave takes c out of the account, once.
func (f *flows) leave(c *countedLink) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.live[c] {
		delete(f.live, c)
		flow := c.Flow()
		f.sum.Busy, f.sum.Full, f.open = f.sum.Busy+flow.Busy, f.sum.Full+flow.Full, f.open+time.Since(c.began)
	}
}

// sums are those of all connections up to now.
func (f *flows) sums() (flow tls.Flow, open time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	flow, open = f.sum, f.open
	for c := range f.live {
		more := c.Flow()
		flow.Busy, flow.Full, open = flow.Busy+more.Busy, flow.Full+more.Full, open+time.Since(c.began)
	}
	return flow, open
}

// A use is what a donor's transfer used of what it had.
type use struct {
	took  time.Duration
	bytes int64
	flow  tls.Flow      // of the data connections together
	open  time.Duration // how long they were, together
	limit time.Duration // in which a connection waited for rlimit
	paced time.Duration // waited for precopy-rlimit
	cpu   time.Duration // of this process
	cpus  int
}

// Parts of the time from which on something counts as what bound the speed.
const (
	mostly   = 0.5
	cpuBound = 0.85
	often    = 0.3
	// tooShort is less than what any of these figures is good for.
	tooShort = 50 * time.Millisecond
)

// boundBy says what bound the speed. The order is that of certainty: a limit that was set
// leaves its mark on all that comes after it.
func (u use) boundBy() string {
	of := func(part, whole time.Duration) float64 {
		if whole <= 0 {
			return 0
		}
		return float64(part) / float64(whole)
	}
	switch {
	case u.took < tooShort:
		return "it was too short to say what bound the speed"
	case of(u.limit, u.took) > mostly:
		return "the speed was bound by rlimit"
	case of(u.paced, u.took) > mostly:
		return "the speed was bound by precopy-rlimit"
	case of(u.cpu, u.took*time.Duration(u.cpus)) > cpuBound:
		return fmt.Sprintf("the speed was bound by the donor's CPUs (%.0f %% of %d)", of(u.cpu, u.took*time.Duration(u.cpus))*100, u.cpus)
	case u.flow == tls.Flow{}:
		return "what bound the speed is not known: it was not the CPUs, and the kernel tells nothing of these connections"
	case of(u.flow.Full, u.open) > often:
		return fmt.Sprintf("the speed was bound by the joiner, which took no more for %.0f %% of the time", of(u.flow.Full, u.open)*100)
	case of(u.flow.Busy, u.open) > mostly:
		return fmt.Sprintf("the speed was bound by the network (data was on its way for %.0f %% of the time)", of(u.flow.Busy, u.open)*100)
	}
	return fmt.Sprintf("the speed was bound by reading at the donor (data was on its way for %.0f %% of the time)", of(u.flow.Busy, u.open)*100)
}

// used measures the donor's use since began, when the process had used cpu.
func (d *donor) used(began time.Time, cpu time.Duration) use {
	u := use{took: time.Since(began), bytes: d.sent.Load(), cpu: cpuTime() - cpu, cpus: runtime.GOMAXPROCS(0), paced: time.Duration(d.paced.Load())}
	u.flow, u.open = d.flows.sums()
	if d.limit != nil {
		u.limit = time.Duration(d.limit.waited.Load())
	}
	return u
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// boundBy says what a joiner can tell by itself, from a script's donor: whether it waited
// for data, or the data for it.
func (f *flows) boundBy() string {
	_, open := f.sums()
	part := float64(f.waiting.Load()) / float64(max(open, 1))
	if part > mostly {
		return fmt.Sprintf("the speed was bound by the donor or the network: data was waited for %.0f %% of the time", part*100)
	}
	return fmt.Sprintf("the speed was bound by this node: data was waited for only %.0f %% of the time", part*100)
}
