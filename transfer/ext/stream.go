package ext

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A stream is one connection of the donor. A worker fills batches, one goroutine writes
// them (and encrypts), another reads the answers. Where there are as many streams as processors
// the worker writes itself: what it has just read and hashed is still in its cache, which
// saves a tenth of the donor's processor time.
type stream struct {
	conn    net.Conn
	timeout time.Duration
	window  int
	memory  *Memory

	out  chan *outBatch // nil: the worker writes itself
	dead chan struct{}
	ends sync.WaitGroup // of the two goroutines

	mu      sync.Mutex
	changed sync.Cond // acked, ready or dead
	err     error     // why it is dead
	wake    func()    // called after it died
	queue   *queue    // whose jobs these are
	unacked []*sent   // oldest first
	pending int       // bytes of these
	acked   uint64    // batches
	sentN   uint64
	jobs    map[uint32]*job // by handle, until acknowledged
	spare   []*sent
}

// A sent is what has to be known of a batch until it is acknowledged.
type sent struct {
	bytes  int
	ranges []sentRange
	ends   []*job // that end in it
}

// A sentRange is blocks of which Memory says already that the joiner has them.
type sentRange struct {
	f        *memFile
	first, n int64
}

// An outBatch is being filled up to n. It begins where it does so that the content of a DATA
// that comes first lies at the begin of a page, as of all but the first DATA of a big file. Reading 64 MiB
// from tmpfs there took 12.5 ms of processor time at best, elsewhere 16 to 17; the medians of 15 did
// not differ on a busy machine. So it is worth these constants, and no more.
type outBatch struct {
	buf [outStart + headSize + batchSize]byte
	n   int
}

const (
	align    = 4096
	outStart = align - headSize - dataHead
)

// begin makes the batch empty, and says where its first frame goes.
func (b *outBatch) begin() int {
	b.n = outStart + headSize
	return b.n
}

func (b *outBatch) empty() bool { return b.n == outStart+headSize }

// finish writes the header.
func (b *outBatch) finish(flags byte) {
	putBatchHead(b.buf[outStart:], b.n-outStart-headSize, flags)
}

func (b *outBatch) bytes() []byte { return b.buf[outStart:b.n] }

var outBatches = sync.Pool{New: func() any { return new(outBatch) }}

var errSilent = errors.New("the joiner acknowledged nothing in time")

func newStream(conn net.Conn, timeout time.Duration, window int, direct bool, m *Memory) *stream {
	st := &stream{conn: conn, timeout: timeout, window: window, memory: m, dead: make(chan struct{}), jobs: map[uint32]*job{}}
	st.changed.L = &st.mu
	if !direct {
		st.out = make(chan *outBatch, 2)
		st.ends.Go(st.write)
	}
	st.ends.Go(st.listen)
	return st
}

// fail ends the stream; the first cause stays.
func (st *stream) fail(err error) {
	st.mu.Lock()
	if st.err != nil {
		st.mu.Unlock()
		return
	}
	st.err = err
	close(st.dead)
	st.changed.Broadcast()
	wake := st.wake
	st.mu.Unlock()
	st.conn.SetDeadline(time.Unix(1, 0))
	if wake != nil {
		wake()
	}
}

func (st *stream) isDead() bool {
	select {
	case <-st.dead:
		return true
	default:
		return false
	}
}

// close ends the stream and waits for its goroutines.
func (st *stream) close(cause error) error {
	st.fail(cause)
	st.ends.Wait()
	return st.conn.Close()
}

// bind makes the stream serve a Send.
func (st *stream) bind(q *queue) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queue, st.wake = q, q.wakeAll
}

func (st *stream) write() {
	for {
		select {
		case <-st.dead:
			return
		case b := <-st.out:
			if st.writeOne(b) != nil {
				return
			}
		}
	}
}

func (st *stream) writeOne(b *outBatch) error {
	_, err := st.conn.Write(b.bytes())
	outBatches.Put(b)
	if err != nil {
		st.fail(err)
	}
	return err
}

// send hands a batch on, when the window has room. It owns b and s from here on; after an
// error s is among the unacknowledged.
func (st *stream) send(b *outBatch, s *sent) error {
	st.mu.Lock()
	for st.pending > st.window && st.err == nil {
		st.changed.Wait()
	}
	if len(st.unacked) == 0 {
		st.await()
	}
	s.bytes = len(b.bytes())
	st.unacked = append(st.unacked, s)
	st.pending += s.bytes
	st.sentN++
	st.mu.Unlock()
	if st.out == nil {
		return st.writeOne(b)
	}
	select {
	case st.out <- b:
		return nil
	case <-st.dead:
		return st.err
	}
}

// await gives the joiner its time from now on, if it has anything to acknowledge. The caller holds
// the lock.
func (st *stream) await() {
	if st.err == nil {
		st.conn.SetReadDeadline(time.Now().Add(st.timeout))
	}
}

// waitFor waits until ready says so, which is called with the lock held.
func (st *stream) waitFor(ready func() bool) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.err == nil && !ready() {
		st.changed.Wait()
	}
	return st.err
}

// idle says that everything is acknowledged.
func (st *stream) idle() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.unacked) == 0
}

// register makes a job known to the answers.
func (st *stream) register(j *job) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.jobs[j.handle] = j
}

// answered says that the joiner has told what it has of j's range.
func (st *stream) answered(j *job) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return j.ready
}

// record gives an empty one.
func (st *stream) record() *sent {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n := len(st.spare); n > 0 {
		s := st.spare[n-1]
		st.spare = st.spare[:n-1]
		return s
	}
	return &sent{}
}

// listen reads the joiner's answers.
func (st *stream) listen() {
	buf := make([]byte, headSize+answerLimit[frameBlocks])
	for {
		f, err := st.read(buf)
		if err == nil {
			err = st.take(f)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%w (%v)", errSilent, st.timeout)
		}
		if err != nil {
			st.fail(err)
			return
		}
	}
}

func (st *stream) read(buf []byte) (frame, error) {
	head := buf[:headSize]
	if _, err := io.ReadFull(st.conn, head); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[0], flags: head[1]}
	n := le.Uint32(head[4:])
	if most, known := answerLimit[f.kind]; !known || uint64(n) > uint64(most) || head[2]|head[3] != 0 {
		return frame{}, malformed("an answer of type %d with %d bytes", f.kind, n)
	}
	f.body = buf[headSize : headSize+int(n)]
	if _, err := io.ReadFull(st.conn, f.body); err != nil {
		return frame{}, err
	}
	return f, nil
}

// take does what an answer says.
func (st *stream) take(f frame) error {
	switch f.kind {
	case frameAck:
		if err := f.want(8, 8, 0); err != nil {
			return err
		}
		return st.acknowledged(le.Uint64(f.body))
	case frameBlocks:
		return st.known(f)
	case frameMismatch:
		if err := f.want(4, 4, 0); err != nil {
			return err
		}
		return st.about(le.Uint32(f.body), func(j *job) { j.mismatch = true })
	case frameRefused:
		if err := f.want(4, 4+maxReason, 0); err != nil {
			return err
		}
		reason := plain(f.body[4:])
		return st.about(le.Uint32(f.body), func(j *job) { j.file.fail(&RefusedError{j.file.f.Name, reason}) })
	case frameFail:
		return &GaveUpError{plain(f.body)}
	}
	return malformed("an answer of type %d", f.kind)
}

// about calls do with the job that has a handle.
func (st *stream) about(handle uint32, do func(*job)) error {
	st.mu.Lock()
	j := st.jobs[handle]
	st.mu.Unlock()
	if j == nil {
		return malformed("an answer about handle %d, which is of no file on its way", handle)
	}
	do(j)
	return nil
}

// acknowledged takes note of the first n batches of the stream being done.
func (st *stream) acknowledged(n uint64) error {
	st.mu.Lock()
	if n <= st.acked || n > st.sentN {
		st.mu.Unlock()
		return malformed("%d batches acknowledged, of %d", n, st.sentN)
	}
	var done []*job
	count := int(n - st.acked)
	for _, s := range st.unacked[:count] {
		st.pending -= s.bytes
		for _, j := range s.ends {
			delete(st.jobs, j.handle)
			done = append(done, j)
		}
		clear(s.ends)
		s.ranges, s.ends = s.ranges[:0], s.ends[:0]
		st.spare = append(st.spare, s)
	}
	left := copy(st.unacked, st.unacked[count:])
	clear(st.unacked[left:])
	st.unacked, st.acked = st.unacked[:left], n
	if left > 0 {
		st.await()
	} else if st.err == nil {
		st.conn.SetReadDeadline(time.Time{})
	}
	st.changed.Broadcast()
	q := st.queue
	st.mu.Unlock()
	q.done(done)
	return nil
}

// known takes digests of what the joiner has.
func (st *stream) known(f frame) error {
	if err := f.want(8, 8+maxSums*16, flagLast); err != nil {
		return err
	}
	handle, first, sums := le.Uint32(f.body), int64(le.Uint32(f.body[4:])), f.body[8:]
	n := int64(len(sums) / 16)
	st.mu.Lock()
	j := st.jobs[handle]
	if j != nil && (!j.asked || j.ready) {
		j = nil
	}
	st.mu.Unlock()
	if j == nil || len(sums)%16 != 0 || first < j.off/blockSize || first+n > blocksIn(j.end) {
		return malformed("%d digests from block %d on that were not asked for", n, first)
	}
	digests := make([]digest, n)
	copy(bytesOf(digests), sums)
	st.memory.set(j.file.mem, first, digests)
	if f.flags&flagLast != 0 {
		st.mu.Lock()
		j.ready = true
		st.changed.Broadcast()
		st.mu.Unlock()
	}
	return nil
}

// left ends a dead stream's books: the jobs that are not acknowledged, while Memory
// forgets what was on its way.
func (st *stream) left() []*job {
	st.mu.Lock()
	defer st.mu.Unlock()
	var jobs []*job
	for _, s := range st.unacked {
		s.forget(st.memory)
		jobs = append(jobs, s.ends...)
	}
	st.unacked = nil
	return jobs
}

func (s *sent) forget(m *Memory) {
	for _, r := range s.ranges {
		m.forget(r.f, r.first, int(r.n))
	}
}
