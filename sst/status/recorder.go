package status

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

// interval is the time between two refreshes. Fresh is how old a file may be before
// its process counts as stopped: many intervals, since a busy disk may hold it up.
const (
	interval = 5 * time.Second
	fresh    = 60 * time.Second
)

// A Recorder keeps the file while one SST runs. All its methods may be called on a
// nil Recorder, and do nothing then.
type Recorder struct {
	name  string
	warn  func(string)
	count func() int64 // bytes of files so far

	ended  bool // End was called
	broken bool // writing failed and was said; see put
	file   File // what is there beside the run

	metrics *metrics // nil: none are kept

	mu  sync.Mutex // guards run
	run Run

	news chan struct{} // holds one
	stop context.CancelFunc
	done chan struct{}
}

// Start begins to keep the file for a run of this process, of which Role, Method and
// Silence are to be set. count gives the bytes so far, at any time. What a run
// before left as under way goes to those that ended: as failed, since it did not say
// how. Without a name no file is written, and Now and the metrics alone are of use.
func Start(name string, run Run, count func() int64, warn func(string), also ...Also) *Recorder {
	ctx, stop := context.WithCancel(context.Background())
	r := &Recorder{name: name, warn: warn, count: count, stop: stop,
		news: make(chan struct{}, 1), done: make(chan struct{})}
	for _, add := range also {
		add(r)
	}
	r.file = r.before()
	now := time.Now().UTC()
	me := self()
	run.PID, run.Tick, run.Boot = me.pid, me.tick, me.boot
	run.Phase, run.Began, run.Moved = Starting, now, now
	r.run = run
	r.write()
	go r.refresh(ctx)
	return r
}

// Also is something more that a Recorder keeps.
type Also func(*Recorder)

// Metrics keeps a file for Prometheus' textfile collector, "" for none: written when a
// phase begins, at the end, and every 10 s.
func Metrics(name string) Also {
	return func(r *Recorder) {
		if name != "" {
			r.metrics = startMetrics(name)
		}
	}
}

// before reads what the file said before this run.
func (r *Recorder) before() File {
	if r.name == "" {
		return File{}
	}
	old, err := Read(r.name, -1)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.warn(fmt.Sprintf("%v; it is begun anew", err))
		}
		return File{Format: Format}
	}
	old.Format = Format
	if run := old.Current; run != nil {
		run.Phase, run.Ended = Failed, run.Updated
		run.Reason = "it ended without saying why: it was killed, or the machine went down"
		old.Last = keep(old.Last, *run)
		old.Current = nil
	}
	return old
}

func keep(last []Run, run Run) []Run {
	return append([]Run{run}, last[:min(len(last), Kept-1)]...)
}

func (r *Recorder) refresh(ctx context.Context) {
	defer close(r.done)
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		case <-r.news:
		}
		r.write()
	}
}

// Change lets f change the run, which counts as progress. The file follows at once,
// but nobody waits for it: the caller may hold a server's lock, and the disk be slow.
func (r *Recorder) Change(f func(*Run)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	locked, now := r.run.Locked, time.Now().UTC()
	f(&r.run)
	if !locked.IsZero() && r.run.Locked.IsZero() {
		r.run.LockSeconds += now.Sub(locked).Seconds()
	}
	r.run.Moved = now
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default: // a change before this one is not written yet: they go together
	}
}

// Enter says that a phase begins, with what is done in it in words.
func (r *Recorder) Enter(p Phase, doing string) {
	r.Change(func(run *Run) { run.Phase, run.Doing = p, doing })
}

// Now is the run as it stands.
func (r *Recorder) Now() Run {
	if r == nil {
		return Run{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.update()
	return r.run
}

// update brings what changes by itself up to date; the lock is held.
func (r *Recorder) update() {
	now := time.Now().UTC()
	if n := r.count(); n != r.run.Bytes {
		r.run.Bytes, r.run.Moved = n, now
	}
	r.run.Updated = now
}

func (r *Recorder) write() {
	r.mu.Lock()
	r.update()
	file := r.file
	run := r.run
	file.Current = &run
	r.mu.Unlock()
	r.put(file)
	r.putMetrics(run)
}

// put writes the file. Only the refreshing goroutine, Start and End call it, so two
// writes never cross.
func (r *Recorder) put(file File) {
	if r.name == "" {
		return
	}
	err := write(r.name, file)
	if err != nil && !r.broken {
		r.warn(fmt.Sprintf("status file %s: %v; the SST goes on without it", r.name, err))
	}
	r.broken = err != nil
}

// putMetrics writes the metrics if it is time to. It is called as put is.
func (r *Recorder) putMetrics(run Run) {
	m := r.metrics
	if m == nil || !m.due(run) {
		return
	}
	m.take(run)
	err := replace(m.name, m.render())
	if err != nil && !m.failed {
		r.warn(fmt.Sprintf("metrics-file %s: %v; the SST goes on without it", m.name, err))
	}
	m.failed = err != nil
}

// End says how the run ended: with the exit status and, if it failed, the reason. The
// file is written when it returns. Only the first call counts.
func (r *Recorder) End(exit int, reason string) {
	if r == nil || r.ended {
		return
	}
	r.ended = true
	r.stop()
	<-r.done
	r.mu.Lock()
	r.update()
	r.run.Ended = r.run.Updated
	if !r.run.Locked.IsZero() {
		r.run.LockSeconds += r.run.Ended.Sub(r.run.Locked).Seconds()
	}
	r.run.Locked = time.Time{}
	r.run.Phase, r.run.Doing = Complete, ""
	if exit != 0 {
		r.run.Phase = Failed
	}
	r.run.Exit, r.run.Reason = exit, reason
	r.file.Last = keep(r.file.Last, r.run)
	run := r.run
	r.mu.Unlock()
	r.put(r.file)
	r.putMetrics(run)
}
