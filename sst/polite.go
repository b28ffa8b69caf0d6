package sst

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// Before the lock the donor is a guest on a server that is at work. What it reads goes
// through a few threads of low priority, at no more than the rate that it may have, and
// leaves the page cache as it was. Priorities belong to threads, and an ordinary user
// cannot take a lower one back: so these threads do nothing else, and end with the
// rounds.

const (
	politeNice = 10
	// politeIO is the last level of the class that all share ("best effort", 7): idle
	// would not move at all on a busy disk.
	politeIO = ioprioBestEffort<<13 | 7

	ioprioBestEffort   = 2
	ioprioWhoProcess   = 1
	maxPolite, perCPUs = 4, 4
)

// politeThreads is a quarter of the CPUs, 1 to 4.
func politeThreads() int { return min(max(runtime.GOMAXPROCS(0)/perCPUs, 1), maxPolite) }

// polite reads as a guest does.
type polite struct {
	jobs chan readJob
	rate *rateLimit // nil: none
	wait sync.WaitGroup
}

type readJob struct {
	file ext.Source
	p    []byte
	off  int64
	done chan<- readDone
}

type readDone struct {
	n   int
	err error
}

// newPolite starts the threads. rate is in bytes a second, 0 for no limit.
func newPolite(rate int64) *polite {
	g := &polite{jobs: make(chan readJob)}
	if rate > 0 {
		g.rate = newRateLimit(rate)
	}
	for range politeThreads() {
		g.wait.Go(g.work)
	}
	return g
}

// work is the life of a thread. It is not unlocked, so that it ends with its goroutine.
func (g *polite) work() {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread does not end with its goroutine. It waits while another works.
		defer runtime.UnlockOSThread()
		var other sync.WaitGroup
		other.Go(g.work)
		other.Wait()
		return
	}
	// What the kernel refuses is not ours to insist on.
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), politeNice)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, 0, politeIO)
	for j := range g.jobs {
		n, err := j.file.ReadAt(j.p, j.off)
		j.done <- readDone{n, err}
	}
}

// close ends the threads. Nobody may be reading.
func (g *polite) close() {
	close(g.jobs)
	g.wait.Wait()
}

// wrap makes a file that is read by the guest.
func (g *polite) wrap(s ext.Source) ext.Source { return politeFile{s, g} }

type politeFile struct {
	ext.Source
	polite *polite
}

// ReadAt implements io.ReaderAt.
func (f politeFile) ReadAt(p []byte, off int64) (int, error) {
	done := make(chan readDone, 1)
	f.polite.jobs <- readJob{f.Source, p, off, done}
	d := <-done
	return d.n, d.err
}

// pace waits until n more bytes may be read.
func (g *polite) pace(ctx context.Context, n int) error {
	if g.rate == nil {
		return nil
	}
	if wait := g.rate.take(n); wait > 0 {
		return pause(ctx, wait)
	}
	return nil
}
