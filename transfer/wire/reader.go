package wire

import (
	"encoding/binary"
	"io"
	"math"
)

// endless is the length of the one frame that everything is in before multiplexing starts.
const endless = math.MaxInt

// maxEmptyReads bounds a connection that keeps returning neither bytes nor an error.
const maxEmptyReads = 100

// A Reader is the incoming side of one connection. It starts un-multiplexed; after [Reader.StartMux] the items are taken
// from the data frames, wherever their boundaries fall, and every other frame goes to the handler when it is met.
//
// The end of input before the first byte of an item is io.EOF, inside an item or a frame io.ErrUnexpectedEOF. Errors are
// final: every later call returns the same one. A Reader is for one goroutine at a time.
type Reader struct {
	src     io.Reader
	buf     []byte
	r, w    int   // buf[r:w] was read from src and not yet used
	left    int   // bytes of the stream until the current data frame ends
	err     error // final
	pending error // came from src together with bytes
	count   int64
	mux     bool
	proto   int
	handle  func(Message) error
	ndx     ndxState
	tmp     [9]byte // an item that straddles frames or reads
}

// NewReader returns a Reader with a buffer of the pool. Give it back with Release when no goroutine reads any more.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: r, buf: getBuffer(), left: endless, ndx: newNDX()}
}

// Release gives the buffer back to the pool. Slices that Next returned must no longer be used.
func (r *Reader) Release() {
	putBuffer(r.buf)
	r.buf = nil
	r.fail(errReleased)
}

// StartMux: what follows is frames (rsync-wire.md §4.5, §5). h gets every frame that is not data, in the order of arrival
// and from within the call that needs the bytes behind it; it must not use the Reader. An error of h ends the reading.
// A nil h drops messages.
func (r *Reader) StartMux(proto int, h func(Message) error) {
	r.mux, r.proto, r.handle = true, proto, h
	r.left = 0
}

// Count is the number of bytes read from the connection, those still in the buffer included.
func (r *Reader) Count() int64 { return r.count }

// Next returns between 1 and max bytes of the stream without copying them: what is in the buffer and in one frame. The slice
// is valid until the next call of any method. This is how literals are read.
func (r *Reader) Next(max int) ([]byte, error) {
	if max <= 0 {
		panic("wire: Next of nothing")
	}
	if r.left == 0 || r.r == r.w {
		if err := r.more(); err != nil {
			return nil, err
		}
	}
	n := min(max, r.left, r.w-r.r)
	p := r.buf[r.r : r.r+n : r.r+n]
	r.r += n
	r.left -= n
	return p, nil
}

// Full reads exactly len(p) bytes of the stream.
func (r *Reader) Full(p []byte) error {
	for done := 0; done < len(p); {
		b, err := r.Next(len(p) - done)
		if err != nil {
			if done > 0 {
				err = r.fail(inside(err))
			}
			return err
		}
		done += copy(p[done:], b)
	}
	return nil
}

// more makes at least one byte of the stream available.
func (r *Reader) more() error {
	if r.err != nil {
		return r.err
	}
	for r.left == 0 {
		if err := r.frame(); err != nil {
			return r.fail(err)
		}
	}
	if r.r == r.w {
		if err := r.need(1); err != nil {
			if r.mux {
				err = inside(err) // the frame promised more
			}
			return r.fail(err)
		}
	}
	return nil
}

// frame reads one frame: the header of a data frame, which leaves its payload for the callers, or a whole message.
func (r *Reader) frame() error {
	if !r.mux {
		r.left = endless
		return nil
	}
	if err := r.need(headerLen); err != nil {
		return err
	}
	h := binary.LittleEndian.Uint32(r.buf[r.r:])
	n := int(h & 0xffffff)
	high := byte(h >> 24)
	if high < tagBase {
		return Errorf("5.1", "frame header % x: its high byte is below %d", r.buf[r.r:r.r+headerLen], tagBase)
	}
	tag := Tag(high - tagBase)
	if tag == TagData {
		r.r += headerLen
		r.left = n
		return nil
	}
	if err := checkPayload(r.proto, tag, n); err != nil {
		return err
	}
	if err := r.need(headerLen + n); err != nil {
		return inside(err)
	}
	m := Message{Tag: tag, Data: r.buf[r.r+headerLen : r.r+headerLen+n : r.r+headerLen+n]}
	r.r += headerLen + n
	if r.handle == nil {
		return nil
	}
	return r.handle(m)
}

// need reads until n bytes, at most a message with its header, are in the buffer.
func (r *Reader) need(n int) error {
	for empty := 0; r.w-r.r < n; {
		if r.pending != nil {
			if r.w > r.r {
				return inside(r.pending)
			}
			return r.pending
		}
		// Fewer than n bytes are left: moving them costs little and makes room for a large read.
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
		k, err := r.src.Read(r.buf[r.w:])
		r.w += k
		r.count += int64(k)
		r.pending = err
		if k > 0 {
			empty = 0
		} else if empty++; empty == maxEmptyReads && err == nil {
			return io.ErrNoProgress
		}
	}
	return nil
}

// fail makes err final. The cursors are set so that no fast path finds anything.
func (r *Reader) fail(err error) error {
	r.err = err
	r.r, r.w, r.left = 0, 0, 0
	return err
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
