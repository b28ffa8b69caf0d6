package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An item reads one thing and throws it away.
type item func(*Reader) error

var (
	readByte     item = func(r *Reader) error { _, err := r.Byte(); return err }
	readShort    item = func(r *Reader) error { _, err := r.Short(); return err }
	readInt      item = func(r *Reader) error { _, err := r.Int(); return err }
	readVarint   item = func(r *Reader) error { _, err := r.Varint(); return err }
	readVarlong3 item = func(r *Reader) error { _, err := r.Varlong(3); return err }
	readVString  item = func(r *Reader) error { _, err := r.VString(MaxNegotiation); return err }
	readNDX      item = func(r *Reader) error { _, err := r.NDX(); return err }
	readLine     item = func(r *Reader) error { _, err := r.Line(20); return err }
	readArgs     item = func(r *Reader) error { _, err := r.Args(); return err }
	readFull     item = func(r *Reader) error { return r.Full(make([]byte, 3)) }
	readNext     item = func(r *Reader) error { _, err := r.Next(1); return err }
)

func TestRefusedItems(t *testing.T) {
	tests := []struct {
		name    string
		read    item
		input   string
		section string
		says    string
	}{
		{"varint of six bytes", readVarint, "f8 00 00 00 00 00", "6.1", "varint begins with 0xf8"},
		{"varint of seven bytes", readVarint, "ff 00 00 00 00 00 00", "6.1", "varint begins with 0xff"},
		{"string longer than allowed", readVString, "81 00", "6", "256 bytes where 255 are allowed"},
		{"string with a NUL", readVString, "03 61 00 62", "6", `"a\x00b" holds a NUL`},
		{"index beyond 31 bits by a difference", func(r *Reader) error { readNDX(r); return readNDX(r) }, "fe ff ff ff ff 01", "6.3", "beyond 31 bits"},
		{"negative index with magnitude zero", readNDX, "ff fe 80 00 00 00", "6.3", "magnitude 0"},
		{"negative sign twice", readNDX, "ff ff", "6.3", "ff ff"},
		{"negative sign and done", readNDX, "ff 00", "6.3", "ff 00"},
		{"line with a NUL", readLine, "61 00", "2", `"a" goes on with a NUL`},
		{"line without end", readLine, strings.Repeat("61", 21), "2", "more than 20 bytes"},
		{"argument without end", readArgs, strings.Repeat("61", MaxArg+1), "3.1", "more than 5120 bytes"},
		{"too many arguments", readArgs, strings.Repeat("61 00", MaxArgs+1), "3.1", "more than 16000 arguments"},
		{"too many bytes of arguments", readArgs, strings.Repeat(strings.Repeat("61", 5000)+"00", 300), "3.1", "more than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(unhex(t, tt.input)))
			defer r.Release()
			checkRefused(t, tt.read(r), tt.section, tt.says)
			if err := readByte(r); err == nil {
				t.Error("the next read went well")
			}
		})
	}
}

func checkRefused(t *testing.T, err error, section, says string) {
	t.Helper()
	var p *ProtocolError
	if !errors.As(err, &p) {
		t.Fatalf("%v, want a protocol error", err)
	}
	if p.Section != section || !strings.Contains(p.Error(), says) {
		t.Errorf("%v, want §%s and %q", err, section, says)
	}
}

func TestVarlongLongerThanItsFloorAllows(t *testing.T) {
	r := NewReader(bytes.NewReader(unhex(t, "fc 00 00 00 00 00 00 00 00 00")))
	defer r.Release()
	_, err := r.Varlong(4)
	checkRefused(t, err, "6.2", "varlong(4) begins with 0xfc")
}

func TestCarriageReturnsAreDropped(t *testing.T) {
	r := NewReader(strings.NewReader("a\rb\r\n"))
	defer r.Release()
	if s, err := r.Line(2); s != "ab" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
}

// End of input: io.EOF where an item might have begun, io.ErrUnexpectedEOF in the middle of one, in and out of frames.
func TestEndOfInput(t *testing.T) {
	tests := []struct {
		name  string
		read  item
		input string // a whole item: every proper prefix of it is cut off inside
	}{
		{"short", readShort, "01 02"},
		{"int", readInt, "01 02 03 04"},
		{"varint", readVarint, "f0 01 02 03 04"},
		{"varlong", readVarlong3, "fc 00 00 00 00 00 00 00 40"},
		{"string", readVString, "80 83 " + strings.Repeat("61", 0x83)},
		{"index", readNDX, "ff fe 80 02 00 00"},
		{"line", readLine, "61 62 0a"},
		{"arguments", readArgs, "61 00 62 00 00"},
		{"fixed bytes", readFull, "01 02 03"},
	}
	for _, tt := range tests {
		whole := unhex(t, tt.input)
		for n := range len(whole) + 1 {
			for _, framed := range []bool{false, true} {
				input, want := whole[:n], io.ErrUnexpectedEOF
				if framed {
					input = frame(TagData, input)
				}
				if n == 0 {
					want = io.EOF
				} else if n == len(whole) {
					want = nil
				}
				r := NewReader(iotest.DataErrReader(bytes.NewReader(input)))
				if framed {
					r.StartMux(32, nil)
				}
				if err := tt.read(r); err != want {
					t.Errorf("%s, %d of %d bytes, framed %v: %v, want %v", tt.name, n, len(whole), framed, err, want)
				}
				r.Release()
			}
		}
	}
}

func TestEndOfInputInsideAFrame(t *testing.T) {
	for name, input := range map[string][]byte{
		"in the header":           {1, 0, 0},
		"behind the header":       {1, 0, 0, 7},
		"in a message":            {2, 0, 0, 9, 'a'},
		"behind a message's head": {2, 0, 0, 9},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(input))
			defer r.Release()
			r.StartMux(32, nil)
			if err := readNext(r); err != io.ErrUnexpectedEOF {
				t.Error(err)
			}
		})
	}
}

// A failure of the connection comes after the bytes that arrived with it, and stays.
func TestConnectionFailsWithTheLastBytes(t *testing.T) {
	broken := errors.New("broken")
	r := NewReader(iotest.DataErrReader(io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken))))
	defer r.Release()
	for _, want := range []error{nil, nil, broken, broken} {
		if err := readByte(r); err != want {
			t.Fatalf("%v, want %v", err, want)
		}
	}
}

func TestConnectionThatReturnsNothing(t *testing.T) {
	r := NewReader(nothing{})
	defer r.Release()
	if err := readByte(r); err != io.ErrNoProgress {
		t.Error(err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// scripted is a connection whose Reads return one piece each; a Read beyond the last piece is a test failure, as a real one
// would block there.
type scripted struct {
	t      *testing.T
	pieces []string
}

func (s *scripted) Read(p []byte) (int, error) {
	if len(s.pieces) == 0 {
		s.t.Fatal("read on although the bytes wanted had come")
	}
	n := copy(p, s.pieces[0])
	s.pieces = s.pieces[1:]
	return n, nil
}

func TestReaderNeverWaitsForMoreThanItNeeds(t *testing.T) {
	r := NewReader(&scripted{t, []string{
		"line\nar", "g\x00\x00", // handshake
		"\x00\x00\x10\x07first", // a frame of 1 MiB: nobody waits for its end
		"second",
	}})
	defer r.Release()
	if s, err := r.Line(100); s != "line" || err != nil {
		t.Fatal(s, err)
	}
	if a, err := r.Args(); len(a) != 1 || a[0] != "arg" || err != nil {
		t.Fatal(a, err)
	}
	r.StartMux(31, nil)
	for _, want := range []string{"first", "second"} {
		if p, err := r.Next(1000); string(p) != want || err != nil {
			t.Fatalf("%q, %v; want %q", p, err, want)
		}
	}
}

func TestUseAfterRelease(t *testing.T) {
	r := NewReader(strings.NewReader("abc"))
	if err := readByte(r); err != nil {
		t.Fatal(err)
	}
	r.Release()
	for _, read := range []item{readByte, readNext, readFull} {
		if err := read(r); err != errReleased {
			t.Error(err)
		}
	}
	w := NewWriter(io.Discard)
	w.Release()
	if err := w.Flush(); err != errReleased {
		t.Error(err)
	}
}
