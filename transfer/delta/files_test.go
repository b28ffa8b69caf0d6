package delta

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

var errDisk = errors.New("input/output error")

// brokenFile can be read up to good and then fails.
type brokenFile struct {
	data []byte
	good int
	err  error
}

func (f brokenFile) ReadAt(p []byte, off int64) (int, error) {
	n, _ := bytes.NewReader(f.data[:f.good]).ReadAt(p, off)
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

// slowFile returns at most a few bytes at a time, together with io.EOF at the end: all that io.ReaderAt allows and a
// little that it does not.
type slowFile struct{ data []byte }

func (f slowFile) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.data[off:min(off+1000, int64(len(f.data)))])
	if off+int64(n) == int64(len(f.data)) {
		return n, io.EOF
	}
	return n, nil
}

// inPlace is a Sink that applies a reply to the old file itself, as rsync --inplace does, and finds out whether the
// in-place rule was broken: a byte that was written is poisoned, and no block may be copied from it, whatever it contains.
type inPlace struct {
	head     SumHead
	file     []byte
	poisoned []byte // 1 for each byte that was
	out      int64
	blocks   []int32 // that were copied
	outs     []int64 // where to
	literals []int   // lengths
	broken   bool
}

func newInPlace(old []byte, h SumHead) *inPlace {
	return &inPlace{head: h, file: bytes.Clone(old), poisoned: make([]byte, len(old))}
}

func (s *inPlace) Literal(p []byte) error {
	s.literals = append(s.literals, len(p))
	s.write(p)
	return nil
}

func (s *inPlace) Copy(block int32) ([]byte, error) {
	off, n := s.head.Block(block)
	s.blocks, s.outs = append(s.blocks, block), append(s.outs, s.out)
	p := bytes.Clone(s.file[off : off+int64(n)])
	s.broken = s.broken || bytes.IndexByte(s.poisoned[off:off+int64(n)], 1) >= 0
	if off == s.out {
		s.out += int64(n) // at its own place nothing is written
	} else {
		s.write(p)
	}
	return p, nil
}

func (s *inPlace) write(p []byte) {
	if more := int(s.out) + len(p) - len(s.file); more > 0 {
		s.file = append(s.file, make([]byte, more)...)
		s.poisoned = append(s.poisoned, make([]byte, more)...)
	}
	copy(s.file[s.out:], p)
	copy(s.poisoned[s.out:], bytes.Repeat([]byte{1}, len(p)))
	s.out += int64(len(p))
}

// result is the new file.
func (s *inPlace) result() []byte { return s.file[:s.out] }

// receive gives a reply to a sink and checks that nothing is left of it.
func receive(t testing.TB, reply []byte, h SumHead, a *Algorithm, sink Sink) (int64, bool, error) {
	t.Helper()
	r := wire.NewReader(bytes.NewReader(reply))
	defer r.Release()
	n, ok, err := Receive(r, h, a, sink)
	if err == nil {
		if rest, err := r.Byte(); err != io.EOF {
			t.Errorf("behind the reply there is %#x, %v", rest, err)
		}
	}
	return n, ok, err
}
