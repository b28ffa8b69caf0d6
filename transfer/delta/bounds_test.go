package delta

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// counting is an algorithm that counts the bytes it makes block digests of.
func counting(t testing.TB, hashed *int64) *Algorithm {
	a := *lookup(t, "xxh128", 1, true)
	block := a.block
	a.block = func(dst, p []byte) []byte {
		*hashed += int64(len(p))
		return block(dst, p)
	}
	return &a
}

// A joiner that sends such sums would make a plain search compute a strong sum of a whole block at every byte.
func TestSumsMadeToCollideCostNoMoreThanAFewTimesTheFile(t *testing.T) {
	const size, blen = 32 << 20, MaxBlock
	var hashed int64
	a := counting(t, &hashed)
	sums := &Sums{Head: SumHead{Count: 2000, BlockLen: blen, S2Len: 16}}
	for i := range 2000 {
		sums.Weak = append(sums.Weak, 0) // as zeros have it
		sums.Strong = append(sums.Strong, gen("strong", 16)...)
		binary.BigEndian.PutUint32(sums.Strong[16*i:], uint32(i)) // all of them different
	}
	_, sent, err := matchReply(t, a, sums, bytes.NewReader(make([]byte, size)), size)
	if err != nil || sent.Literal != size {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	if limit := int64(spendFactor*size + spendFirst + 3*size); hashed > limit || hashed < size {
		t.Errorf("%d bytes hashed for a file of %d, at most %d are allowed", hashed, size, limit)
	}
}

func TestNoChainGrowsBeyondItsLimit(t *testing.T) {
	const n = 5000
	sums := &Sums{Head: SumHead{Count: n, BlockLen: 700, S2Len: 4}}
	for i := range uint32(n) {
		sums.Weak = append(sums.Weak, 7)
		sums.Strong = binary.BigEndian.AppendUint32(sums.Strong, i/2) // pairs of equal blocks
	}
	x := newIndex(sums, n)
	var firsts []int32
	for p := x.head(7); *p != none; p = &x.next[*p] {
		firsts = append(firsts, *p)
		if x.same[*p] != *p+1 || x.same[*p+1] != none {
			t.Errorf("the group of block %d goes on with %d", *p, x.same[*p])
		}
	}
	if len(firsts) != maxChain || !slices.IsSorted(firsts) {
		t.Errorf("%d groups in a chain, want %d: %d", len(firsts), maxChain, firsts)
	}
}

func TestEqualBlocksAreOneGroupThatShrinksFromTheFront(t *testing.T) {
	sums := &Sums{Head: SumHead{Count: 6, BlockLen: 700, S2Len: 2}}
	for _, c := range []byte("abaaba") {
		sums.Weak = append(sums.Weak, 7)
		sums.Strong = append(sums.Strong, c, c)
	}
	x := newIndex(sums, 6)
	var got []int32
	for p := x.head(7); *p != none; {
		got = append(got, *p)
		x.drop(p)
	}
	if want := []int32{1, 4, 0, 2, 3, 5}; !slices.Equal(got, want) {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestTheMemoryOfAnIndexIsWhatIsAnnounced(t *testing.T) {
	for _, n := range []int32{1, 2, 3, 1000, 1024, 1025, 65537, 1 << 20} {
		h := SumHead{Count: n, BlockLen: 700, S2Len: 2}
		x := newIndex(&Sums{Head: h, Weak: make([]uint32, n), Strong: make([]byte, 2*n)}, n)
		got := int64(4*(len(x.heads)+len(x.next)+len(x.same)) + 8*len(x.filter) + int(n)/8 + 6*int(n))
		if got > h.Memory()+64 {
			t.Errorf("%d blocks take %d bytes, announced are %d", n, got, h.Memory())
		}
	}
}

// After much that is new, only samples are searched; what follows in shifted form must be found by them all the same, and
// then every shift at once.
func TestASearchInVainGivesWayToSamplesAndComesBack(t *testing.T) {
	const fresh, shifted, cuts = patience + 8<<20, 4 << 20, 20
	a := lookup(t, "xxh128", 1, true)
	old := random(1, fresh+shifted)
	h := Plan(int64(len(old)), a.Size(), true)
	new := random(2, fresh-100)
	for i := range cuts {
		new = append(new, old[fresh+i*shifted/cuts+10:fresh+(i+1)*shifted/cuts]...)
	}
	s := NewFileSender(a)
	body := written(func(w *wire.Writer) {
		if err := s.Match(t.Context(), w, bytes.NewReader(new), int64(len(new)), describe(t, a, old, h)); err != nil {
			t.Fatal(err)
		}
	})
	if most := fresh + (sample+2)*int64(h.BlockLen) + 2*cuts*int64(h.BlockLen); s.Sent().Literal > most {
		t.Errorf("%d bytes sent as data, at most %d are needed", s.Sent().Literal, most)
	}
	if most := int64(patience + (8<<20)/sample + 2*(cuts+1)*int(h.BlockLen)); s.searched > most {
		t.Errorf("%d offsets searched, at most %d are allowed", s.searched, most)
	}
	sink := &fromOld{head: h, old: old}
	if _, ok, err := receive(t, body, h, a, sink); !ok || err != nil || !bytes.Equal(sink.out, new) {
		t.Errorf("received %v, %v", ok, err)
	}
}

// Pages that changed in place, and pages added, are what a database does; a search would find nothing there.
func TestPagesThatChangeInPlaceNeedNoSearch(t *testing.T) {
	const size = 8 << 20
	old := random(1, size)
	for _, c := range []struct {
		name  string
		pages []int // changed
		blen  int32
	}{
		{"nothing changed", nil, 4096},
		{"a few single pages", []int{0, 7, 100, 511}, page},
		{"pages within larger blocks", []int{3, 100}, MaxBlock},
	} {
		new := bytes.Clone(old)
		for _, p := range c.pages {
			copy(new[p*page:], gen("new", page))
		}
		a := lookup(t, "xxh128", 1, true)
		s := NewFileSender(a)
		w := wire.NewWriter(io.Discard)
		sums := describe(t, a, old, SumHead{Count: size / c.blen, BlockLen: c.blen, S2Len: 3})
		err := s.Match(t.Context(), w, bytes.NewReader(new), size, sums)
		w.Release()
		// The last page has none behind it that could be unchanged, and nothing else to be compared with.
		if want := int64(len(c.pages)) * int64(max(page, c.blen)); err != nil || s.Sent().Literal != want || s.searched > int64(c.blen) {
			t.Errorf("%s: %d bytes sent as data, want %d; %d offsets searched; %v", c.name, s.Sent().Literal, want, s.searched, err)
		}
	}
}

func TestSendingAFileAllocatesNothing(t *testing.T) {
	const size = 1 << 20
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, gen("file", size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, algorithm := range Canonical() {
		s := NewFileSender(lookup(t, algorithm, 1, true))
		w := wire.NewWriter(io.Discard)
		if n := testing.AllocsPerRun(5, func() {
			if err := s.Whole(t.Context(), w, f, size); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", algorithm, n)
		}
		w.Release()
	}
}

func TestReceivingAFileAllocatesNothing(t *testing.T) {
	const size = 1 << 20
	a := lookup(t, "xxh128", 1, true)
	data := gen("file", size)
	h := Plan(size, a.Size(), false)
	literals, _, _ := whole(t, a, bytes.NewReader(data), size)
	blocks, _, _ := matchReply(t, a, describe(t, a, data, h), bytes.NewReader(data), size)
	v := NewReceiver(a)
	var sink Sink = discard{h, data}
	for name, body := range map[string][]byte{"literals": literals, "blocks": blocks} {
		endless := &again{body: body}
		r := wire.NewReader(endless)
		if n := testing.AllocsPerRun(5, func() {
			if n, ok, err := v.Receive(r, h, sink); n != size || !ok || err != nil {
				t.Error(n, ok, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		r.Release()
	}
}

// again repeats the same reply for ever.
type again struct {
	body []byte
	off  int
}

func (r *again) Read(p []byte) (int, error) {
	n := copy(p, r.body[r.off:])
	r.off = (r.off + n) % len(r.body)
	return n, nil
}
