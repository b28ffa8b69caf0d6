package ext

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// A worker reads, compares and fills batches, for one slot, while a Send lasts.
type worker struct {
	s    *Sender
	ctx  context.Context
	q    *queue
	slot *slot

	st     *stream
	live   atomic.Pointer[stream] // st, for when the Send ends
	b      *outBatch              // being filled
	rec    *sent                  // what is to be remembered of b
	hasher hasher
	zip    zipper

	ahead  []*job // taken, and the joiner asked what it has
	handle uint32

	urged  bool // the joiner was asked to acknowledge all
	barren int  // connections in a row that broke without any progress

	now, was [maxBlocks]digest
}

const (
	askAhead  = 16        // files or segments the joiner is asked about before their turn
	maxBarren = 10        // breaks without progress
	askBytes  = 128 << 20 // of these
)

// errBroken says that the stream is dead; the reason is in it.
var errBroken = errors.New("the connection broke")

func (s *Sender) work(ctx context.Context, sl *slot, q *queue) {
	w := &worker{s: s, ctx: ctx, q: q, slot: sl, hasher: s.o.Memory.hash(), zip: zipper{how: s.o.Compress}}
	stop := context.AfterFunc(ctx, func() {
		if st := w.live.Load(); st != nil {
			st.fail(context.Cause(ctx))
		}
	})
	defer stop()
	if err := w.run(); err != nil {
		q.fail(err)
	}
	w.giveBack()
}

// setStream changes the stream of the slot.
func (w *worker) setStream(st *stream) {
	w.slot.st, w.st = st, st
	w.live.Store(st)
	if st != nil && w.ctx.Err() != nil {
		st.fail(context.Cause(w.ctx))
	}
}

func (w *worker) run() error {
	if st := w.slot.st; st != nil {
		st.bind(w.q)
		w.setStream(st)
	}
	var current *job
	for {
		err := w.step(&current)
		switch {
		case err == errBroken:
			if w.q.over() {
				return nil
			}
			if err := w.recover(current); err != nil {
				return err
			}
			current = nil
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// step does one job; io.EOF says that there are no more.
func (w *worker) step(current **job) error {
	if err := w.fill(); err != nil {
		return err
	}
	if len(w.ahead) == 0 {
		if w.st != nil {
			if w.st.isDead() {
				return errBroken
			}
			if err := w.flush(flagAckNow); err != nil {
				return err
			}
		}
		if !w.q.wait(w.st) {
			if w.q.over() {
				return io.EOF
			}
			return errBroken
		}
		return nil
	}
	j := w.ahead[0]
	w.ahead = w.ahead[:copy(w.ahead, w.ahead[1:])]
	*current = j
	if err := w.do(j); err != nil {
		return err
	}
	*current = nil
	return nil
}

// fill takes jobs: the next one, or some more to ask the joiner about them.
func (w *worker) fill() error {
	most, bytes := 1, int64(0)
	if w.s.o.Sums {
		most = askAhead
	}
	for _, j := range w.ahead {
		bytes += j.end - j.off
	}
	for len(w.ahead) < most && bytes < askBytes {
		j := w.q.try()
		if j == nil {
			return nil
		}
		w.ahead = append(w.ahead, j)
		if w.st == nil {
			if err := w.connect(); err != nil {
				return err
			}
		}
		if j.file.ask && j.kind != finish {
			disposed, err := w.ask(j)
			if err != nil {
				return err
			}
			if disposed {
				w.ahead = w.ahead[:len(w.ahead)-1]
			}
		}
		bytes += j.end - j.off
	}
	return nil
}

// connect makes a stream, as often as one breaks while it is made.
func (w *worker) connect() error {
	for {
		st, err := w.s.connect(w.ctx, w.slot, w.q)
		if err == nil {
			w.setStream(st)
			return nil
		}
		var dial *dialError
		if errors.As(err, &dial) {
			return dial.err
		}
		w.slot.used = true // the joiner may have seen it
		if err := w.barrenBreak(err); err != nil {
			return err
		}
	}
}

// barrenBreak counts a connection that brought nothing.
func (w *worker) barrenBreak(why error) error {
	var gaveUp *GaveUpError
	var fatal *FatalError
	switch {
	case w.ctx.Err() != nil:
		return context.Cause(w.ctx)
	case errors.As(why, &gaveUp), errors.As(why, &fatal):
		return why
	}
	if w.barren++; w.barren >= maxBarren {
		return fmt.Errorf("%d connections to the joiner in a row broke before anything was acknowledged: %w", w.barren, why)
	}
	return nil
}

// recover replaces a stream that broke, and gives its jobs back to be done again once the joiner
// is known to have done with it.
func (w *worker) recover(current *job) error {
	st := w.st
	_ = st.close(errBroken)
	if w.rec != nil {
		w.rec.forget(w.s.o.Memory)
	}
	jobs := st.left()
	if w.rec != nil {
		jobs = append(jobs, w.rec.ends...)
	}
	w.giveBack()
	if current != nil {
		jobs = append(jobs, current)
	}
	jobs = append(jobs, w.ahead...)
	w.ahead = nil
	progress := st.acked > 1
	w.setStream(nil)
	if progress {
		w.barren = 0
	}
	w.s.log("a connection to the joiner broke: %v", st.err)
	if err := w.barrenBreak(st.err); err != nil {
		return err
	}
	if len(jobs) == 0 {
		return nil // the next job makes a new one
	}
	if err := w.connect(); err != nil {
		return err
	}
	w.q.requeue(jobs)
	return nil
}

// giveBack returns the batch being filled.
func (w *worker) giveBack() {
	if w.b != nil {
		outBatches.Put(w.b)
	}
	w.b, w.rec = nil, nil
}

// room gives the batch being filled, with room for n bytes more.
func (w *worker) room(n int) (*outBatch, error) {
	if w.b != nil && w.b.n+n > len(w.b.buf) {
		if err := w.flush(0); err != nil {
			return nil, err
		}
	}
	if w.b == nil {
		w.b, w.rec = outBatches.Get().(*outBatch), w.st.record()
		w.b.begin()
	}
	return w.b, nil
}

// flush sends the batch being filled, if there is anything in it.
func (w *worker) flush(flags byte) error {
	b, rec := w.b, w.rec
	if b == nil || b.empty() && len(rec.ends) == 0 {
		if flags == 0 || w.urged || w.st.idle() {
			return nil
		}
		// What was sent before waits for more.
		var err error
		if b, err = w.room(0); err != nil {
			return err
		}
		rec = w.rec
	}
	w.b, w.rec = nil, nil
	w.urged = flags == flagAckNow
	b.finish(flags)
	if w.st.send(b, rec) != nil {
		return errBroken
	}
	return nil
}

// announce says what a job's handle means, once.
func (w *worker) announce(j *job) error {
	if j.opened {
		return nil
	}
	f := j.file.f
	b, err := w.room(fileHead + len(f.Name) + len(f.User) + len(f.Group))
	if err != nil {
		return err
	}
	w.handle = w.handle%(maxHandle-1) + 1 // never 0, which a job has that was not announced
	j.handle, j.opened = w.handle, true
	w.st.register(j)
	b.n = len(appendFile(b.buf[:b.n], j.handle, f))
	return nil
}

// ask asks the joiner what it has of the file. disposed: the job is no more.
func (w *worker) ask(j *job) (disposed bool, err error) {
	if disposed := w.prepare(j); disposed {
		return true, nil
	}
	if j.end == j.off {
		return false, nil
	}
	if err := w.announce(j); err != nil {
		return false, err
	}
	b, err := w.room(rangeSize)
	if err != nil {
		return false, err
	}
	j.asked = true
	b.n = len(appendRange(b.buf[:b.n], frameSums, j.handle, j.off, j.end-j.off))
	return false, nil
}

// prepare opens the file of a job, unless it is open. disposed: there is nothing to do, or it
// is to be cut.
func (w *worker) prepare(j *job) (disposed bool) {
	f := j.file
	if j.kind != wholeFile || j.prepared {
		return false
	}
	if f.open() != nil {
		w.q.lost(f)
		return true
	}
	if f.size > w.q.tune.from {
		w.q.grown(f)
		return true
	}
	j.prepared, j.off, j.end = true, 0, f.size
	return false
}
