package delta

import "encoding/binary"

// Weak returns the rolling sum of p over signed bytes (rsync-wire.md §10.5).
//
// It takes eight bytes a step. Signed bytes x are handled as unsigned v = x+128 and the difference, which depends on
// the length only, is taken off at the end. In a group of 16 words the even and the odd bytes sit in 16-bit lanes; a
// holds the sums of the lanes and b the sums of the running a, the largest possible being 255·136 = 34680, so nothing
// spills into a neighbour. Then lane k has weight 8·b − k·a, plus what lies behind the group.
func Weak(p []byte) uint32 {
	const (
		flip = 0x8080808080808080
		even = 0x00ff00ff00ff00ff
		ones = 0x0001000100010001
	)
	n := uint32(len(p))
	var s1, s2 uint32
	for len(p) >= 128 {
		var a0, a1, b0, b1 uint64
		g := p[:128:128]
		for i := 0; i < 128; i += 16 {
			v := binary.LittleEndian.Uint64(g[i:]) ^ flip
			w := binary.LittleEndian.Uint64(g[i+8:]) ^ flip
			a0 += v & even
			a1 += v >> 8 & even
			b0 += a0
			b1 += a1
			a0 += w & even
			a1 += w >> 8 & even
			b0 += a0
			b1 += a1
		}
		// The top lane of a product by a word of ones is the sum of all lanes, by a word of weights the weighted sum.
		// No lane below it overflows: a lane of a is at most 4080, the weights are 0 2 4 6 and 1 3 5 7.
		sum := uint32((a0 + a1) * ones >> 48)
		back := uint32(a0*0x0000000200040006>>48) + uint32(a1*0x0001000300050007>>48)
		s2 += 128*s1 + 8*(lanes(b0)+lanes(b1)) - back
		s1 += sum
		p = p[128:]
	}
	for _, c := range p {
		s1 += uint32(c ^ 0x80)
		s2 += s1
	}
	s2 -= 128 * (n * (n + 1) / 2)
	s1 -= 128 * n
	return s1&0xffff | s2<<16
}

// lanes adds the four 16-bit lanes of w.
func lanes(w uint64) uint32 {
	w = w&0x0000ffff0000ffff + w>>16&0x0000ffff0000ffff
	return uint32(w) + uint32(w>>32)
}

// Roll is the sum of a window that moves one byte at a time. The zero value is an empty window.
type Roll struct {
	s1, s2 uint32 // wide: only the low 16 bits of each count
	n      uint32
}

// NewRoll returns the sum of the window p.
func NewRoll(p []byte) Roll {
	w := Weak(p)
	return Roll{s1: w & 0xffff, s2: w >> 16, n: uint32(len(p))}
}

// Add lets the window grow by one byte at its end.
func (r *Roll) Add(in byte) {
	r.s1 += uint32(int8(in))
	r.s2 += r.s1
	r.n++
}

// Out lets the window shrink by its first byte, which is out.
func (r *Roll) Out(out byte) {
	r.s1 -= uint32(int8(out))
	r.s2 -= r.n * uint32(int8(out))
	r.n--
}

// Roll moves the window by one byte: out leaves at the front, in comes at the end.
func (r *Roll) Roll(out, in byte) {
	r.s1 += uint32(int8(in)) - uint32(int8(out))
	r.s2 += r.s1 - r.n*uint32(int8(out))
}

// Sum returns the same value as [Weak] of the bytes in the window.
func (r *Roll) Sum() uint32 { return r.s1&0xffff | r.s2<<16 }
