package delta

import (
	"math"
	"math/bits"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Limits of rsync-wire.md §10.4 and §17.1.
const (
	// MaxBlock is the longest block of a basis.
	MaxBlock = 131072
	// minBlock is the shortest block a generator plans.
	minBlock = 700
	// maxStrong is the most a generator sends of a block digest, however long it is.
	maxStrong = 16
)

// SumHead says how a basis is cut into blocks (rsync-wire.md §10.1). The zero value means: no basis, send the whole file.
type SumHead struct {
	Count     int32 // number of blocks
	BlockLen  int32 // bytes of every block but perhaps the last
	S2Len     int32 // bytes sent of each block's strong sum
	Remainder int32 // bytes of the last block if it is shorter, else 0
}

// Write sends the four integers of the head.
func (h SumHead) Write(w *wire.Writer) {
	w.Int(h.Count)
	w.Int(h.BlockLen)
	w.Int(h.S2Len)
	w.Int(h.Remainder)
}

// ReadSumHead reads a head and holds it against the limits of rsync-wire.md §17.1. digestLen is [Algorithm.Size].
func ReadSumHead(r *wire.Reader, digestLen int) (SumHead, error) {
	var h SumHead
	for _, v := range []*int32{&h.Count, &h.BlockLen, &h.S2Len, &h.Remainder} {
		n, err := r.Int()
		if err != nil {
			return SumHead{}, noEOF(err)
		}
		*v = n
	}
	switch {
	case h.Count < 0:
		return SumHead{}, wire.Errorf("17.1", "sum head announces %d blocks", h.Count)
	case h.BlockLen < 0 || h.BlockLen > MaxBlock:
		return SumHead{}, wire.Errorf("17.1", "sum head with a block length of %d, at most %d are allowed", h.BlockLen, MaxBlock)
	case h.Count > 0 && h.BlockLen == 0:
		return SumHead{}, wire.Errorf("17.1", "sum head announces %d blocks of no length", h.Count)
	case h.S2Len < 0 || int(h.S2Len) > digestLen:
		return SumHead{}, wire.Errorf("17.1", "sum head with strong sums of %d bytes, the digest has %d", h.S2Len, digestLen)
	case h.Remainder < 0 || h.Remainder > h.BlockLen:
		return SumHead{}, wire.Errorf("17.1", "sum head with a last block of %d bytes, the block length is %d", h.Remainder, h.BlockLen)
	}
	return h, nil
}

// Block returns offset and length of block i of the basis, 0 ≤ i < Count.
func (h SumHead) Block(i int32) (off int64, n int) {
	n = int(h.BlockLen)
	if i == h.Count-1 && h.Remainder != 0 {
		n = int(h.Remainder)
	}
	return int64(i) * int64(h.BlockLen), n
}

// Size returns the length of the basis the head describes.
func (h SumHead) Size() int64 {
	if h.Count == 0 {
		return 0
	}
	off, n := h.Block(h.Count - 1)
	return off + int64(n)
}

// Plan chooses the blocks for a basis of size bytes exactly as rsync's generator does (rsync-wire.md §10.4). digestLen
// is [Algorithm.Size]; redo asks for the longest strong sums, after a file failed verification. A basis that is empty,
// or too long for the numbers of a head (256 TiB), gets the zero head: the whole file is asked for.
func Plan(size int64, digestLen int, redo bool) SumHead {
	if size <= 0 {
		return SumHead{}
	}
	blen := blockLen(size)
	count := size / blen
	rem := size % blen
	if rem != 0 {
		count++
	}
	if count > math.MaxInt32 {
		return SumHead{}
	}
	s2 := min(maxStrong, digestLen)
	if !redo {
		s2 = min(max(strongLen(size, blen), 2), s2)
	}
	return SumHead{Count: int32(count), BlockLen: int32(blen), S2Len: int32(s2), Remainder: int32(rem)}
}

// maxPageBlocks is how many blocks PlanPages makes before it takes longer ones: 32 GiB in blocks of 16 KiB.
const maxPageBlocks = 1 << 21

// PlanPages is Plan for a file that consists of pages of page bytes, such as a table space: its blocks are whole pages, one
// page each as long as there are not too many, so that a changed page costs one page. (rsync's own choice, the square root
// of the size, puts several pages into a block and lets pages straddle two.) A file that is no multiple of page, or short,
// gets rsync's plan; the sizes are the generator's free choice (rsync-wire.md §10.4).
func PlanPages(size int64, page int64, digestLen int, redo bool) SumHead {
	h := Plan(size, digestLen, redo)
	if page <= 0 || page > MaxBlock || size%page != 0 || int64(h.BlockLen) < 1000 {
		return h
	}
	blen := page
	for size/blen > maxPageBlocks && 2*blen <= MaxBlock {
		blen *= 2
	}
	count, rem := size/blen, size%blen
	if rem != 0 {
		count++
	}
	if count > math.MaxInt32 {
		return SumHead{}
	}
	if !redo {
		h.S2Len = int32(min(max(strongLen(size, blen), 2), maxStrong, digestLen))
	}
	h.Count, h.BlockLen, h.Remainder = int32(count), int32(blen), int32(rem)
	return h
}

// blockLen is the square root of size rounded down to a multiple of 8, within limits.
func blockLen(size int64) int64 {
	if size <= minBlock*minBlock {
		return minBlock
	}
	c := int64(1)
	for l := size >> 2; l != 0; l >>= 2 {
		c <<= 1
	}
	if c >= MaxBlock {
		return MaxBlock
	}
	var blen int64
	for ; c >= 8; c >>= 1 {
		if b := blen | c; b*b <= size {
			blen = b
		}
	}
	return max(blen, minBlock)
}

// strongLen is the number of strong sum bytes that, beside the 32 bits of the weak sum, keep the chance of a false match
// anywhere in the file at about 1 in 1000.
func strongLen(size, blen int64) int {
	b := 10 + 2*log2(size) - log2(blen)
	return (max(b, 0) + 1 - 32 + 7) / 8
}

// log2 is the integer logarithm of n ≥ 1.
func log2(n int64) int { return bits.Len64(uint64(n)) - 1 }
