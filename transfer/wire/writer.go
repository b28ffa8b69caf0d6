package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// tagBase is what the high byte of a frame header has above the tag (rsync-wire.md §5.1).
const tagBase = 7

// A Writer is the outgoing side of one connection. Items of the stream are gathered in a buffer of the pool until Flush, or
// until it is full; then one Write carries them all, after [Writer.StartMux] as several frames. They are for one goroutine at
// a time. [Writer.Message], [Writer.KeepAlive], [Writer.Err], [Writer.Idle] and [Writer.Count] may be called by any goroutine at any time before Release.
//
// A failure is final: everything later is dropped, and Flush, Message and Err return it.
type Writer struct {
	dst io.Writer

	// The stream, owned by the goroutine that writes it.
	buf   []byte
	n     int  // buf[:n] is filled
	limit int  // to where buf may be filled without opening another frame
	open  int  // where the header of the open frame is; -1: none is open
	mux   bool // frames are being written
	ndx   ndxState

	mu    sync.Mutex // held while whole frames go to dst
	proto int        // 0 until StartMux
	msg   [headerLen + MaxMessage]byte

	start time.Time
	last  atomic.Int64 // nanoseconds from start to the last successful write
	count atomic.Int64
	err   atomic.Pointer[error]
}

// NewWriter returns a Writer with a buffer of the pool. Give it back with Release when no goroutine writes any more.
func NewWriter(w io.Writer) *Writer {
	buf := getBuffer()
	return &Writer{dst: w, buf: buf, limit: len(buf), open: -1, ndx: newNDX(), start: time.Now()}
}

// Release gives the buffer back to the pool. What was not flushed is lost.
func (w *Writer) Release() {
	w.setErr(errReleased)
	putBuffer(w.buf)
	w.buf, w.n, w.limit = nil, 0, 0
}

// StartMux flushes what belongs to the handshake; all that follows is in frames (rsync-wire.md §4.5, §5). The protocol
// version decides how a keep-alive looks and which messages the peer understands.
func (w *Writer) StartMux(proto int) {
	w.Flush()
	w.mux, w.limit = true, 0
	w.mu.Lock()
	w.proto = proto
	w.mu.Unlock()
}

// Reserve returns n bytes inside the buffer, at most MaxReserve, in one piece and in one frame, for the caller to fill and
// then to Commit, with no other call between. So a file is read straight into what is written to the connection.
func (w *Writer) Reserve(n int) []byte {
	if n > w.limit-w.n || n > MaxReserve {
		w.room(n)
	}
	return w.buf[w.n : w.n+n : w.n+n]
}

// Commit makes the first n bytes of the last Reserve part of the stream.
func (w *Writer) Commit(n int) {
	if n < 0 || n > w.limit-w.n {
		panic("wire: Commit of more than was reserved")
	}
	w.n += n
}

// room opens a frame that n bytes fit into, writing the buffer out when its end is near.
func (w *Writer) room(n int) {
	if n > MaxReserve {
		panic("wire: Reserve of more than MaxReserve")
	}
	if w.buf == nil {
		panic(errReleased)
	}
	w.seal()
	if headerLen+n > len(w.buf)-w.n {
		w.send()
	}
	if !w.mux {
		w.limit = len(w.buf)
		return
	}
	w.open = w.n
	w.n += headerLen
	w.limit = min(len(w.buf), w.n+MaxFrame)
}

// seal closes the open frame: only now is its length known. One that stayed empty is taken back, as it would be a keep-alive.
func (w *Writer) seal() {
	if w.open < 0 {
		return
	}
	if n := w.n - w.open - headerLen; n == 0 {
		w.n = w.open
	} else {
		putHeader(w.buf[w.open:], TagData, n)
	}
	w.open, w.limit = -1, 0
}

// send writes the sealed buffer to the connection.
func (w *Writer) send() {
	if w.n == 0 {
		return
	}
	w.mu.Lock()
	w.write(w.buf[:w.n])
	w.mu.Unlock()
	w.n = 0
}

// Flush writes everything buffered to the connection.
func (w *Writer) Flush() error {
	w.seal()
	w.send()
	return w.Err()
}

// Message writes a message frame at once. It neither waits for nor flushes what is in the stream buffer, so it may overtake
// it. Texts of more than MaxText bytes are cut. A message the peer's protocol version does not know is refused with an
// error that is not final.
func (w *Writer) Message(t Tag, p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.proto == 0 {
		return fmt.Errorf("message %v before multiplexing has started", t)
	}
	if t == TagData {
		return errors.New("stream data is no message")
	}
	if t.Text() && len(p) > MaxText {
		p = append(append(w.msg[headerLen:headerLen], p[:MaxText-1]...), '\n')
	}
	if err := checkPayload(w.proto, t, len(p)); err != nil {
		return fmt.Errorf("message not sent: %w", err)
	}
	putHeader(w.msg[:], t, len(p))
	copy(w.msg[headerLen:], p)
	return w.write(w.msg[:headerLen+len(p)])
}

// MessageInt is Message for the tags that carry a number.
func (w *Writer) MessageInt(t Tag, v int32) error {
	var p [4]byte
	binary.LittleEndian.PutUint32(p[:], uint32(v))
	return w.Message(t, p[:])
}

// KeepAlive tells the peer that we are alive (rsync-wire.md §16.5): an empty data frame, or NOOP in protocol 30. It does
// nothing before multiplexing has started, and nothing while another write is on its way, for that is a sign of life too and
// a watchdog must not queue behind it.
func (w *Writer) KeepAlive() error {
	if !w.mu.TryLock() {
		return w.Err()
	}
	defer w.mu.Unlock()
	if w.proto == 0 {
		return w.Err()
	}
	t := TagData
	if w.proto < 31 {
		t = Noop
	}
	putHeader(w.msg[:], t, 0)
	return w.write(w.msg[:headerLen])
}

// write gives p to the connection. The caller holds mu.
func (w *Writer) write(p []byte) error {
	if err := w.Err(); err != nil {
		return err
	}
	n, err := w.dst.Write(p)
	w.count.Add(int64(n))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if err != nil {
		w.setErr(err)
		return w.Err()
	}
	w.last.Store(int64(time.Since(w.start)))
	return nil
}

// Err is the failure that ended the writing, nil as long as there is none.
func (w *Writer) Err() error {
	if p := w.err.Load(); p != nil {
		return *p
	}
	return nil
}

func (w *Writer) setErr(err error) { w.err.CompareAndSwap(nil, &err) }

// Idle is the time since the last successful write to the connection, or since NewWriter before the first.
func (w *Writer) Idle() time.Duration {
	return time.Since(w.start) - time.Duration(w.last.Load())
}

// Count is the number of bytes written to the connection.
func (w *Writer) Count() int64 { return w.count.Load() }

func putHeader(b []byte, t Tag, n int) {
	binary.LittleEndian.PutUint32(b, uint32(n)|(uint32(t)+tagBase)<<24)
}
