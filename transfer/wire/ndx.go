package wire

import "math"

const ndxDone = -1 // NDX_DONE has a code of its own and leaves the state alone

// ndxState is what one direction remembers of the indices it has carried (rsync-wire.md §6.3). Negative numbers are coded by
// their magnitude against a state of their own.
type ndxState struct{ positive, negative int64 }

func newNDX() ndxState { return ndxState{positive: -1, negative: 1} }

func (s *ndxState) prev(negative bool) *int64 {
	if negative {
		return &s.negative
	}
	return &s.positive
}

// step and set give the decoded index for a difference and for an absolute magnitude.
func (s *ndxState) step(diff int64, negative bool) (int32, error) {
	return s.set(*s.prev(negative)+diff, negative)
}

func (s *ndxState) set(v int64, negative bool) (int32, error) {
	if v > math.MaxInt32 {
		return 0, Errorf("6.3", "index %d is beyond 31 bits", v)
	}
	if v < 0 || negative && v == 0 {
		return 0, Errorf("6.3", "index coded with magnitude %d", v)
	}
	*s.prev(negative) = v
	if negative {
		v = -v
	}
	return int32(v), nil
}

// encode appends the code of v to b, at most 6 bytes.
func (s *ndxState) encode(b []byte, v int32) []byte {
	if v == ndxDone {
		return append(b, 0)
	}
	m, negative := int64(v), v < 0
	if negative {
		b = append(b, 0xff)
		m = -m
	}
	prev := s.prev(negative)
	diff := m - *prev
	*prev = m
	switch {
	case diff > 0 && diff < 0xfe:
		return append(b, byte(diff))
	case diff < 0 || diff > 0x7fff:
		return append(b, 0xfe, byte(m>>24)|0x80, byte(m), byte(m>>8), byte(m>>16))
	}
	return append(b, 0xfe, byte(diff>>8), byte(diff))
}
