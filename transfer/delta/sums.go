package delta

import (
	"context"
	"encoding/binary"
	"io"
	"sync"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Sums describe the blocks of a basis (rsync-wire.md §10.5): the weak sum of every block, and the first Head.S2Len bytes
// of its strong sum, one after the other in Strong. Both are empty where [ReadSums] had to drop them.
type Sums struct {
	Head   SumHead
	Weak   []uint32
	Strong []byte
}

// Usable reports whether there is anything to match against.
func (s *Sums) Usable() bool {
	return s != nil && s.Head.Count > 0 && s.Head.S2Len > 0 &&
		len(s.Weak) == int(s.Head.Count) && len(s.Strong) == int(s.Head.Count)*int(s.Head.S2Len)
}

// strong returns what was sent of the strong sum of block i.
func (s *Sums) strong(i int32) []byte {
	n := int(s.Head.S2Len)
	return s.Strong[int(i)*n:][:n:n]
}

// Memory returns how many bytes the sums of this head and their search table take in a sender.
func (h SumHead) Memory() int64 {
	return int64(h.Count) * (4 + int64(h.S2Len) + indexPerBlock)
}

// ReadSums reads the sums announced by h, which has passed [ReadSumHead]. If they and what [FileSender.Match] builds of
// them would take more than maxMem bytes (see [SumHead.Memory]), they are read and dropped, and the file will be sent
// whole: a peer can announce 2³¹ blocks in 16 bytes, and an honest one with a huge file is served nonetheless.
func ReadSums(r *wire.Reader, h SumHead, maxMem int64) (*Sums, error) {
	s := &Sums{Head: h}
	if h.Count <= 0 {
		return s, nil
	}
	keep := h.Memory() <= maxMem
	if keep {
		s.Weak = make([]uint32, 0, h.Count)
		s.Strong = make([]byte, 0, int(h.Count)*int(h.S2Len))
	}
	entry := 4 + int(h.S2Len)
	buf := pieces.Get().(*piece)
	defer pieces.Put(buf)
	for left := int(h.Count); left > 0; {
		n := min(left, sumsAtOnce/entry)
		p := buf[:n*entry]
		if err := r.Full(p); err != nil {
			return nil, noEOF(err)
		}
		left -= n
		for ; keep && len(p) > 0; p = p[entry:] {
			s.Weak = append(s.Weak, binary.LittleEndian.Uint32(p))
			s.Strong = append(s.Strong, p[4:entry]...)
		}
	}
	return s, nil
}

// WriteSums reads the basis f and sends the sums of its blocks as h cuts them (not h itself). It reads ahead of nothing:
// one pass, pieces of 256 KiB.
//
// If f turns out shorter than h says or cannot be read, the blocks concerned get sums that fit nothing, all sums are
// sent, and the result is a [*ReadError]: the sender will then send that part as data. Any other error means that the
// sums are incomplete.
func WriteSums(ctx context.Context, w *wire.Writer, h SumHead, a *Algorithm, f io.ReaderAt) error {
	if h.Count <= 0 {
		return nil
	}
	buf := pieces.Get().(*piece)
	defer pieces.Put(buf)
	digest := buf[len(buf)-MaxDigest:][:0]
	blen, s2len := int(h.BlockLen), int(h.S2Len)
	entry := 4 + s2len
	step := max(1, min(readAtOnce/blen, sumsAtOnce/entry)) * blen // whole blocks
	src := source{f: f, size: h.Size()}
	for src.off < src.size {
		if err := stopped(ctx, w); err != nil {
			return err
		}
		p := buf[:min(int64(step), src.size-src.off)]
		good := src.must(p)
		out := w.Reserve((len(p) + blen - 1) / blen * entry)
		for room := out; len(p) > 0; room = room[entry:] {
			n := min(blen, len(p))
			if n <= good {
				binary.LittleEndian.PutUint32(room, Weak(p[:n]))
				copy(room[4:entry], a.Block(p[:n], digest))
			} else {
				noSum(room[:entry])
			}
			p, good = p[n:], good-n
		}
		w.Commit(len(out))
	}
	if src.err != nil {
		return src.err
	}
	return w.Err()
}

// noSum fills in the sums of a block that could not be read. They are meant to fit nothing; should they do, the digest of
// the file still decides.
func noSum(p []byte) {
	for i := range p {
		p[i] = 0xff
	}
}

// piece is a buffer for file contents. One is in use for each file that is being matched or described.
type piece [1 << 20]byte

const (
	readAtOnce = 256 << 10 // from a file: few system calls, and still in the cache when it is hashed
	sumsAtOnce = 32 << 10  // from or into the wire's buffers
)

// pieces saves the allocation of a megabyte per file.
var pieces = sync.Pool{New: func() any { return new(piece) }}
