package report

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Limits of a Patient. A pipe holds 64 KiB by itself, so patience ends only where
// nobody has read for long.
const (
	patience   = 200 * time.Millisecond
	maxPending = 256 << 10
)

// A Patient stands before a log that may be a pipe which nobody reads. Writing to it
// takes patience at most, once; from then on lines wait in memory until the reader
// comes back, and those beyond maxPending bytes are dropped and counted. So a log that
// hangs never holds a server's lock. While the reader reads, a line is written when
// Write returns.
type Patient struct {
	w    io.Writer
	lost func(n int) string // the line that tells of dropped ones

	mu      sync.Mutex
	pending []byte
	dropped int
	busy    bool          // drain runs
	stuck   bool          // patience has ended
	drained chan struct{} // closed when drain ends
}

// NewPatient writes to w. lost gives the line, with its newline, that says how many
// writes were dropped.
func NewPatient(w io.Writer, lost func(n int) string) *Patient {
	return &Patient{w: w, lost: lost}
}

// Write takes p, or drops it. It never fails: what becomes of a log is no reason to
// end an SST.
func (p *Patient) Write(b []byte) (int, error) {
	p.mu.Lock()
	if len(p.pending)+len(b) > maxPending {
		p.dropped++
		p.mu.Unlock()
		return len(b), nil
	}
	p.pending = append(p.pending, b...)
	if !p.busy {
		p.busy, p.drained = true, make(chan struct{})
		go p.drain(p.drained)
	}
	drained, stuck := p.drained, p.stuck
	p.mu.Unlock()
	if !stuck && !waitFor(drained, patience) {
		p.mu.Lock()
		p.stuck = p.busy && p.drained == drained
		p.mu.Unlock()
	}
	return len(b), nil
}

// Flush waits for everything to be written, at most that long.
func (p *Patient) Flush(limit time.Duration) {
	p.mu.Lock()
	busy, drained := p.busy, p.drained
	p.mu.Unlock()
	if busy {
		waitFor(drained, limit)
	}
}

func waitFor(done <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// drain writes what is pending until nothing is.
func (p *Patient) drain(done chan<- struct{}) {
	defer close(done)
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.pending) > 0 {
		b := p.pending
		if p.dropped > 0 {
			b = append(b, p.lost(p.dropped)...)
		}
		p.pending, p.dropped = nil, 0
		p.mu.Unlock()
		p.w.Write(b) // see Write
		p.mu.Lock()
	}
	p.busy, p.stuck = false, false
}

// LostLine is the line about dropped ones in the form of the log.
func LostLine(n int) string {
	return fmt.Sprintf("WSREP_SST: [WARNING] %d lines before this one are lost: nobody read the log (%s)\n", n, time.Now().Format(stampForm))
}
