package ext

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// tuning is what tests make smaller.
type tuning struct {
	segment int64 // what one worker takes at a time
	from    int64 // files of that size are cut, at most maxRange
	// window bounds what of a stream is sent and not acknowledged, hence sent again when
	// it breaks. It is at least twice ackBytes, or nothing moves.
	window int
}

var usual = tuning{segment: 32 << 20, from: maxRange, window: 4 << 20}

// small files come in the order of their names.
const small = 256 << 10

// A fileState is a file of a Send under way.
type fileState struct {
	f    *File
	mem  *memFile
	ask  bool // the joiner is asked what it has
	once bool // has been sent whole because the digests differed

	read, sent atomic.Int64

	mu     sync.Mutex
	result Result
	src    Source
	size   int64
	// Of a file that is cut:
	next    int64           // offset of the next segment
	running int             // segments not acknowledged
	ends    map[int64]int64 // where segments met the end of the file before their own, by offset
}

func (f *fileState) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.result.Err == nil {
		f.result.Err = err
	}
}

func (f *fileState) failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.result.Err != nil
}

type jobKind uint8

const (
	wholeFile jobKind = iota // FILE, content, COMMIT
	part                     // FILE, content, RELEASE
	finish                   // FILE, COMMIT, after the parts
)

// A job is what a worker takes and, when its connection breaks, another may have to do
// again.
type job struct {
	kind     jobKind
	file     *fileState
	off, end int64 // of part; and of wholeFile, once it is open

	handle   uint32
	prepared bool // the file is open
	opened   bool // FILE has been sent
	asked    bool // SUMS has been sent
	ready    bool // and is answered; guarded by the stream

	mismatch bool // written by the listener before the job is done
}

// A queue is the work of one Send: the biggest files first, cut into segments so that all
// connections work at one file, then the small ones by name, for the directories' sake.
type queue struct {
	memory *Memory
	tune   tuning

	mu      sync.Mutex
	changed sync.Cond
	order   []*fileState
	cut     []*fileState // files that are cut, not all segments of which are taken
	again   []*job       // to be done before anything new
	left    int          // files not finished
	err     error
	stop    func(error) // ends the Send
}

func newQueue(files []*fileState, m *Memory, t tuning, stop func(error)) *queue {
	q := &queue{memory: m, tune: t, order: slices.Clone(files), left: len(files), stop: stop}
	q.changed.L = &q.mu
	slices.SortStableFunc(q.order, func(a, b *fileState) int {
		if a.f.Size >= small || b.f.Size >= small {
			return cmp.Compare(b.f.Size, a.f.Size)
		}
		return cmp.Or(cmp.Compare(a.f.Root, b.f.Root), cmp.Compare(a.f.Name, b.f.Name))
	})
	return q
}

func (q *queue) wakeAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.changed.Broadcast()
}

// fail ends the Send.
func (q *queue) fail(err error) {
	q.mu.Lock()
	first := q.err == nil
	if first {
		q.err = err
	}
	q.changed.Broadcast()
	q.mu.Unlock()
	if first {
		q.stop(err)
	}
}

// try gives a job, or nil if there is none now.
func (q *queue) try() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.next()
}

func (q *queue) next() *job {
	for q.err == nil {
		switch {
		case len(q.again) > 0:
			j := q.again[0]
			q.again = q.again[1:]
			return j
		case len(q.cut) > 0:
			if j := q.segment(q.cut[0]); j != nil {
				return j
			}
			q.cut = q.cut[1:]
		case len(q.order) > 0:
			f := q.order[0]
			q.order = q.order[1:]
			if f.f.Size < q.tune.from {
				return &job{kind: wholeFile, file: f}
			}
			q.split(f)
		default:
			return nil
		}
	}
	return nil
}

// split opens a file to be cut.
func (q *queue) split(f *fileState) {
	if err := f.open(); err != nil {
		q.finish(f)
		return
	}
	f.next = 0
	if f.size == 0 {
		q.again = append(q.again, &job{kind: finish, file: f})
		return
	}
	q.cut = append(q.cut, f)
}

// lost ends a file that could not be opened.
func (q *queue) lost(f *fileState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.finish(f)
}

// grown cuts a file that turned out to be big.
func (q *queue) grown(f *fileState) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f.next = 0
	q.cut = append(q.cut, f)
	q.changed.Broadcast()
}

func (q *queue) segment(f *fileState) *job {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next >= f.size {
		return nil
	}
	j := &job{kind: part, file: f, off: f.next, end: min(f.next+q.tune.segment, f.size)}
	f.next = j.end
	f.running++
	return j
}

// wait waits for something to do: a job (true), or the end of the Send or of st (false).
func (q *queue) wait(st *stream) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.err != nil || q.left == 0 || st != nil && st.isDead():
			return false
		case len(q.again) > 0 || len(q.cut) > 0 || len(q.order) > 0:
			return true
		}
		q.changed.Wait()
	}
}

// over says that the Send is at its end.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err != nil || q.left == 0
}

// requeue gives jobs back that were lost with their connection.
func (q *queue) requeue(jobs []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, j := range jobs {
		q.again = append(q.again, &job{kind: j.kind, file: j.file, off: j.off, end: j.end})
	}
	q.changed.Broadcast()
}

// done takes jobs that are acknowledged.
func (q *queue) done(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	q.mu.Lock()
	var damaged error
	for _, j := range jobs {
		f := j.file
		switch {
		case j.kind == part:
			q.partDone(f)
		case j.mismatch && !f.failed():
			if f.once {
				damaged = &DamagedError{f.f.Name}
				break
			}
			q.sendWhole(f)
		default:
			q.finish(f)
		}
	}
	q.changed.Broadcast()
	q.mu.Unlock()
	if damaged != nil {
		q.fail(damaged)
	}
}

// partDone lets the file be committed when all its segments are written.
func (q *queue) partDone(f *fileState) {
	f.mu.Lock()
	f.running--
	over := f.running == 0 && f.next >= f.size
	f.mu.Unlock()
	if over {
		f.close()
		q.again = append(q.again, &job{kind: finish, file: f})
	}
}

// sendWhole sends a file again, and all of it.
func (q *queue) sendWhole(f *fileState) {
	q.memory.cut(f.mem, 0)
	f.once, f.ask = true, false
	q.order = slices.Insert(q.order, 0, f)
}

func (q *queue) finish(f *fileState) {
	if f.result.Err != nil {
		if _, refused := f.result.Err.(*RefusedError); refused {
			q.memory.cut(f.mem, 0)
		}
	}
	f.close()
	if q.left--; q.left == 0 {
		q.changed.Broadcast()
	}
}

// open opens the file and takes its first stamp. A failure is noted.
func (f *fileState) open() error {
	f.close()
	src, err := f.f.Open()
	if err != nil {
		f.fail(err)
		return err
	}
	stamp, err := src.Stat()
	if err != nil {
		src.Close()
		f.fail(err)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.src, f.size, f.ends = src, stamp.Size, nil
	f.result.Before, f.result.After, f.result.ReadStart = stamp, stamp, time.Now()
	return nil
}

// close closes it, which loses nothing: it was only read.
func (f *fileState) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.src != nil {
		f.src.Close()
		f.src = nil
	}
}

// stampAfter takes the stamp after a read.
func (f *fileState) stampAfter(src Source) error {
	stamp, err := src.Stat()
	if err != nil {
		f.fail(err)
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.After = stamp
	return nil
}

// metEnd notes that the part at off found the file to end at end. A later run of the same
// part says it anew.
func (f *fileState) metEnd(off, end int64, early bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !early {
		delete(f.ends, off)
		return
	}
	if f.ends == nil {
		f.ends = map[int64]int64{}
	}
	f.ends[off] = end
}

// finalSize is what has been read of the file.
func (f *fileState) finalSize() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	size := f.size
	for _, end := range f.ends {
		size = min(size, end)
	}
	return size
}
