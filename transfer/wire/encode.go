package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// Line writes a line of the text handshake (rsync-wire.md §2). One that a peer could not read, by its length or by a line end
// or NUL inside, is an error of the Writer.
func (w *Writer) Line(s string) {
	if len(s) > MaxLineWrite || strings.ContainsAny(s, "\n\r\x00") {
		w.setErr(fmt.Errorf("handshake line %.80q: more than %d bytes, or a line end or NUL inside", s, MaxLineWrite))
		return
	}
	w.text(s)
	w.Byte('\n')
}

// Args writes an argument list and its end (rsync-wire.md §3.1).
func (w *Writer) Args(args []string) {
	for _, a := range args {
		if a == "" || len(a) > MaxArg || strings.IndexByte(a, 0) >= 0 {
			w.setErr(fmt.Errorf("argument %.80q: empty, more than %d bytes, or a NUL inside", a, MaxArg))
			return
		}
		w.text(a)
		w.Byte(0)
	}
	w.Byte(0)
}

// Byte writes one byte.
func (w *Writer) Byte(b byte) {
	w.Reserve(1)[0] = b
	w.Commit(1)
}

// Short writes a shortint: two bytes (rsync-wire.md §6).
func (w *Writer) Short(v uint16) {
	binary.LittleEndian.PutUint16(w.Reserve(2), v)
	w.Commit(2)
}

// Int writes an int: four bytes (rsync-wire.md §6).
func (w *Writer) Int(v int32) {
	binary.LittleEndian.PutUint32(w.Reserve(4), uint32(v))
	w.Commit(4)
}

// Varint writes a varint (rsync-wire.md §6.1).
func (w *Writer) Varint(v int32) { w.varlong(uint64(uint32(v)), 1) }

// Varlong writes a varlong of at least min bytes, 3 to 8 (rsync-wire.md §6.2): 3 for lengths, 4 for times.
func (w *Writer) Varlong(v int64, min int) {
	checkFloor(min)
	w.varlong(uint64(v), min)
}

// checkFloor: the prefix can tell of six further bytes, so with a floor below 3 not every 64-bit number has a code.
func checkFloor(min int) {
	if min < 3 || min > 8 {
		panic("wire: Varlong floor out of range")
	}
}

// varlong writes the prefix byte, which begins with as many one-bits as there are bytes beyond the floor, and then the low bytes.
// The top byte of the value goes into the prefix when the bits there suffice. A varint is the same with a floor of one.
func (w *Writer) varlong(v uint64, floor int) {
	n := max(floor, (bits.Len64(v)+7)/8)
	room := 1 << (7 - n + floor) // values of the top byte that fit beside n-floor one-bits and a zero
	top := int(v >> (8 * (n - 1)))
	p := w.Reserve(9)
	low := n - 1
	switch {
	case top >= room:
		p[0] = byte(-room)
		low = n
	case n > floor:
		p[0] = byte(top | -2*room)
	default:
		p[0] = byte(top)
	}
	for i := range low {
		p[1+i] = byte(v >> (8 * i))
	}
	w.Commit(1 + low)
}

// VString writes a vstring (rsync-wire.md §6).
func (w *Writer) VString(s string) {
	if len(s) > MaxVString || strings.IndexByte(s, 0) >= 0 {
		w.setErr(fmt.Errorf("string %.80q: more than %d bytes, or a NUL inside", s, MaxVString))
		return
	}
	if len(s) >= 0x80 {
		w.Byte(byte(len(s)>>8) | 0x80)
	}
	w.Byte(byte(len(s)))
	w.text(s)
}

// NDX writes an index (rsync-wire.md §6.3).
func (w *Writer) NDX(v int32) {
	if v == math.MinInt32 {
		w.setErr(fmt.Errorf("index %d cannot be coded", v))
		return
	}
	w.Commit(len(w.ndx.encode(w.Reserve(6)[:0], v)))
}

// Bytes writes p, of any length, as it is.
func (w *Writer) Bytes(p []byte) { put(w, p) }

func (w *Writer) text(s string) { put(w, s) }

// put fills frame after frame: unlike Reserve it may split what it writes.
func put[T []byte | string](w *Writer, p T) {
	for len(p) > 0 {
		if w.limit == w.n {
			w.room(1)
		}
		n := copy(w.buf[w.n:w.limit], p)
		w.n += n
		p = p[n:]
	}
}
