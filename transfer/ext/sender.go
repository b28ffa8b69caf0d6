package ext

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"
)

// Options of a Sender.
type Options struct {
	// Connections is how many streams there are at a time, 1 to 16; 0 means 1. Each
	// also is a reader: under the lock, as many as there are cores.
	Connections int
	// Dial makes one stream connection on which the two hellos have been said. It is
	// called when a connection is needed for the first time and after each break; it
	// may be called by several goroutines. How often it tries is its business: an
	// error of it ends Send.
	Dial func(ctx context.Context) (net.Conn, error)
	// Compress is off by default.
	Compress Compression
	// Memory is what is known of the joiner's files, and learns what is sent. nil: one of
	// the Sender's own.
	Memory *Memory
	// Sums says that the joiner has old data: what of a file Memory does not know, the
	// joiner is asked for first.
	Sums bool
	// Timeout is how long the joiner may take to acknowledge anything before the
	// connection counts as broken; 0: 60 s.
	Timeout time.Duration
	// Pace, if set, is called before n bytes are read, by several goroutines: it may
	// wait, to be polite. An error ends Send.
	Pace func(ctx context.Context, n int) error
	// Progress, if set, is called with how many bytes more were read, and how many
	// more of content sent, by several goroutines.
	Progress func(read, sent int64)
	// Log, if set, gets a line about each connection that broke.
	Log func(line string)
}

// A Sender is the donor's side. One Send at a time.
type Sender struct {
	o     Options
	id    uint64
	slots []*slot
	own   bool // Memory is ours to close
	tune  tuning
	// direct: there are as many workers as processors (of the cgroup, which the runtime follows),
	// so each writes what it has read.
	direct bool
}

// A slot is the place of one stream after the other.
type slot struct {
	number uint8
	used   bool    // there has been a stream
	st     *stream // nil: none now
}

// New makes a Sender. Connections are made when they are needed, and stay for the
// next Send.
func New(o Options) *Sender {
	s := &Sender{o: o, id: rand.Uint64() | 1, tune: usual}
	if o.Memory == nil {
		s.o.Memory, s.own = NewMemory(""), true
	}
	if o.Timeout <= 0 {
		s.o.Timeout = 60 * time.Second
	}
	for i := range min(max(o.Connections, 1), maxSlots) {
		s.slots = append(s.slots, &slot{number: uint8(i)})
	}
	s.direct = len(s.slots) >= runtime.GOMAXPROCS(0)
	return s
}

// A GaveUpError is the joiner's reason to end the SST: no room on its disk, for instance.
type GaveUpError struct{ Reason string }

func (e *GaveUpError) Error() string { return "the joiner gave up: " + e.Reason }

// A DamagedError says that the joiner has something else than was sent, twice.
type DamagedError struct{ Name string }

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s: what the joiner has written is not what was sent, twice; hint: look for a program that changes its files, and for faults of its memory and disks", quote(e.Name))
}

// Send brings files to the joiner: it reads each once, sends the blocks of which
// Memory says or cannot say that they are different there, and returns when the
// joiner has committed all of them. The results are in the order of files. Files that
// vanished or cannot be read, or that the joiner refused, have an Err in their result;
// Send itself fails only if Dial fails, ctx ends, a connection breaks again and again, a
// file was damaged twice on its way (*DamagedError), or the joiner gave up
// (*GaveUpError). It may then be called again.
//
// Each file is sent to the length it has when it is opened, or to an end met
// before that.
func (s *Sender) Send(ctx context.Context, files []File) ([]Result, error) {
	states, err := s.states(files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	q := newQueue(states, s.o.Memory, s.tune, cancel)
	var workers sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { q.fail(context.Cause(ctx)) })
	for _, slot := range s.slots {
		workers.Go(func() { s.work(ctx, slot, q) })
	}
	workers.Wait()
	stop()
	if q.err != nil {
		s.breakAll(q.err)
	}
	results := make([]Result, len(files))
	for i, f := range states {
		f.close()
		f.result.Read, f.result.Sent = f.read.Load(), f.sent.Load()
		results[i] = f.result
	}
	return results, q.err
}

func (s *Sender) states(files []File) ([]*fileState, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("%d files to send, the limit is %d", len(files), maxFiles)
	}
	seen := make(map[*memFile]bool, len(files))
	states := make([]*fileState, len(files))
	for i := range files {
		f := &files[i]
		if err := checkName(f.Name); err != nil {
			return nil, err
		}
		if len(f.User) > maxOwner || len(f.Group) > maxOwner || f.Mode > 0o7777 {
			return nil, fmt.Errorf("send %s: mode %#o or the names of its owner are out of range", quote(f.Name), f.Mode)
		}
		mem, err := s.o.Memory.file(f.Root, []byte(f.Name))
		if err != nil {
			return nil, fmt.Errorf("send %s: %w", quote(f.Name), err)
		}
		if seen[mem] {
			return nil, fmt.Errorf("send %s: it is in the list twice", quote(f.Name))
		}
		seen[mem] = true
		states[i] = &fileState{f: f, mem: mem, ask: s.o.Sums && !s.o.Memory.known(mem)}
	}
	return states, nil
}

// breakAll ends all streams after a Send that failed: what was on its way is not known.
func (s *Sender) breakAll(cause error) {
	for _, slot := range s.slots {
		if slot.st != nil {
			_ = slot.st.close(cause)
			slot.st.left()
			slot.st = nil
		}
	}
}

var errClosed = errors.New("the sender is closed")

// Close closes the connections.
func (s *Sender) Close() error {
	s.breakAll(errClosed)
	if s.own {
		return s.o.Memory.Close()
	}
	return nil
}

func (s *Sender) log(format string, a ...any) {
	if s.o.Log != nil {
		s.o.Log(fmt.Sprintf(format, a...))
	}
}

// connect gives a slot a stream. One that takes the place of another is ready
// only when the joiner has done with that.
func (s *Sender) connect(ctx context.Context, sl *slot, q *queue) (*stream, error) {
	conn, err := s.o.Dial(ctx)
	if err != nil {
		return nil, &dialError{err}
	}
	st := newStream(conn, s.o.Timeout, s.tune.window, s.direct, s.o.Memory)
	st.bind(q)
	stop := context.AfterFunc(ctx, func() { st.fail(context.Cause(ctx)) })
	b := outBatches.Get().(*outBatch)
	o := open{version: version, sender: s.id, seed: s.o.Memory.hash().seed, slot: sl.number}
	b.n = len(o.append(b.buf[:b.begin()]))
	b.finish(flagAckNow)
	err = st.send(b, st.record())
	if err == nil && sl.used {
		err = st.waitFor(func() bool { return st.acked > 0 })
	}
	stop()
	if err != nil {
		_ = st.close(err)
		return nil, err
	}
	sl.used = true
	return st, nil
}

// A dialError is the end of the caller's patience.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
