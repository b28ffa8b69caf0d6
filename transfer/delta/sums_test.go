package delta

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

const plenty = 1 << 30

// describe returns the sums of a basis as they arrive at a sender.
func describe(t testing.TB, a *Algorithm, old []byte, h SumHead) *Sums {
	t.Helper()
	sums, err := readSums(writeSums(t, a, bytes.NewReader(old), h, nil), h, plenty)
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// writeSums returns the stream of WriteSums, which must end with an error as want.
func writeSums(t testing.TB, a *Algorithm, f io.ReaderAt, h SumHead, want error) []byte {
	t.Helper()
	return written(func(w *wire.Writer) {
		if err := WriteSums(t.Context(), w, h, a, f); !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	})
}

func readSums(stream []byte, h SumHead, maxMem int64) (*Sums, error) {
	r := wire.NewReader(bytes.NewReader(stream))
	defer r.Release()
	return ReadSums(r, h, maxMem)
}

func TestSumsDescribeEveryBlock(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := lookup(t, rapid.SampledFrom(Canonical()).Draw(rt, "algorithm"), rapid.Int32().Draw(rt, "seed"), rapid.Bool().Draw(rt, "seed first"))
		h := drawHead(rt, a, rapid.IntRange(0, 20_000).Draw(rt, "size"))
		old := gen("basis", int(h.Size()))
		sums := describe(t, a, old, h)
		if sums.Head != h || len(sums.Weak) != int(h.Count) || len(sums.Strong) != int(h.Count)*int(h.S2Len) {
			rt.Fatalf("%+v: got %d weak sums and %d bytes of strong ones", h, len(sums.Weak), len(sums.Strong))
		}
		for i := range h.Count {
			off, n := h.Block(i)
			block := old[off : off+int64(n)]
			if sums.Weak[i] != plainWeak(block) || !bytes.HasPrefix(a.Block(block, nil), sums.strong(i)) {
				rt.Fatalf("%+v: wrong sums of block %d", h, i)
			}
		}
	})
}

// drawHead draws a plan for about size bytes, with blocks much smaller than real ones too.
func drawHead(t *rapid.T, a *Algorithm, size int) SumHead {
	blen := rapid.SampledFrom([]int{1, 2, 7, 16, 64, 700, 4096, MaxBlock}).Draw(t, "block length")
	if blen < 64 {
		size = min(size, blen*200)
	}
	rem := size % blen
	h := SumHead{
		Count: int32(size / blen), BlockLen: int32(blen), Remainder: int32(rem),
		S2Len: int32(rapid.SampledFrom([]int{2, 4, 8, 16}).Draw(t, "s2length")),
	}
	h.S2Len = min(h.S2Len, int32(a.Size()))
	if rem != 0 {
		h.Count++
	}
	return h
}

func TestALargeBasisIsReadInPieces(t *testing.T) {
	a := lookup(t, "xxh128", 7, true)
	old := gen("large", 3<<20+12345)
	for _, blen := range []int32{700, 4096, 73264, MaxBlock} {
		size := int32(len(old))
		h := SumHead{Count: (size + blen - 1) / blen, BlockLen: blen, S2Len: 3, Remainder: size % blen}
		sums := describe(t, a, old, h)
		for i := range h.Count {
			off, n := h.Block(i)
			if block := old[off : off+int64(n)]; sums.Weak[i] != Weak(block) || !bytes.HasPrefix(a.Block(block, nil), sums.strong(i)) {
				t.Fatalf("blocks of %d: wrong sums of block %d", blen, i)
			}
		}
	}
}

func TestABasisThatCannotBeReadGetsSumsThatFitNothing(t *testing.T) {
	a := lookup(t, "xxh128", 7, true)
	old := gen("basis", 2_000_000)
	h := Plan(2_000_000, 16, false)
	good := describe(t, a, old, h)
	zeros := describe(t, a, make([]byte, 2_000_000), h)
	for _, c := range []struct {
		name string
		f    io.ReaderAt
		from int64
		want error
	}{
		{"a basis that has shrunk", bytes.NewReader(old[:1_500_000]), 1_500_000, io.ErrUnexpectedEOF},
		{"a basis that is gone", bytes.NewReader(nil), 0, io.ErrUnexpectedEOF},
		{"a broken disk", brokenFile{old, 700_001, errDisk}, 700_001, errDisk},
		{"a reader that returns nothing and no error", brokenFile{old, 5, nil}, 5, io.ErrNoProgress},
	} {
		sums, err := readSums(writeSums(t, a, c.f, h, c.want), h, plenty)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for i := range h.Count {
			off, n := h.Block(i)
			readable := off+int64(n) <= c.from
			if same := sums.Weak[i] == good.Weak[i] && bytes.Equal(sums.strong(i), good.strong(i)); same != readable {
				t.Errorf("%s: block %d is described: %v", c.name, i, same)
			}
			if !readable && sums.Weak[i] == zeros.Weak[i] {
				t.Errorf("%s: block %d is described as zeros", c.name, i)
			}
		}
	}
}

func TestSumsBeyondTheMemoryAreDroppedAndTheStreamStaysInStep(t *testing.T) {
	a := lookup(t, "md5", 7, false)
	old := gen("basis", 70_000)
	h := Plan(70_000, 16, true)
	stream := append(writeSums(t, a, bytes.NewReader(old), h, nil), "next"...)
	for _, c := range []struct {
		maxMem int64
		usable bool
	}{{h.Memory() - 1, false}, {h.Memory(), true}, {0, false}} {
		r := wire.NewReader(bytes.NewReader(stream))
		sums, err := ReadSums(r, h, c.maxMem)
		var next [4]byte
		if err != nil || sums.Head != h || sums.Usable() != c.usable || r.Full(next[:]) != nil || string(next[:]) != "next" {
			t.Errorf("%d bytes: got %+v, %v, followed by %q", c.maxMem, sums.Head, err, next)
		}
		r.Release()
		if _, err := receiveMatch(t, a, sums, old, old); err != nil {
			t.Errorf("%d bytes: %v", c.maxMem, err)
		}
	}
}

func TestSumsThatEndEarlyAreAnError(t *testing.T) {
	a := lookup(t, "md5", 7, false)
	h := Plan(70_000, 16, false)
	stream := writeSums(t, a, bytes.NewReader(gen("basis", 70_000)), h, nil)
	for _, n := range []int{0, 1, 5, 6, len(stream) - 1} {
		if _, err := readSums(stream[:n], h, plenty); err != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: got error %v", n, len(stream), err)
		}
	}
}

func TestDescribingABasisAllocatesNothingPerBlock(t *testing.T) {
	a := lookup(t, "xxh128", 7, true)
	old := gen("basis", 1<<20)
	h := SumHead{Count: 1 << 20 / 1024, BlockLen: 1024, S2Len: 2}
	w := wire.NewWriter(io.Discard)
	defer w.Release()
	f := bytes.NewReader(old)
	if n := testing.AllocsPerRun(10, func() { WriteSums(t.Context(), w, h, a, f) }); n > 3 {
		t.Errorf("%v allocations for %d blocks", n, h.Count)
	}
}

func FuzzReadSums(f *testing.F) {
	a := lookup(f, "xxh128", 0, true)
	f.Add(written(func(w *wire.Writer) {
		h := Plan(5000, 16, false)
		h.Write(w)
		WriteSums(f.Context(), w, h, a, bytes.NewReader(gen("basis", 5000)))
	}))
	f.Add(written(SumHead{1<<31 - 1, MaxBlock, 16, 5}.Write))
	f.Fuzz(func(t *testing.T, stream []byte) {
		const maxMem = 1 << 20
		r := wire.NewReader(bytes.NewReader(stream))
		defer r.Release()
		h, err := ReadSumHead(r, a.Size())
		if err != nil {
			return
		}
		sums, err := ReadSums(r, h, maxMem)
		if err != nil {
			return
		}
		if got := int64(4*cap(sums.Weak) + cap(sums.Strong)); got > maxMem {
			t.Errorf("%+v took %d bytes", h, got)
		}
		// Whatever the sums are, matching is bounded by them and the digest is that of the new file.
		data := append(gen("basis", 5000), make([]byte, 5000)...)
		reply := written(func(w *wire.Writer) {
			if err := NewFileSender(a).Match(t.Context(), w, bytes.NewReader(data), int64(len(data)), sums); err != nil {
				t.Fatal(err)
			}
		})
		n, _, err := receive(t, reply, h, a, nil)
		if n != int64(len(data)) || err != nil {
			t.Errorf("%+v: a reply of %d bytes makes %d of %d, %v", h, len(reply), n, len(data), err)
		}
	})
}
