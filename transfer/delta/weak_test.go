package delta

import (
	"testing"

	"pgregory.net/rapid"
)

// plainWeak is the definition of rsync-wire.md §10.5, byte by byte.
func plainWeak(p []byte) uint32 {
	var s1, s2 int32
	for _, c := range p {
		s1 += int32(int8(c))
		s2 += s1
	}
	return uint32(s1)&0xffff | uint32(s2)<<16
}

func TestWeakGivesTheDocumentedValues(t *testing.T) {
	for _, c := range []struct {
		name string
		in   string
		want uint32
	}{
		{"nothing is zero", "", 0},
		{"abc", "abc", 0x024a0126},
		{"bytes above 127 count as negative", "\xff\xff\xff", 0xfffafffd},
		{"the first 700 bytes of gen(t1.ibd)", string(gen("t1.ibd", 700)), 0xbba3f891},
	} {
		if got := Weak([]byte(c.in)); got != c.want {
			t.Errorf("%s: got %08x, want %08x", c.name, got, c.want)
		}
	}
}

func TestWeakOfExtremeBytesDoesNotOverflowALane(t *testing.T) {
	for _, fill := range []byte{0x00, 0x7f, 0x80, 0xff} {
		for _, n := range []int{1, 7, 8, 127, 128, 129, 255, 256, 700, 4096, 16384, 73264, 131072} {
			p := make([]byte, n)
			for i := range p {
				p[i] = fill
			}
			if got, want := Weak(p), plainWeak(p); got != want {
				t.Errorf("%d bytes of %02x: got %08x, want %08x", n, fill, got, want)
			}
		}
	}
}

func TestWeakEqualsTheDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 0, 1000).Draw(t, "p")
		if got, want := Weak(p), plainWeak(p); got != want {
			t.Fatalf("got %08x, want %08x", got, want)
		}
	})
}

func TestARollingWindowHasTheSumOfItsBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 1, 600).Draw(t, "p")
		n := rapid.IntRange(1, len(p)).Draw(t, "window")
		var r Roll
		for _, c := range p[:n] {
			r.Add(c)
		}
		if got, want := r.Sum(), plainWeak(p[:n]); got != want {
			t.Fatalf("growing: got %08x, want %08x", got, want)
		}
		r = NewRoll(p[:n])
		for o := 1; o+n <= len(p); o++ {
			r.Roll(p[o-1], p[o+n-1])
			if got, want := r.Sum(), plainWeak(p[o:o+n]); got != want {
				t.Fatalf("at %d: got %08x, want %08x", o, got, want)
			}
		}
		for w := p[len(p)-n:]; len(w) > 0; w = w[1:] {
			if got, want := r.Sum(), plainWeak(w); got != want {
				t.Fatalf("shrinking to %d: got %08x, want %08x", len(w), got, want)
			}
			r.Out(w[0])
		}
	})
}

func BenchmarkWeak(b *testing.B) {
	for _, n := range []int{700, 16384, 131072} {
		p := gen("bench", n)
		b.Run(sizeName(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				Weak(p)
			}
		})
	}
}
