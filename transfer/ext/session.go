package ext

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A session is one stream at the joiner. One goroutine reads (and decrypts) batches, one
// takes them apart, hashes and writes; a third answers SUMS, so that reading old files does
// not hold up the new. Where there are as many streams as processors the first does the work of the
// second, too: what it has just decrypted is still in its cache, and nobody has to be woken.
type session struct {
	r      *Receiver
	conn   net.Conn
	slot   int // -1: none yet
	hasher hasher

	in     chan *inBatch
	queued atomic.Int32 // batches on their way to the second goroutine, or with it
	err    error        // why batches are not done any more; of who works
	head   [headSize]byte
	gone   chan struct{} // Serve has returned
	quiet  chan struct{} // nothing is written any more
	killed chan struct{}

	handles map[uint32]*handle
	unzip   unzipper
	digests [maxBlocks]digest
	scratch [64]byte

	done        uint64 // batches
	unsaid      int    // of these, since the last ACK
	unsaidBytes int

	sums     chan sumsRequest // nil until the first
	sumsDone sync.WaitGroup

	mu  sync.Mutex // guards the following
	why error      // of kill

	out sync.Mutex // held while a frame is written
}

// A handle is what a FILE frame gave a number.
type handle struct {
	f       *rfile
	attrs   transfer.Attrs
	refused bool
}

// An inBatch has the content of a DATA that comes first at the begin of a page, as an outBatch.
type inBatch struct {
	buf   [inStart + batchSize]byte
	n     int
	flags byte
}

const inStart = align - dataHead

func (b *inBatch) bytes() []byte { return b.buf[inStart : inStart+b.n] }

var inBatches = sync.Pool{New: func() any { return new(inBatch) }}

const (
	openLimit  = 60 * time.Second // from the hello to OPEN
	writeLimit = 60 * time.Second // for an answer
	lastWords  = 2 * time.Second  // for FAIL to be read
	ackBytes   = 1 << 20
	ackBatches = 16
)

func newSession(r *Receiver, conn net.Conn) *session {
	return &session{r: r, conn: conn, slot: -1, in: make(chan *inBatch, 2), gone: make(chan struct{}), quiet: make(chan struct{}),
		killed: make(chan struct{}), handles: map[uint32]*handle{}}
}

// kill ends the session; the first cause stays.
func (s *session) kill(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why == nil {
		s.why = cause
		close(s.killed)
		s.conn.SetDeadline(time.Unix(1, 0))
	}
}

func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// deadline sets one, unless the session is to end.
func (s *session) deadline(set func(time.Time) error, limit time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.why != nil:
	case limit > 0:
		set(time.Now().Add(limit))
	default:
		set(time.Time{})
	}
}

func (s *session) serve() error {
	var work sync.WaitGroup
	defer close(s.quiet)
	defer work.Wait()
	defer s.unzip.close()
	s.deadline(s.conn.SetReadDeadline, openLimit)
	first, err := s.read()
	if err != nil {
		close(s.in)
		return s.reason(err)
	}
	s.deadline(s.conn.SetReadDeadline, 0)
	s.queued.Store(1)
	work.Go(func() { s.work(first) })
	for {
		var b *inBatch
		if b, err = s.read(); err != nil {
			break
		}
		if s.queued.Load() == 0 && s.r.crowded() {
			s.do(b)
			continue
		}
		s.queued.Add(1)
		s.in <- b
	}
	close(s.in)
	work.Wait()
	s.finish()
	if s.err != nil {
		return s.err
	}
	if err == io.EOF {
		return nil
	}
	return s.reason(err)
}

// reason is why reading or writing failed.
func (s *session) reason(err error) error {
	if cause := s.cause(); cause != nil {
		return cause
	}
	return err
}

// read reads one batch; io.EOF says that the donor has ended the stream.
func (s *session) read() (*inBatch, error) {
	head := s.head[:]
	if _, err := io.ReadFull(s.conn, head); err != nil {
		return nil, err
	}
	n, flags, err := parseBatchHead(head)
	if err != nil {
		return nil, err
	}
	b := inBatches.Get().(*inBatch)
	b.n, b.flags = n, flags
	if _, err := io.ReadFull(s.conn, b.bytes()); err != nil {
		inBatches.Put(b)
		return nil, fmt.Errorf("in the middle of a batch: %w", err)
	}
	return b, nil
}

// work does the batches that are queued.
func (s *session) work(first *inBatch) {
	if s.err = s.begin(first); s.err != nil {
		s.failed(s.err)
	}
	inBatches.Put(first)
	s.queued.Add(-1)
	for b := range s.in {
		s.do(b)
		s.queued.Add(-1)
	}
}

// do does what a batch says. After an error it drops them: the donor has to read why.
func (s *session) do(b *inBatch) {
	if s.err == nil {
		if s.err = s.batch(b.bytes(), b.flags); s.err != nil {
			s.failed(s.err)
		}
	}
	inBatches.Put(b)
}

// finish ends what the batches began.
func (s *session) finish() {
	if s.sums != nil {
		close(s.sums)
		s.sumsDone.Wait()
	}
	for _, h := range s.handles {
		s.r.release(h.f, false)
	}
}

// failed ends the stream because of err. If that ends the whole transfer, the donor gets
// its text, and some time to read it: what it has sent already is taken in meanwhile,
// since a connection closed with unread data takes our words with it.
func (s *session) failed(err error) {
	var fatal *FatalError
	if !errors.As(err, &fatal) {
		s.kill(err)
		return
	}
	s.deadline(s.conn.SetReadDeadline, lastWords)
	text := []byte(fatal.Error())
	text = text[:min(len(text), maxReason)]
	s.say(lastWords, append(appendHead(nil, frameFail, 0, len(text)), text...))
}

// say writes frames to the donor.
func (s *session) say(limit time.Duration, frames []byte) error {
	s.out.Lock()
	defer s.out.Unlock()
	s.deadline(s.conn.SetWriteDeadline, limit)
	_, err := s.conn.Write(frames)
	return err
}

// begin takes the batch that opens the stream.
func (s *session) begin(b *inBatch) error {
	f, rest, err := nextFrame(b.bytes())
	if err != nil {
		return err
	}
	o, err := parseOpen(f)
	if err != nil {
		return err
	}
	if err := s.r.enter(o, s); err != nil {
		return err
	}
	return s.batch(rest, b.flags)
}

// batch does what one batch says and acknowledges now and then.
func (s *session) batch(b []byte, flags byte) error {
	s.unsaidBytes += len(b)
	for len(b) > 0 {
		var f frame
		var err error
		if f, b, err = nextFrame(b); err != nil {
			return err
		}
		if err := s.frame(f); err != nil {
			return err
		}
	}
	s.done++
	s.unsaid++
	if flags&flagAckNow == 0 && s.unsaid < ackBatches && s.unsaidBytes < ackBytes {
		return nil
	}
	s.unsaid, s.unsaidBytes = 0, 0
	return s.say(writeLimit, le.AppendUint64(appendHead(s.scratch[:0], frameAck, 0, 8), s.done))
}

func (s *session) frame(f frame) error {
	switch f.kind {
	case frameFile:
		return s.file(f)
	case frameData:
		return s.data(f)
	case frameZero:
		return s.zero(f)
	case frameSums:
		return s.askSums(f)
	case frameCommit:
		return s.commit(f)
	case frameRelease:
		return s.letGo(f)
	case frameFail:
		return &FatalError{Err: fmt.Errorf("the donor gave up: %s", plain(f.body))}
	}
	return malformed("a frame of type %d", f.kind)
}
