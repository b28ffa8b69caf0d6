package wire

import (
	"bytes"
	"encoding/binary"
)

// item returns n bytes of the stream, at most len(r.tmp), valid until the next call.
func (r *Reader) item(n int) ([]byte, error) {
	if r.left >= n && r.w-r.r >= n {
		p := r.buf[r.r : r.r+n]
		r.r += n
		r.left -= n
		return p, nil
	}
	p := r.tmp[:n]
	return p, r.Full(p)
}

// rest is item for what must follow bytes already read.
func (r *Reader) rest(n int) ([]byte, error) {
	p, err := r.item(n)
	if err != nil {
		err = r.fail(inside(err))
	}
	return p, err
}

// Byte reads one byte.
func (r *Reader) Byte() (byte, error) {
	p, err := r.item(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

// Short reads a shortint: two bytes (rsync-wire.md §6).
func (r *Reader) Short() (uint16, error) {
	p, err := r.item(2)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint16(p), nil
}

// Int reads an int: four bytes, signed (rsync-wire.md §6).
func (r *Reader) Int() (int32, error) {
	p, err := r.item(4)
	if err != nil {
		return 0, err
	}
	return int32(binary.LittleEndian.Uint32(p)), nil
}

// extraBytes is how many bytes a varint or varlong has beyond its floor, told by the one-bits its first byte begins with
// (rsync-wire.md §6.1): 0 to 4 of them count; five say 5, six or more say 6.
func extraBytes(first byte) int {
	switch {
	case first < 0x80:
		return 0
	case first < 0xc0:
		return 1
	case first < 0xe0:
		return 2
	case first < 0xf0:
		return 3
	case first < 0xf8:
		return 4
	case first < 0xfc:
		return 5
	}
	return 6
}

// Varint reads a varint: 1 to 5 bytes (rsync-wire.md §6.1).
func (r *Reader) Varint() (int32, error) {
	first, err := r.Byte()
	if err != nil || first < 0x80 {
		return int32(first), err
	}
	extra := extraBytes(first)
	if extra > 4 {
		return 0, r.fail(Errorf("6.1", "varint begins with %#02x", first))
	}
	p, err := r.rest(extra)
	if err != nil {
		return 0, err
	}
	var v uint32
	for i, b := range p {
		v |= uint32(b) << (8 * i)
	}
	if extra < 4 {
		v |= uint32(first&(1<<(8-extra)-1)) << (8 * extra)
	}
	return int32(v), nil
}

// Varlong reads a varlong of at least min bytes, 3 to 8 (rsync-wire.md §6.2): 3 for lengths, 4 for times.
func (r *Reader) Varlong(min int) (int64, error) {
	checkFloor(min)
	p, err := r.item(min)
	if err != nil {
		return 0, err
	}
	first := p[0]
	var v uint64
	for i, b := range p[1:] {
		v |= uint64(b) << (8 * i)
	}
	extra := extraBytes(first)
	if min+extra > 9 {
		return 0, r.fail(Errorf("6.2", "varlong(%d) begins with %#02x: longer than 64 bits", min, first))
	}
	if extra > 0 {
		if p, err = r.rest(extra); err != nil {
			return 0, err
		}
		for i, b := range p {
			v |= uint64(b) << (8 * (min - 1 + i))
		}
		first &= 1<<(8-extra) - 1
	}
	// With nine bytes the prefix has no room for value bits; the shift drops them as real readers do.
	v |= uint64(first) << (8 * (min - 1 + extra))
	return int64(v), nil
}

// VString reads a vstring of at most max bytes (rsync-wire.md §6). A NUL inside is refused.
func (r *Reader) VString(max int) (string, error) {
	first, err := r.Byte()
	if err != nil {
		return "", err
	}
	n := int(first)
	if n >= 0x80 {
		p, err := r.rest(1)
		if err != nil {
			return "", err
		}
		n = n&0x7f<<8 | int(p[0])
	}
	if n > max {
		return "", r.fail(Errorf("6", "string of %d bytes where %d are allowed", n, max))
	}
	return r.text(n)
}

// text reads n bytes that follow their length.
func (r *Reader) text(n int) (string, error) {
	if n == 0 {
		return "", nil
	}
	var s []byte
	if r.left >= n && r.w-r.r >= n {
		s = r.buf[r.r : r.r+n]
		r.r += n
		r.left -= n
	} else {
		s = make([]byte, n)
		if err := r.Full(s); err != nil {
			return "", r.fail(inside(err))
		}
	}
	if bytes.IndexByte(s, 0) >= 0 {
		return "", r.fail(Errorf("6", "string %q holds a NUL", s))
	}
	return string(s), nil
}

// NDX reads an index (rsync-wire.md §6.3): an entry's number, or a negative one with a meaning of its own.
func (r *Reader) NDX() (int32, error) {
	first, err := r.Byte()
	if err != nil {
		return 0, err
	}
	if first == 0 {
		return ndxDone, nil
	}
	negative := first == 0xff
	if negative {
		p, err := r.rest(1)
		if err != nil {
			return 0, err
		}
		first = p[0]
	}
	v, err := r.ndxValue(first, negative)
	if err != nil {
		return 0, r.fail(inside(err))
	}
	return v, nil
}

func (r *Reader) ndxValue(first byte, negative bool) (int32, error) {
	switch first {
	case 0, 0xff:
		return 0, Errorf("6.3", "index coded as ff %02x", first)
	case 0xfe:
		p, err := r.rest(2)
		if err != nil {
			return 0, err
		}
		if p[0] < 0x80 {
			return r.ndx.step(int64(p[0])<<8|int64(p[1]), negative)
		}
		v := int64(p[0]&0x7f)<<24 | int64(p[1])
		if p, err = r.rest(2); err != nil {
			return 0, err
		}
		return r.ndx.set(v|int64(p[0])<<8|int64(p[1])<<16, negative)
	}
	return r.ndx.step(int64(first), negative)
}
