package delta

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

func TestPlanIsThatOfRsync(t *testing.T) {
	const GB = 1_000_000_000
	for _, c := range []struct {
		name   string
		size   int64
		digest int
		redo   bool
		want   SumHead
	}{
		{"an empty basis is none", 0, 16, false, SumHead{}},
		{"one byte", 1, 16, false, SumHead{1, 700, 2, 1}},
		{"one block exactly has no remainder", 700, 16, false, SumHead{1, 700, 2, 0}},
		{"one byte more is a second block", 701, 16, false, SumHead{2, 700, 2, 1}},
		{"8000", 8000, 16, false, SumHead{12, 700, 2, 300}},
		{"the last length with the shortest blocks", 490000, 16, false, SumHead{700, 700, 2, 0}},
		{"the square root comes in below 700", 490001, 16, false, SumHead{701, 700, 2, 1}},
		{"1000000", 1_000_000, 16, false, SumHead{1000, 1000, 2, 0}},
		{"16 MiB", 16 << 20, 16, false, SumHead{4096, 4096, 2, 0}},
		{"100000000", 100_000_000, 16, false, SumHead{10000, 10000, 3, 0}},
		{"1 GiB", 1 << 30, 16, false, SumHead{32768, 32768, 3, 0}},
		{"5 GiB", 5 << 30, 16, false, SumHead{73279, 73264, 4, 5<<30 - 73278*73264}},
		{"100 GB", 100 * GB, 16, false, SumHead{762940, 131072, 5, 100*GB - 762939*131072}},
		{"1 TiB", 1 << 40, 16, false, SumHead{8388608, 131072, 6, 0}},
		{"1 TiB with a short digest", 1 << 40, 8, false, SumHead{8388608, 131072, 6, 0}},
		{"a redo takes 16 bytes", 8000, 16, true, SumHead{12, 700, 16, 300}},
		{"a redo takes no more than the digest has", 8000, 8, true, SumHead{12, 700, 8, 300}},
		{"a redo takes 16 of the 20 bytes of sha1", 8000, 20, true, SumHead{12, 700, 16, 300}},
		{"too long for 31 bits of blocks", 1 << 49, 16, false, SumHead{}},
	} {
		got := Plan(c.size, c.digest, c.redo)
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
		if c.want.Count > 0 && got.Size() != c.size {
			t.Errorf("%s: describes %d bytes of %d", c.name, got.Size(), c.size)
		}
	}
}

func TestEveryPlanPassesTheChecksOfTheOtherEndAndCoversTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 1<<48).Draw(t, "size")
		if rapid.Bool().Draw(t, "small") {
			size %= 1 << 22
		}
		digest := rapid.SampledFrom([]int{8, 16, 20}).Draw(t, "digest")
		h := Plan(size, digest, rapid.Bool().Draw(t, "redo"))
		got, err := readHead(h, digest)
		if err != nil || got != h {
			t.Fatalf("%d: %+v came back as %+v, %v", size, h, got, err)
		}
		if h.Size() != size && h.Count > 0 {
			t.Fatalf("%d: %+v describes %d bytes", size, h, h.Size())
		}
		if h.Count > 1 {
			i := rapid.Int32Range(0, h.Count-2).Draw(t, "block")
			off, n := h.Block(i)
			if next, _ := h.Block(i + 1); next != off+int64(n) {
				t.Fatalf("%+v: block %d is not followed by the next", h, i)
			}
		}
	})
}

func readHead(h SumHead, digest int) (SumHead, error) {
	r := wire.NewReader(bytes.NewReader(written(h.Write)))
	defer r.Release()
	return ReadSumHead(r, digest)
}

// written returns the stream that f writes.
func written(f func(w *wire.Writer)) []byte {
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	defer w.Release()
	f(w)
	if err := w.Flush(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestReadSumHeadHoldsThePeerToTheLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		head SumHead
		ok   bool
	}{
		{"zeros ask for the whole file", SumHead{}, true},
		{"the largest of everything", SumHead{1<<31 - 1, MaxBlock, 16, MaxBlock}, true},
		{"a plan for no block is harmless", SumHead{0, 700, 2, 0}, true},
		{"a negative count", SumHead{-1, 700, 2, 0}, false},
		{"a negative block length", SumHead{1, -700, 2, 0}, false},
		{"a block length above the limit", SumHead{1, MaxBlock + 1, 2, 0}, false},
		{"blocks of no length", SumHead{1, 0, 2, 0}, false},
		{"a negative sum length", SumHead{1, 700, -1, 0}, false},
		{"strong sums longer than the digest", SumHead{1, 700, 17, 0}, false},
		{"a negative remainder", SumHead{1, 700, 2, -1}, false},
		{"a last block longer than the others", SumHead{1, 700, 2, 701}, false},
	} {
		got, err := readHead(c.head, 16)
		var protocol *wire.ProtocolError
		switch {
		case c.ok && (err != nil || got != c.head):
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		case !c.ok && !errors.As(err, &protocol):
			t.Errorf("%s: got error %v, want a protocol error", c.name, err)
		}
	}
}

func TestATableSpaceIsCutIntoItsPages(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		page int64
		want SumHead
	}{
		{"1 GiB", 1 << 30, 16384, SumHead{65536, 16384, 4, 0}},
		{"64 GiB takes two pages a block", 64 << 30, 16384, SumHead{1 << 21, 32768, 5, 0}},
		{"an odd number of pages leaves half a block", 64<<30 + 16384, 16384, SumHead{1<<21 + 1, 32768, 5, 16384}},
		{"what is no multiple of the page gets rsync's plan", 1<<30 + 1, 16384, Plan(1<<30+1, 16, false)},
		{"a short file too", 16384, 16384, Plan(16384, 16, false)},
		{"and one without pages", 1 << 30, 0, Plan(1<<30, 16, false)},
	} {
		got := PlanPages(c.size, c.page, 16, false)
		if got != c.want || got.Size() != c.size {
			t.Errorf("%s: got %+v for %d bytes, want %+v", c.name, got, got.Size(), c.want)
		}
	}
	if got := PlanPages(1<<30, 16384, 8, true); got.S2Len != 8 {
		t.Errorf("a redo takes all of the digest: got %+v", got)
	}
}
