package delta

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// matchReply returns the reply of Match.
func matchReply(t testing.TB, a *Algorithm, sums *Sums, f io.ReaderAt, size int64) (reply []byte, sent Sent, err error) {
	s := NewFileSender(a)
	reply = written(func(w *wire.Writer) { err = s.Match(t.Context(), w, f, size, sums) })
	return reply, s.Sent(), err
}

// receiveMatch sends new against sums of old, applies the reply in place, and checks everything a reply must keep to.
func receiveMatch(t testing.TB, a *Algorithm, sums *Sums, old, new []byte) (*inPlace, error) {
	t.Helper()
	h := sums.Head
	reply, sent, err := matchReply(t, a, sums, bytes.NewReader(new), int64(len(new)))
	if err != nil {
		return nil, fmt.Errorf("send: %w", err)
	}
	sink := newInPlace(old, h)
	n, ok, err := receive(t, reply, h, a, sink)
	switch {
	case err != nil:
		return nil, fmt.Errorf("receive: %w", err)
	case sink.broken:
		return nil, fmt.Errorf("a block was used that had been written over: %d at %d", sink.blocks, sink.outs)
	case !ok || n != int64(len(new)) || !bytes.Equal(sink.result(), new):
		return nil, fmt.Errorf("the contents differ: %d of %d bytes, %v", n, len(new), ok)
	case slices.Max(append(sink.literals, 0)) > MaxLiteral:
		return nil, fmt.Errorf("a literal of %d bytes", slices.Max(sink.literals))
	case sent.Size() != n || sent.Literal != sum(sink.literals):
		return nil, fmt.Errorf("counted %+v", sent)
	}
	for k, i := range sink.blocks {
		off, size := h.Block(i)
		if int32(size) < h.BlockLen && sink.outs[k]+int64(size) != n {
			return nil, fmt.Errorf("the short last block was used at %d", sink.outs[k])
		}
		if o := sink.outs[k]; !bytes.Equal(old[off:][:size], new[o:][:size]) {
			return nil, fmt.Errorf("block %d is not what is at %d", i, o)
		}
	}
	return sink, nil
}

func sum(p []int) (n int64) {
	for _, v := range p {
		n += int64(v)
	}
	return n
}

func TestMatchSendsWhatChanged(t *testing.T) {
	a := lookup(t, "xxh128", -7, true)
	old := gen("old", 10*700+300) // 10 blocks and a short one
	h := Plan(int64(len(old)), 16, false)
	ins := gen("ins", 37)
	zeros := func(n int) []byte { return make([]byte, n) }
	join := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	patch := func(off, n int) []byte {
		p := bytes.Clone(old)
		copy(p[off:], gen("patch", n))
		return p
	}
	for _, c := range []struct {
		name   string
		old    []byte
		new    []byte
		blocks []int32
		lits   []int
	}{
		{"an unchanged file is all references", old, old, []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil},
		{"a changed page is sent, the next is at its place again", old, patch(700*3+10, 20), []int32{0, 1, 2, 4, 5, 6, 7, 8, 9, 10}, []int{700}},
		{"two changed pages", old, patch(700*3+10, 720), []int32{0, 1, 2, 5, 6, 7, 8, 9, 10}, []int{1400}},
		{"a change in the last full block", old, patch(700*9, 1), []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 10}, []int{700}},
		{"a change in the short block", old, patch(7000, 1), []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{300}},
		{"behind an insertion everything has been written over", old, join(old[:1400], ins, old[1400:]), []int32{0, 1}, []int{37 + 5600 + 300}},
		{"behind a deletion everything is found", old, join(old[:1400], old[1437:]), []int32{0, 1, 3, 4, 5, 6, 7, 8, 9, 10}, []int{663}},
		{"a file cut at a block", old, old[:2100], []int32{0, 1, 2}, nil},
		{"a file cut inside a block", old, old[:2200], []int32{0, 1, 2}, []int{100}},
		{"a file that has grown loses its short block", old, join(old, ins), []int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{337}},
		{"a block that moved to the front", old, join(old[2100:2800], old[700:]), []int32{3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil},
		{"a block that moved to the back cannot be used unless it is still there", old, join(old[700:1400], old[:700]), []int32{1}, []int{700}},
		{"one that stayed can be used again and again", old, join(old[:1400], old[:700], old[700:1400]), []int32{0, 1, 0, 1}, nil},
		{"the short block moves with the end", old, old[700:], []int32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil},
		{"an empty new file", old, nil, nil, nil},
		{"a new file shorter than a block", old, old[:5], nil, []int{5}},
		{"a new file that is the short block", old, old[7000:], []int32{10}, nil},
		{"a basis of one short block, kept", old[:100], old[:100], []int32{0}, nil},
		{"a basis of one short block, cut off", old[:100], old[:50], nil, []int{50}},
		{"a basis of one short block, before other data", old[:100], old[:101], nil, []int{101}},
		{"equal pages that grow in number", zeros(2100), zeros(4200), []int32{0, 1, 2, 0, 1, 2}, nil},
		{"equal pages among others", join(zeros(700), old[:700], zeros(700)), join(old[:700], zeros(1400)), []int32{1, 2, 2}, nil},
		{"a deletion made up for by an insertion", old, join(old[:1400], old[1437:3500], ins, old[3500:]), []int32{0, 1, 3, 4, 5, 6, 7, 8, 9, 10}, []int{663, 37}},
		{"a shift behind new pages", old, join(gen("new", 2100), old[2150:]), []int32{4, 5, 6, 7, 8, 9, 10}, []int{2750}},
		{"a shift of the last full block, nothing else kept", old, join(gen("new", 6000), old[6300:]), []int32{9, 10}, []int{6000}},
		{"a block at its own place is preferred to an equal one", join(old[:700], zeros(2100)), zeros(2800), []int32{1, 1, 2, 3}, nil},
		{"a page half new before equal pages", join(old[:1400], zeros(2100)), join(old[:700], ins, zeros(663), zeros(2100)), []int32{0, 2, 3, 4}, []int{700}},
		{"much that is new comes in tokens of 32 KiB", old, gen("new", 100_000), nil, []int{32768, 32768, 32768, 1696}},
		{"everything new", old, gen("new", 7300), nil, []int{7300}},
	} {
		hh := h
		if len(c.old) != len(old) {
			hh = Plan(int64(len(c.old)), 16, false)
		}
		sink, err := receiveMatch(t, a, describe(t, a, c.old, hh), c.old, c.new)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !slices.Equal(sink.blocks, c.blocks) || !slices.Equal(sink.literals, c.lits) {
			t.Errorf("%s: got blocks %v and literals %v, want %v and %v", c.name, sink.blocks, sink.literals, c.blocks, c.lits)
		}
	}
}

func TestALastBlockDescribedAsAsLongAsTheOthersIsOneOfThem(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	old := gen("old", 1400)
	sums := describe(t, a, old, SumHead{Count: 2, BlockLen: 700, S2Len: 16, Remainder: 700})
	sink, err := receiveMatch(t, a, sums, old, slices.Concat(old[700:], old[700:], gen("new", 10)))
	if err != nil || !slices.Equal(sink.blocks, []int32{1, 1}) {
		t.Errorf("got %+v, %v", sink, err)
	}
}

// edit draws a new file made of an old one.
func edit(t *rapid.T, old []byte, blen int) []byte {
	new := bytes.Clone(old)
	for range rapid.IntRange(0, 4).Draw(t, "edits") {
		at := rapid.IntRange(0, len(new)).Draw(t, "at")
		n := rapid.SampledFrom([]int{0, 1, blen - 1, blen, blen + 1, 3 * blen}).Draw(t, "length")
		if rapid.Bool().Draw(t, "aligned") {
			at -= at % blen
		}
		end := min(at+n, len(new))
		fresh := gen(fmt.Sprint("edit", rapid.IntRange(0, 3).Draw(t, "contents")), n)
		if rapid.Bool().Draw(t, "zeros") {
			clear(fresh)
		}
		switch rapid.IntRange(0, 6).Draw(t, "kind") {
		case 0: // written over
			copy(new[at:], fresh)
		case 1: // inserted
			new = slices.Concat(new[:at], fresh, new[at:])
		case 2: // deleted
			new = slices.Concat(new[:at], new[end:])
		case 3: // moved
			part := bytes.Clone(new[at:end])
			new = slices.Concat(new[:at], new[end:])
			to := rapid.IntRange(0, len(new)).Draw(t, "to")
			new = slices.Concat(new[:to], part, new[to:])
		case 4: // repeated
			new = slices.Concat(new[:end], new[at:end], new[at:end], new[end:])
		case 5: // cut off
			new = new[:at]
		case 6: // grown
			new = append(new, fresh...)
		}
	}
	return new
}

func TestAnyFileIsMadeOfAnyOtherInPlace(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := lookup(t, rapid.SampledFrom(Canonical()).Draw(rt, "algorithm"), rapid.Int32().Draw(rt, "seed"), rapid.Bool().Draw(rt, "seed first"))
		h := drawHead(rt, a, rapid.IntRange(0, 30_000).Draw(rt, "size"))
		h.S2Len = int32(min(16, a.Size())) // with less, blocks may match that differ
		size, blen := int(h.Size()), int(h.BlockLen)
		old := gen("old", size)
		// Pages out of a small set make many blocks equal.
		if pages := rapid.IntRange(0, 3).Draw(rt, "different pages"); pages > 0 {
			for off := 0; off < size; off += blen {
				copy(old[off:min(size, off+blen)], gen(fmt.Sprint(rapid.IntRange(1, pages).Draw(rt, "page")), blen))
			}
		}
		sums := describe(t, a, old, h)
		if _, err := receiveMatch(t, a, sums, old, edit(rt, old, blen)); err != nil {
			rt.Fatalf("%+v: %v", h, err)
		}
	})
}

func TestFilesLargerThanTheWindowAreMadeInPlace(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	a := lookup(t, "xxh128", 42, true)
	rounds := 4
	if testing.Short() {
		rounds = 1
	}
	for _, blen := range []int32{700, 16384, 73264, MaxBlock} {
		for round := range rounds {
			old := gen(fmt.Sprint("large", round), 3<<20+rnd.IntN(1<<20))
			size := int32(len(old))
			h := SumHead{Count: (size + blen - 1) / blen, BlockLen: blen, S2Len: 16, Remainder: size % blen}
			new := bytes.Clone(old)
			for range 1 + rnd.IntN(3) {
				at, n := rnd.IntN(len(new)), rnd.IntN(300_000)
				end := min(at+n, len(new))
				switch rnd.IntN(4) {
				case 0:
					copy(new[at:end], gen("over", n))
				case 1:
					new = slices.Concat(new[:at], gen("in", n), new[at:])
				case 2:
					new = slices.Concat(new[:at], new[end:])
				case 3:
					new = slices.Concat(new[end:], new[:at])
				}
			}
			if _, err := receiveMatch(t, a, describe(t, a, old, h), old, new); err != nil {
				t.Errorf("blocks of %d, round %d: %v", blen, round, err)
			}
		}
	}
}

func TestMatchingAFileThatChangesMeanwhile(t *testing.T) {
	a := lookup(t, "xxh128", 42, true)
	old := gen("old", 1_000_000)
	h := Plan(1_000_000, 16, false)
	sums := describe(t, a, old, h)
	for _, c := range []struct {
		name string
		f    io.ReaderAt
		want []byte
		ok   bool
	}{
		{"one that has shrunk", bytes.NewReader(old[:600_123]), old[:600_123], true},
		{"one that has shrunk to blocks", bytes.NewReader(old[:600_000]), old[:600_000], true},
		{"one that is empty now", bytes.NewReader(nil), nil, true},
		{"one that has grown", bytes.NewReader(append(bytes.Clone(old), "more"...)), old, true},
		{"one that is read slowly", slowFile{old}, old, true},
		{"one that cannot be read any more", brokenFile{old, 600_123, errDisk}, append(bytes.Clone(old[:600_123]), make([]byte, 399_877)...), false},
		{"one that cannot be read at all", brokenFile{old, 0, errDisk}, make([]byte, 1_000_000), false},
	} {
		reply, sent, err := matchReply(t, a, sums, c.f, 1_000_000)
		if _, failed := err.(*ReadError); failed == c.ok || (c.ok && err != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		sink := newInPlace(old, h)
		n, ok, err := receive(t, reply, h, a, sink)
		if n != int64(len(c.want)) || n != sent.Size() || ok != c.ok || err != nil || !bytes.Equal(sink.result(), c.want) {
			t.Errorf("%s: received %d bytes, %v, %v", c.name, n, ok, err)
		}
	}
}

func TestMatchFallsBackToTheWholeFile(t *testing.T) {
	data := gen("data", 5000)
	a := lookup(t, "xxh128", 42, true)
	h := Plan(5000, 16, false)
	weakOnly := describe(t, a, data, SumHead{h.Count, h.BlockLen, 0, h.Remainder})
	for _, c := range []struct {
		name string
		a    *Algorithm
		sums *Sums
	}{
		{"without sums", a, nil},
		{"with the sums of an empty basis", a, &Sums{}},
		{"with weak sums only", a, weakOnly},
		{"with a checksum that tells nothing apart", lookup(t, "none", 0, true), &Sums{Head: SumHead{1, 700, 1, 0}, Weak: []uint32{Weak(data[:700])}, Strong: []byte{0}}},
	} {
		reply, sent, err := matchReply(t, c.a, c.sums, bytes.NewReader(data), 5000)
		_, ok, rerr := receive(t, reply, SumHead{}, c.a, newInPlace(nil, SumHead{}))
		if sent.Literal != 5000 || err != nil || !ok || rerr != nil {
			t.Errorf("%s: sent %+v, %v; received %v, %v", c.name, sent, err, ok, rerr)
		}
	}
}
