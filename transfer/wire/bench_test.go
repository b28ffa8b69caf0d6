package wire

import (
	"io"
	"testing"
)

const literal = 32 << 10

// BenchmarkLiterals is the way of a file's bytes into the connection, without the file and without the connection: a token
// and room for 32 KiB in one piece.
func BenchmarkLiterals(b *testing.B) {
	w := NewWriter(io.Discard)
	defer w.Release()
	w.StartMux(32)
	b.SetBytes(literal)
	b.ReportAllocs()
	for b.Loop() {
		p := w.Reserve(4 + literal)
		p[0], p[1], p[2], p[3] = 0, literal>>8, 0, 0
		w.Commit(4 + literal)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLiteralsCopied is the same with the bytes copied in, as reading a cached file would.
func BenchmarkLiteralsCopied(b *testing.B) {
	w := NewWriter(io.Discard)
	defer w.Release()
	w.StartMux(32)
	file := make([]byte, literal)
	b.SetBytes(literal)
	b.ReportAllocs()
	for b.Loop() {
		p := w.Reserve(4 + literal)
		copy(p[4:], file)
		w.Commit(len(p))
	}
}

// BenchmarkNext is the way back: frames of one literal each, from a connection that costs one copy.
func BenchmarkNext(b *testing.B) {
	one := frame(TagData, make([]byte, 4+literal))
	r := NewReader(&endlessFrames{frame: one})
	defer r.Release()
	r.StartMux(32, nil)
	b.SetBytes(literal)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Int(); err != nil {
			b.Fatal(err)
		}
		for left := literal; left > 0; {
			p, err := r.Next(left)
			if err != nil {
				b.Fatal(err)
			}
			left -= len(p)
		}
	}
}

// endlessFrames repeats a frame, filling whatever it is given.
type endlessFrames struct {
	frame []byte
	at    int
}

func (e *endlessFrames) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.frame[e.at:])
		n += k
		e.at = (e.at + k) % len(e.frame)
	}
	return n, nil
}

// BenchmarkTokens writes and reads what a file that matches its basis costs: one int per block.
func BenchmarkTokens(b *testing.B) {
	w := NewWriter(io.Discard)
	defer w.Release()
	w.StartMux(32)
	b.ReportAllocs()
	for b.Loop() {
		w.Int(-1)
	}
}

// BenchmarkInts reads them.
func BenchmarkInts(b *testing.B) {
	r := NewReader(&endlessFrames{frame: frame(TagData, make([]byte, MaxFrame))})
	defer r.Release()
	r.StartMux(32, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Int(); err != nil {
			b.Fatal(err)
		}
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	w := NewWriter(io.Discard)
	defer w.Release()
	w.StartMux(32)
	r := NewReader(&endlessFrames{frame: frame(TagData, make([]byte, MaxFrame))})
	defer r.Release()
	r.StartMux(32, nil)
	text := []byte("text\n")
	for name, f := range map[string]func(){
		"Reserve and Commit": func() { w.Commit(len(w.Reserve(4 + literal))) },
		"Int":                func() { w.Int(-1) },
		"Varlong":            func() { w.Varlong(1<<40, 3) },
		"NDX":                func() { w.NDX(100); w.NDX(-101) },
		"Flush":              func() { w.Byte(1); w.Flush() },
		"Message":            func() { w.Message(Info, text) },
		"KeepAlive":          func() { w.KeepAlive() },
		"Next":               func() { r.Next(literal) },
		"reading ints":       func() { r.Int(); r.Varint(); r.Varlong(3); r.NDX() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
