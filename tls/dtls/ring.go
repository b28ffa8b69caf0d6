package dtls

// A ring holds bytes in order until they are read. It grows as it must, up to what its
// user puts in.
type ring struct {
	bytes []byte
	first int // index of the next to be read
	held  int
}

func (r *ring) put(p []byte) {
	if len(p) == 0 {
		return
	}
	if need := r.held + len(p); need > len(r.bytes) {
		size := max(len(r.bytes), 4<<10)
		for size < need {
			size *= 2
		}
		grown := make([]byte, size)
		n := copy(grown, r.bytes[r.first:min(r.first+r.held, len(r.bytes))])
		copy(grown[n:], r.bytes[:r.held-n])
		r.bytes, r.first = grown, 0
	}
	end := (r.first + r.held) % len(r.bytes)
	n := copy(r.bytes[end:], p)
	copy(r.bytes, p[n:])
	r.held += len(p)
}

func (r *ring) take(p []byte) int {
	n := 0
	for n < len(p) && r.held > 0 {
		m := copy(p[n:], r.bytes[r.first:min(r.first+r.held, len(r.bytes))])
		r.first = (r.first + m) % len(r.bytes)
		r.held -= m
		n += m
	}
	return n
}
