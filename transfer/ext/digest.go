package ext

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"github.com/zeebo/xxh3"
)

// blockSize is the unit of comparison: a page of InnoDB by default, and measured to
// be the best (precopy-facts.md, E).
const blockSize = 16 << 10

// BlockSize is the unit of comparison, in bytes.
const BlockSize = blockSize

// A digest is the xxh128 of a block with the seed of the SST. The zero value means
// that the block is not known.
type digest [16]byte

// A hasher computes digests. The seed is random, so that nobody who can write to the
// database can prepare two pages with one digest.
type hasher struct {
	seed uint64
	zero digest // of a block of zeros
}

func newHasher(seed uint64) hasher {
	h := hasher{seed: seed}
	h.zero = h.sum(zeroBlock[:])
	return h
}

var zeroBlock [blockSize]byte

func (h hasher) sum(p []byte) digest {
	d := digest(xxh3.Hash128Seed(p, h.seed).Bytes())
	if d == (digest{}) {
		d[15] = 1
	}
	return d
}

// blocks gives the digests of the blocks of p, the last of which may be short, in
// out, and how many there are. Bit i of zeros says that block i is whole and zero.
func (h hasher) blocks(p []byte, out *[maxBlocks]digest) (n int, zeros uint32) {
	for ; len(p) > 0; n++ {
		block := p[:min(blockSize, len(p))]
		p = p[len(block):]
		if isZero(block) {
			out[n], zeros = h.zero, zeros|1<<n
		} else {
			out[n] = h.sum(block)
		}
	}
	return n, zeros
}

func isZero(block []byte) bool {
	return len(block) == blockSize && binary.LittleEndian.Uint64(block) == 0 && bytes.Equal(block, zeroBlock[:])
}

// of is the digest of a sequence of digests.
func (h hasher) of(d []digest) digest { return h.sum(bytesOf(d)) }

func bytesOf(d []digest) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(d))), len(d)*len(digest{}))
}

// blocksIn is the number of blocks of n bytes.
func blocksIn(n int64) int64 { return (n + blockSize - 1) / blockSize }
