package captest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// direction is one half of a recorded connection. Its reading methods write what they read again, so that reading a session
// through rebuilds it in out.
type direction struct {
	t    *testing.T
	name string
	raw  []byte
	r    *wire.Reader
	w    *wire.Writer
	out  bytes.Buffer // the session written again, without frames

	handshake int // bytes of raw before the first frame; -1 as long as there is none
	messages  []message
}

type message struct {
	tag  wire.Tag
	data string
}

func newDirection(t *testing.T, name string, raw []byte) *direction {
	d := &direction{t: t, name: name, raw: raw, r: wire.NewReader(bytes.NewReader(raw)), handshake: -1}
	d.w = wire.NewWriter(&d.out)
	t.Cleanup(func() {
		d.r.Release()
		d.w.Release()
	})
	return d
}

// frames says that the text and setup part is over. What has been written again tells its length.
func (d *direction) frames(proto int) {
	d.flush()
	d.handshake = d.out.Len()
	d.r.StartMux(proto, func(m wire.Message) error {
		d.messages = append(d.messages, message{m.Tag, string(m.Data)})
		return nil
	})
}

// end compares everything that was written again with the recording, which must have been read to its last byte.
func (d *direction) end(proto int) {
	d.t.Helper()
	if _, err := d.r.Byte(); err != io.EOF {
		d.t.Errorf("%s: something is left behind the end, error %v", d.name, err)
	}
	d.flush()
	if d.handshake < 0 {
		d.same("handshake", d.out.Bytes(), d.raw)
		return
	}
	stream, messages, err := demultiplex(d.raw[d.handshake:])
	if err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
	d.same("handshake", d.out.Bytes()[:d.handshake], d.raw[:d.handshake])
	d.same("stream", d.out.Bytes()[d.handshake:], stream)

	var again bytes.Buffer
	w := wire.NewWriter(&again)
	defer w.Release()
	w.StartMux(proto)
	for _, m := range d.messages {
		d.must(w.Message(m.tag, []byte(m.data)))
	}
	d.must(w.Flush())
	d.same("messages", again.Bytes(), messages)
}

func (d *direction) same(what string, got, want []byte) {
	d.t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	from := max(0, i-16)
	d.t.Errorf("%s: the %s differs at byte %d (%d bytes, recorded %d)\ngot      ... % x\nrecorded ... % x",
		d.name, what, i, len(got), len(want), got[from:min(len(got), i+32)], want[from:min(len(want), i+32)])
}

// demultiplex splits frames by the definition of rsync-wire.md §5.1, without our own code: the bytes of the data frames, and
// all other frames with their headers.
func demultiplex(raw []byte) (stream, messages []byte, err error) {
	for len(raw) > 0 {
		if len(raw) < 4 {
			return nil, nil, fmt.Errorf("the recording ends inside a frame header")
		}
		word := binary.LittleEndian.Uint32(raw)
		end := 4 + int(word&0xffffff)
		if len(raw) < end {
			return nil, nil, fmt.Errorf("the recording ends inside a frame")
		}
		if word>>24 == 7 {
			stream = append(stream, raw[4:end]...)
		} else {
			messages = append(messages, raw[:end]...)
		}
		raw = raw[end:]
	}
	return stream, messages, nil
}

func (d *direction) flush() { d.t.Helper(); d.must(d.w.Flush()) }

func (d *direction) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("%s, after %d bytes: %v", d.name, d.out.Len(), err)
	}
}

func (d *direction) line() string {
	v, err := d.r.Line(wire.MaxLine)
	d.must(err)
	d.w.Line(v)
	return v
}

func (d *direction) args() []string {
	v, err := d.r.Args()
	d.must(err)
	d.w.Args(v)
	return v
}

func (d *direction) byte() byte {
	v, err := d.r.Byte()
	d.must(err)
	d.w.Byte(v)
	return v
}

func (d *direction) short() uint16 {
	v, err := d.r.Short()
	d.must(err)
	d.w.Short(v)
	return v
}

func (d *direction) int() int32 {
	v, err := d.r.Int()
	d.must(err)
	d.w.Int(v)
	return v
}

func (d *direction) varint() int32 {
	v, err := d.r.Varint()
	d.must(err)
	d.w.Varint(v)
	return v
}

func (d *direction) varlong(floor int) int64 {
	v, err := d.r.Varlong(floor)
	d.must(err)
	d.w.Varlong(v, floor)
	return v
}

func (d *direction) vstring(most int) string {
	v, err := d.r.VString(most)
	d.must(err)
	d.w.VString(v)
	return v
}

func (d *direction) bytes(n int) []byte {
	p := make([]byte, n)
	d.must(d.r.Full(p))
	d.w.Bytes(p)
	return p
}

// ndx reads an index; more is false at the end of the recording.
func (d *direction) ndx() (v int32, more bool) {
	v, err := d.r.NDX()
	if err == io.EOF {
		return 0, false
	}
	d.must(err)
	d.w.NDX(v)
	return v, true
}
