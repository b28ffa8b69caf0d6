package hostile

import (
	"bytes"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// kind says how a field of a session is written on the wire.
type kind byte

const (
	kLine    kind = iota // text of the handshake
	kArgs                // one argument of the list; an empty one ends it
	kMux                 // no bytes: from here on there are frames
	kByte                // 1 byte
	kShort               // 2 bytes
	kInt                 // 4 bytes
	kVarint              // 1 to 5 bytes
	kLength              // varlong(3)
	kTime                // varlong(4)
	kIndex               // an index, coded as the difference to the one before
	kBytes               // text as it is
	kVString             // text with its length
	kMessage             // a frame of its own: tag and text
	kPause               // no bytes: the peer has something to say first
	kinds
)

// A field is the smallest thing with a meaning of its own in one direction of a session.
type field struct {
	kind kind
	n    int64  // numbers; the tag of a message
	text string // texts; the payload of a message
}

// write puts the field on the wire with whatever lies around it: counts and frame headers are made anew, so that
// what comes behind a changed field still lies where a reader looks for it.
func (f field) write(s *stream) {
	switch f.kind {
	case kLine:
		s.w.Bytes([]byte(f.text + "\n"))
	case kArgs:
		s.w.Bytes([]byte(f.text + "\x00"))
	case kMux:
		s.mux(int(f.n))
	case kByte:
		s.w.Byte(byte(f.n))
	case kShort:
		s.w.Short(uint16(f.n))
	case kInt:
		s.w.Int(int32(f.n))
	case kVarint:
		s.w.Varint(int32(f.n))
	case kLength:
		s.w.Varlong(f.n, 3)
	case kTime:
		s.w.Varlong(f.n, 4)
	case kIndex:
		s.w.NDX(max(int32(f.n), -1<<31+1))
	case kBytes:
		s.w.Bytes([]byte(f.text))
	case kVString:
		s.vstring(f.text)
	case kMessage:
		if f.n == rawTag {
			s.w.Flush()
			s.WriteString(f.text)
			return
		}
		s.frame(byte(f.n), []byte(f.text))
	case kPause:
		s.w.Flush()
		if len(s.pauses) < maxPauses {
			s.pauses = append(s.pauses, s.Len())
		}
	}
}

// maxPauses bounds the waiting in a session; an honest one has six.
const maxPauses = 12

// A stream is what the fields of a session become.
type stream struct {
	bytes.Buffer
	w      *wire.Writer
	muxed  bool
	pauses []int // where in the bytes
}

func newStream() *stream {
	s := &stream{}
	s.w = wire.NewWriter(&s.Buffer)
	return s
}

func (s *stream) mux(proto int) {
	if !s.muxed {
		s.w.StartMux(proto)
		s.muxed = true
	}
}

// vstring writes what Writer.VString refuses, too.
func (s *stream) vstring(text string) {
	text = text[:min(len(text), wire.MaxVString)]
	if len(text) >= 0x80 {
		s.w.Byte(byte(len(text)>>8) | 0x80)
	}
	s.w.Byte(byte(len(text)))
	s.w.Bytes([]byte(text))
}

// frame writes a message that may be of no kind there is.
func (s *stream) frame(tag byte, payload []byte) {
	s.w.Flush()
	n := len(payload)
	s.Write([]byte{byte(n), byte(n >> 8), byte(n >> 16), tag + 7})
	s.Write(payload)
}

// encode writes a whole direction.
func encode(fields []field) *stream {
	s := newStream()
	for _, f := range fields {
		f.write(s)
	}
	s.w.Flush()
	s.w.Release()
	return s
}
