package delta

import (
	"bytes"
	"math/bits"
)

const (
	// maxChain is how many different blocks of one hash value are kept and looked at (CVE-2026-70453; rsync takes 1024). What
	// is beyond it is sent as data.
	maxChain = 128
	// indexPerBlock is the most bytes an index and the set of kept blocks take for each block.
	indexPerBlock = 8 + 4 + 4 + 8 + 1
	// filterBits is how many bits of the filter there are at least for each block: one look-up in 32 passes for nothing.
	filterBits = 32
	// maxFilter is the most bits of the filter, 8 MiB: it must stay in a cache.
	maxFilter = 1 << 26
	// hashFactor spreads the sums: the two halves of a weak sum are far from evenly distributed.
	hashFactor = 0x9e3779b1
)

// index finds blocks of a basis by their weak sum, in flat arrays.
//
// Blocks with the same weak and the same strong sum count as equal and form a group, in ascending order. A chain of
// the hash table links only the first block of each group. So a file full of equal pages is one group, found in one
// step, and the in-place rule takes blocks from the front of a group for good: the output only moves forward. All of
// that together is one step a block.
type index struct {
	sums   *Sums
	heads  []int32  // by hash: first block of the first group, or none
	next   []int32  // of the first block of a group: the one of the next group in the chain
	same   []int32  // the next block of the group
	filter []uint64 // one bit for each hash value that occurs, in finer steps than heads
	shift  uint     // of the hash, for heads
	fshift uint     // of the hash, for filter
}

const none = int32(-1)

// newIndex indexes the first n blocks, those of full length.
func newIndex(s *Sums, n int32) *index {
	b := log2Ceil(int64(n))
	fb := max(6, log2Ceil(min(int64(n)*filterBits, maxFilter)))
	links := make([]int32, 1<<b+2*int(n))
	x := &index{
		sums:   s,
		heads:  links[:1<<b],
		next:   links[1<<b:][:n],
		same:   links[1<<b+int(n):],
		filter: make([]uint64, 1<<(fb-6)),
		shift:  uint(32 - b),
		fshift: uint(32 - fb),
	}
	for i := range x.heads {
		x.heads[i] = none
	}
	for i := n - 1; i >= 0; i-- {
		x.add(i)
	}
	return x
}

// add puts block i in front of its group, or in front of its chain as a group of its own. Later blocks come first.
func (x *index) add(i int32) {
	weak := x.sums.Weak[i]
	h := weak * hashFactor
	x.filter[h>>x.fshift>>6] |= 1 << (h >> x.fshift & 63)
	link := x.head(weak)
	x.same[i] = none
	steps := 0
	for p := link; *p != none; p = &x.next[*p] {
		if j := *p; x.equal(i, j) {
			x.same[i], x.next[i] = j, x.next[j]
			*p = i
			return
		}
		steps++
	}
	if steps == maxChain {
		return // the later blocks are worth more: they stay usable for longer
	}
	x.next[i] = *link
	*link = i
}

// equal reports whether two blocks have the same sums.
func (x *index) equal(i, j int32) bool {
	return x.sums.Weak[i] == x.sums.Weak[j] && bytes.Equal(x.sums.strong(i), x.sums.strong(j))
}

// scan rolls a window over bytes that leave it and bytes that come in, until some block may have its sum. It returns how
// many of them it took, at most all, and whether there is such a block.
//
// This is the tightest loop of a search, so it has a function of its own: all its state fits into registers. The halves
// of the sum are kept in the upper halves of their words.
func (x *index) scan(r *Roll, out, in []byte) (n int, hit bool) {
	in = in[:len(out)]
	size, s1, s2 := r.n<<16, r.s1<<16, r.s2<<16
	filter, shift := x.filter, x.fshift&31
	for n, c := range out {
		c, d := uint32(int8(c)), uint32(int8(in[n]))
		s1 += (d - c) << 16
		s2 += s1 - size*c
		if h := (s1>>16 | s2) * hashFactor >> shift; filter[h>>6]>>(h&63)&1 != 0 {
			r.s1, r.s2 = s1>>16, s2>>16
			return n + 1, true
		}
	}
	r.s1, r.s2 = s1>>16, s2>>16
	return len(out), false
}

// head returns the link to the first group of a weak sum's chain.
func (x *index) head(weak uint32) *int32 { return &x.heads[weak*hashFactor>>x.shift] }

// drop takes the first block of a group out of it, and the group out of its chain if it was the only one.
func (x *index) drop(p *int32) {
	i := *p
	*p = x.next[i]
	if j := x.same[i]; j != none {
		x.next[j] = x.next[i]
		*p = j
	}
}

// log2Ceil is the least b with n ≤ 2^b, for n ≥ 1.
func log2Ceil(n int64) int { return bits.Len64(uint64(n - 1)) }
