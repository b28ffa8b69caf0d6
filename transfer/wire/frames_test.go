package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func frame(t Tag, payload []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(payload))
	putHeader(b, t, len(payload))
	return append(b, payload...)
}

// The table of rsync-wire.md §5.2: which tags may come, and how long they may be.
func TestMessagesOfTheTable(t *testing.T) {
	type row struct {
		tag    Tag
		proto  int
		length int
		says   string // empty: accepted
	}
	var rows []row
	for _, text := range []Tag{ErrorXfer, Info, Error, Warning} {
		rows = append(rows, row{text, 30, 0, ""}, row{text, 32, 1, ""}, row{text, 32, 5119, ""},
			row{text, 32, 5120, text.String() + " with 5120 bytes"}, row{text, 32, 1<<24 - 1, "with 16777215 bytes"})
	}
	for _, number := range []Tag{IOError, Success, NoSend} {
		rows = append(rows, row{number, 30, 4, ""}, row{number, 32, 4, ""}, row{number, 32, 3, "with 3 bytes"},
			row{number, 32, 5, "with 5 bytes"}, row{number, 32, 0, number.String() + " with 0 bytes"})
	}
	for _, recent := range []Tag{IOTimeout, ErrorExit} {
		rows = append(rows, row{recent, 31, 4, ""}, row{recent, 32, 4, ""},
			row{recent, 30, 4, recent.String() + " in protocol 30"}, row{recent, 32, 2, "with 2 bytes"})
	}
	rows = append(rows, row{ErrorExit, 31, 0, ""}, row{IOTimeout, 31, 0, "IO_TIMEOUT with 0 bytes"},
		row{Noop, 30, 0, ""}, row{Noop, 32, 0, ""}, row{Noop, 30, 1, "NOOP with 1 bytes"},
		row{Deleted, 30, 4097, ""}, row{Deleted, 32, 0, "DELETED with 0 bytes"}, row{Deleted, 32, 5120, "with 5120 bytes"})
	for tag := range Tag(249) {
		if known := slices.ContainsFunc(rows, func(r row) bool { return r.tag == tag }); !known && tag != TagData {
			rows = append(rows, row{tag, 32, 4, fmt.Sprintf("unknown message tag %d ", tag)})
		}
	}
	for _, tt := range rows {
		t.Run(fmt.Sprintf("%v of %d bytes in protocol %d", tt.tag, tt.length, tt.proto), func(t *testing.T) {
			payload := bytes.Repeat([]byte{'x'}, tt.length)
			r := NewReader(bytes.NewReader(append(frame(tt.tag, payload), frame(TagData, []byte{42})...)))
			defer r.Release()
			var got []Tag
			r.StartMux(tt.proto, func(m Message) error {
				if !bytes.Equal(m.Data, payload) {
					t.Errorf("payload %.20q", m.Data)
				}
				got = append(got, m.Tag)
				return nil
			})
			b, err := r.Byte()
			if tt.says != "" {
				checkRefused(t, err, "5.2", tt.says)
				return
			}
			if err != nil || b != 42 || !slices.Equal(got, []Tag{tt.tag}) {
				t.Errorf("byte %d, %v, messages %v", b, err, got)
			}
		})
	}
}

func TestHeaderBelowTheTags(t *testing.T) {
	r := NewReader(bytes.NewReader([]byte{1, 2, 3, 6}))
	defer r.Release()
	r.StartMux(32, nil)
	checkRefused(t, readByte(r), "5.1", "01 02 03 06")
}

// What a peer announces is not read, and no room is made for it, before it is known to be allowed.
func TestHugeMessageIsRefusedByItsHeader(t *testing.T) {
	r := NewReader(&scripted{t, []string{"\xff\xff\xff\x09"}})
	defer r.Release()
	r.StartMux(32, nil)
	checkRefused(t, readByte(r), "5.2", "INFO with 16777215 bytes")
}

func TestEmptyDataFramesAnywhere(t *testing.T) {
	empty := frame(TagData, nil)
	var in []byte
	for _, b := range []byte{0xfe, 0x80, 3, 0, 0} { // one index, cut into bytes
		in = append(append(append(in, empty...), empty...), frame(TagData, []byte{b})...)
	}
	in = append(append(in, frame(TagData, []byte{0})...), empty...)
	r := NewReader(bytes.NewReader(in))
	defer r.Release()
	r.StartMux(31, func(m Message) error { return fmt.Errorf("%v came to the handler", m.Tag) })
	for _, want := range []int32{3, -1} {
		if v, err := r.NDX(); v != want || err != nil {
			t.Errorf("%d, %v; want %d", v, err, want)
		}
	}
	if _, err := r.NDX(); err != io.EOF {
		t.Error(err)
	}
}

func TestMessageInsideAnItemComesFirst(t *testing.T) {
	in := slices.Concat(frame(TagData, []byte{1, 2}), frame(IOError, []byte{2, 0, 0, 0}), frame(NoSend, []byte{9, 1, 0, 0}), frame(TagData, []byte{3, 4}))
	r := NewReader(bytes.NewReader(in))
	defer r.Release()
	var got []string
	r.StartMux(30, func(m Message) error {
		got = append(got, fmt.Sprint(m.Tag, m.Int()))
		return nil
	})
	if v, err := r.Int(); v != 0x04030201 || err != nil {
		t.Errorf("%x, %v", v, err)
	}
	if want := []string{"IO_ERROR 2", "NO_SEND 265"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHandlerEndsTheReading(t *testing.T) {
	stop := errors.New("stop")
	r := NewReader(bytes.NewReader(append(frame(ErrorExit, nil), frame(TagData, []byte{1})...)))
	defer r.Release()
	r.StartMux(31, func(Message) error { return stop })
	for range 2 {
		if err := readByte(r); err != stop {
			t.Error(err)
		}
	}
}

// A message that lies across the end of the buffer is moved, whatever its place.
func TestMessageAcrossTheEndOfTheBuffer(t *testing.T) {
	text := strings.Repeat("m", MaxMessage)
	for _, gap := range []int{0, 1, 2, 3, 4, 5, 100, MaxMessage, MaxMessage + headerLen} {
		filler := bufferLen - gap - headerLen
		r := NewReader(bytes.NewReader(slices.Concat(frame(TagData, make([]byte, filler)), frame(Warning, []byte(text)), frame(TagData, []byte{7}))))
		var got string
		r.StartMux(31, func(m Message) error { got = string(m.Data); return nil })
		if err := r.Full(make([]byte, filler)); err != nil {
			t.Fatal(err)
		}
		if b, err := r.Byte(); b != 7 || err != nil || got != text {
			t.Errorf("gap %d: %d, %v, %.20q", gap, b, err, got)
		}
		r.Release()
	}
}
