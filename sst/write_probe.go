package sst

import (
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
)

// How long after its stamp a write lands is the disk's own affair (precopy-facts.md, A):
// no constant is a bound for a disk that is slow, or throttled. So while the rounds run a
// small write is timed now and then, past the page cache, by a process that shares
// mariadbd's limits. It goes to a file without a name, so nobody sees it and nothing
// remains of it.

const (
	// probeFactor: the slowest write that was timed, so many times, counts as the longest
	// that a write of the server's takes.
	probeFactor = 10
	// probeEvery is the time between two writes.
	probeEvery = time.Second
	probeSize  = 16 << 10
)

// A writeProbe times writes. A nil one has seen none.
type writeProbe struct {
	files []*os.File
	every time.Duration
	write func(*os.File) error

	mu      sync.Mutex
	slowest time.Duration
	since   time.Time // when the write that is under way began
}

// newWriteProbe makes the files, one on each file system of the roots; where that cannot
// be done, nothing is known of its writes.
func newWriteProbe(p plan.Places) *writeProbe {
	w := &writeProbe{every: probeEvery, write: timedWrite()}
	seen := map[uint64]bool{}
	for _, root := range plan.Roots {
		var st unix.Stat_t
		if unix.Stat(p.Dir(root), &st) != nil || seen[st.Dev] {
			continue
		}
		seen[st.Dev] = true
		fd, err := unix.Open(p.Dir(root), unix.O_TMPFILE|unix.O_RDWR|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
		if err != nil { // no direct writes there, in memory for one
			fd, err = unix.Open(p.Dir(root), unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		}
		if err == nil {
			w.files = append(w.files, os.NewFile(uintptr(fd), "a file without a name in "+p.Dir(root)))
		}
	}
	return w
}

// timedWrite writes the same block again and again.
func timedWrite() func(*os.File) error {
	const align = 4096
	b := make([]byte, probeSize+align)
	b = b[align-int(uintptr(unsafe.Pointer(&b[0]))%align):][:probeSize]
	return func(f *os.File) error {
		if _, err := f.WriteAt(b, 0); err != nil {
			return err
		}
		return unix.Fdatasync(int(f.Fd()))
	}
}

// close gives the files back. start must have been stopped.
func (w *writeProbe) close() {
	for _, f := range w.files {
		f.Close()
	}
}

// start times writes until stop is called, which waits for the one that is under way.
func (w *writeProbe) start() (stop func()) {
	ended := make(chan struct{})
	var probing sync.WaitGroup
	probing.Go(func() {
		tick := time.NewTicker(w.every)
		defer tick.Stop()
		for w.once() {
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		probing.Wait()
	}
}

// once writes to each file; it says whether any could be written to.
func (w *writeProbe) once() (some bool) {
	for _, f := range w.files {
		w.mu.Lock()
		w.since = time.Now()
		w.mu.Unlock()
		err := w.write(f)
		w.mu.Lock()
		if err == nil {
			some = true
			w.slowest = max(w.slowest, time.Since(w.since))
		}
		w.since = time.Time{}
		w.mu.Unlock()
	}
	return some
}

// margin is how long a write of the server's may take: 0 if nothing is known.
func (w *writeProbe) margin() time.Duration {
	if w == nil {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	slowest := w.slowest
	if !w.since.IsZero() {
		slowest = max(slowest, time.Since(w.since))
	}
	return probeFactor * slowest
}
