package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"testing"
	"testing/iotest"
)

// FuzzReader reads what the fuzzer likes as items the fuzzer likes, twice: from a connection that gives all at once and from
// one that gives single bytes. Both must tell the same story, without a panic, and without much memory.
func FuzzReader(f *testing.F) {
	f.Add(0, []byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"), []byte("@RSYNCD: 31.0\nmodule\n--server\x00.\x00\x00"))
	f.Add(31, []byte{6, 6, 6, 6, 8, 8}, slices.Concat(frame(TagData, []byte{1, 0xff, 0x65, 0xfe}), frame(Info, []byte("x\n")), frame(TagData, []byte{0x80, 3, 0, 0, 1})))
	f.Add(30, []byte{9}, slices.Concat(frame(Noop, nil), frame(TagData, nil), frame(IOError, []byte{1, 0, 0, 0}), frame(9, nil)))
	for _, name := range []string{"a-whole-p32.s2c", "e-ioerr-c.c2s", "e-readonly.s2c"} {
		b, err := os.ReadFile(filepath.Join(captures, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(0, []byte{7, 7, 7, 9}, b)
		f.Add(31, []byte{9}, b[min(len(b), 95):])
	}
	f.Fuzz(func(t *testing.T, proto int, script, input []byte) {
		if len(script) == 0 || len(script) > 1000 {
			return
		}
		before := allocated()
		whole := story(t, bytes.NewReader(input), proto, script)
		if n := allocated() - before; n > 8<<20+uint64(1000*(len(script)+len(input))) {
			t.Errorf("%d bytes of input took %d bytes of memory", len(input), n)
		}
		pieces := story(t, iotest.OneByteReader(bytes.NewReader(input)), proto, script)
		if whole != pieces {
			t.Fatalf("at once:\n%s\nbyte by byte:\n%s", whole, pieces)
		}
	})
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// story reads item after item, the script telling the kinds, until the first error, and tells what came.
func story(t *testing.T, src io.Reader, proto int, script []byte) string {
	var told bytes.Buffer
	r := NewReader(src)
	defer r.Release()
	if proto != 0 {
		r.StartMux(proto, func(m Message) error {
			fmt.Fprintf(&told, "%v %q %d\n", m.Tag, m.Data, m.Int())
			return nil
		})
	}
	var reached int64
	for i := 0; ; i++ {
		v, err := oneItem(r, script[i%len(script)])
		if err != nil {
			var p *ProtocolError
			if !errors.As(err, &p) && err != io.EOF && err != io.ErrUnexpectedEOF {
				t.Errorf("neither the peer's fault nor the end of input: %v", err)
			}
			fmt.Fprintln(&told, err)
			if _, again := r.Byte(); again != err {
				t.Errorf("first %v, then %v", err, again)
			}
			return told.String()
		}
		fmt.Fprintf(&told, "%v\n", v)
		used := r.Count() - int64(r.w-r.r)
		if used < reached || used == reached && i > 0 {
			t.Fatalf("item %d ended at %d, the one before at %d", i, used, reached)
		}
		reached = used
	}
}

func oneItem(r *Reader, kind byte) (any, error) {
	switch kind % 10 {
	case 0:
		return r.Byte()
	case 1:
		return r.Short()
	case 2:
		return r.Int()
	case 3:
		return r.Varint()
	case 4:
		return r.Varlong(3 + int(kind/10)%6)
	case 5:
		return r.VString(MaxNegotiation)
	case 6:
		return r.NDX()
	case 7:
		return r.Line(MaxLine)
	case 8:
		a, err := r.Args()
		return fmt.Sprintf("%q", a), err
	default: // as a literal is read: the pieces may differ, their sum may not
		n := 1 + int(kind)*7
		p := make([]byte, 0, n)
		for len(p) < n {
			b, err := r.Next(n - len(p))
			if err != nil {
				return nil, err
			}
			p = append(p, b...)
		}
		return fmt.Sprintf("%q", p), nil
	}
}
