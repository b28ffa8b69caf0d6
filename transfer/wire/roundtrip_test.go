package wire

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A step writes something, or reads it and tells whether it is the same.
type step struct {
	name  string
	write func(*Writer)
	read  func(*Reader) (any, error)
	want  any // comparable
}

// Numbers near the places where an encoding changes are what breaks encoders.
var edges = rapid.Custom(func(t *rapid.T) int64 {
	v := int64(1)<<rapid.IntRange(0, 62).Draw(t, "bit") + rapid.Int64Range(-2, 2).Draw(t, "off")
	if rapid.Bool().Draw(t, "negative") {
		v = -v
	}
	return v
})

var anyStep = rapid.Custom(func(t *rapid.T) step {
	wide := rapid.OneOf(rapid.Int64(), edges).Draw(t, "value")
	v := int32(wide)
	switch kind := rapid.SampledFrom([]string{"byte", "short", "int", "varint", "varlong", "vstring", "ndx", "bytes", "literal"}).Draw(t, "kind"); kind {
	case "byte":
		return step{kind, func(w *Writer) { w.Byte(byte(v)) }, func(r *Reader) (any, error) { return r.Byte() }, byte(v)}
	case "short":
		return step{kind, func(w *Writer) { w.Short(uint16(v)) }, func(r *Reader) (any, error) { return r.Short() }, uint16(v)}
	case "int":
		return step{kind, func(w *Writer) { w.Int(v) }, func(r *Reader) (any, error) { return r.Int() }, v}
	case "varint":
		return step{kind, func(w *Writer) { w.Varint(v) }, func(r *Reader) (any, error) { return r.Varint() }, v}
	case "varlong":
		floor := rapid.IntRange(3, 8).Draw(t, "floor")
		return step{kind, func(w *Writer) { w.Varlong(wide, floor) }, func(r *Reader) (any, error) { return r.Varlong(floor) }, wide}
	case "vstring":
		n := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(32000, MaxVString)).Draw(t, "length")
		s := string(bytes.Repeat([]byte{'x'}, n))
		return step{kind, func(w *Writer) { w.VString(s) }, func(r *Reader) (any, error) { return r.VString(n) }, s}
	case "ndx":
		if v == math.MinInt32 {
			v++
		}
		return step{kind, func(w *Writer) { w.NDX(v) }, func(r *Reader) (any, error) { return r.NDX() }, v}
	case "bytes":
		p := pattern(rapid.OneOf(rapid.IntRange(0, 50), rapid.IntRange(60000, 200000)).Draw(t, "length"), byte(v))
		return step{kind, func(w *Writer) { w.Bytes(p) }, func(r *Reader) (any, error) {
			got := make([]byte, len(p))
			err := r.Full(got)
			return string(got), err
		}, string(p)}
	default:
		p := pattern(rapid.OneOf(rapid.IntRange(1, 50), rapid.IntRange(30000, MaxReserve)).Draw(t, "length"), byte(v))
		spare := rapid.IntRange(0, MaxReserve-len(p)).Draw(t, "spare")
		return step{kind, func(w *Writer) { w.Commit(copy(w.Reserve(len(p)+spare), p)) }, func(r *Reader) (any, error) {
			var got []byte
			for len(got) < len(p) {
				b, err := r.Next(len(p) - len(got))
				if err != nil {
					return nil, err
				}
				got = append(got, b...)
			}
			return string(got), nil
		}, string(p)}
	}
})

func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = seed + byte(i*7) + byte(i>>8)
	}
	return p
}

// Whatever is written comes out again, with and without frames, however the connection cuts it, with messages, keep-alives
// and flushes anywhere between.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var conn bytes.Buffer
		w := NewWriter(&conn)
		defer w.Release()
		proto := rapid.SampledFrom([]int{0, 30, 31, 32}).Draw(t, "protocol")
		if proto > 0 {
			w.Line("@RSYNCD: OK")
			w.StartMux(proto)
		}
		steps := rapid.SliceOfN(anyStep, 1, 20).Draw(t, "steps")
		var sent []string
		for _, s := range steps {
			s.write(w)
			if rapid.Bool().Draw(t, "flush") {
				w.Flush()
			}
			if proto > 0 && rapid.Bool().Draw(t, "message") {
				text := fmt.Sprintf("%s\n", s.name)
				if err := w.Message(Info, []byte(text)); err != nil {
					t.Fatal(err)
				}
				sent = append(sent, text)
				if err := w.KeepAlive(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if int(w.Count()) != conn.Len() {
			t.Fatalf("Count says %d, %d were written", w.Count(), conn.Len())
		}
		checkFrames(t, conn.Bytes(), proto)

		r := NewReader(&choppy{src: &conn, size: rapid.SampledFrom([]int{1, 3, 100, 5000, 1 << 20}).Draw(t, "pieces")})
		defer r.Release()
		var got []string
		if proto > 0 {
			if line, err := r.Line(MaxLine); err != nil || line != "@RSYNCD: OK" {
				t.Fatal(line, err)
			}
			r.StartMux(proto, func(m Message) error {
				if m.Tag == Info {
					got = append(got, string(m.Data))
				}
				return nil
			})
		}
		for i, s := range steps {
			v, err := s.read(r)
			if err != nil {
				t.Fatalf("step %d, %s: %v", i, s.name, err)
			}
			if v != s.want {
				t.Fatalf("step %d, %s: read %.100q, want %.100q", i, s.name, fmt.Sprint(v), fmt.Sprint(s.want))
			}
		}
		if _, err := r.Byte(); err != io.EOF {
			t.Fatalf("after the last item: %v, want EOF", err)
		}
		if d := cmp.Diff(sent, got); d != "" {
			t.Fatalf("messages: %s", d)
		}
	})
}

// checkFrames walks the frames a Writer made.
func checkFrames(t *rapid.T, b []byte, proto int) {
	if proto == 0 {
		return
	}
	b = b[len("@RSYNCD: OK\n"):]
	for len(b) > 0 {
		h := le32(b)
		n := int(h & 0xffffff)
		if n > MaxFrame {
			t.Fatalf("frame of %d bytes", n)
		}
		if n == 0 && h>>24 == tagBase && proto == 30 {
			t.Fatal("empty data frame in protocol 30")
		}
		b = b[headerLen+n:]
	}
}

// choppy gives its input in small pieces.
type choppy struct {
	src  io.Reader
	size int
}

func (c *choppy) Read(p []byte) (int, error) { return c.src.Read(p[:min(len(p), c.size)]) }
