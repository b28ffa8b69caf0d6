package delta

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// page is what InnoDB writes at a time.
const page = 16384

func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	r.Read(p)
	return p
}

// equalPages is n bytes of the same page over and over.
func equalPages(n int) []byte { return bytes.Repeat(random(9, page), n/page) }

// scenarios are pairs of old and new files as a database makes them, and as one would make them to annoy us.
func scenarios(n int) []struct {
	name     string
	old, new []byte
} {
	base := random(1, n)
	pages := bytes.Clone(base)
	rnd := rand.New(rand.NewPCG(3, 4))
	for range n / page / 100 {
		copy(pages[rnd.IntN(n/page)*page:][:page], random(5, page))
	}
	equal := equalPages(n)
	type pair = struct {
		name     string
		old, new []byte
	}
	return []pair{
		{"unchanged", base, base},
		{"1%-of-pages-changed", base, pages},
		{"random", base, random(2, n)},
		{"equal-pages", equal, equal},
		{"equal-pages-shifted-by-one", equal, append(bytes.Clone(equal[1:]), equal[0])},
		{"equal-pages-where-others-were", base, equal},
		{"others-where-equal-pages-were", equal, base},
		{"one-byte-deleted", base, base[1:]},
		{"one-byte-inserted", base, append([]byte{1}, base[:n-1]...)},
		{"zeros", base, make([]byte, n)},
	}
}

func BenchmarkMatch(b *testing.B) {
	const n = 128 << 20
	a := lookup(b, "xxh128", -7, true)
	for _, c := range scenarios(n) {
		b.Run(c.name, func(b *testing.B) {
			sums := describe(b, a, c.old, Plan(n, 16, false))
			w := wire.NewWriter(io.Discard)
			defer w.Release()
			s := NewFileSender(a)
			f := bytes.NewReader(c.new)
			b.SetBytes(int64(len(c.new)))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Match(b.Context(), w, f, int64(len(c.new)), sums); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(s.Sent().Literal)/float64(s.Sent().Size()), "%literal")
		})
	}
}

func BenchmarkWhole(b *testing.B) {
	const n = 64 << 20
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, random(1, n), 0o600); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for _, algorithm := range []string{"xxh128", "xxh64", "md5"} {
		b.Run(algorithm, func(b *testing.B) {
			s := NewFileSender(lookup(b, algorithm, 0, true))
			w := wire.NewWriter(io.Discard)
			defer w.Release()
			b.SetBytes(n)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Whole(b.Context(), w, f, n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWriteSums(b *testing.B) {
	const n = 64 << 20
	a := lookup(b, "xxh128", -7, true)
	f := bytes.NewReader(random(1, n))
	w := wire.NewWriter(io.Discard)
	defer w.Release()
	b.SetBytes(n)
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteSums(b.Context(), w, Plan(n, 16, false), a, f); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReceive is the receiver's part without writing: whole file, and references to blocks.
func BenchmarkReceive(b *testing.B) {
	const n = 64 << 20
	a := lookup(b, "xxh128", -7, true)
	data := random(1, n)
	h := Plan(n, 16, false)
	for name, sums := range map[string]*Sums{"literals": nil, "blocks": describe(b, a, data, h)} {
		body, _, err := matchReply(b, a, sums, bytes.NewReader(data), n)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			v := NewReceiver(a)
			sink := discard{h, data}
			b.SetBytes(n)
			b.ReportAllocs()
			for b.Loop() {
				r := wire.NewReader(bytes.NewReader(body))
				if _, ok, err := v.Receive(r, h, sink); !ok || err != nil {
					b.Fatal(ok, err)
				}
				r.Release()
			}
		})
	}
}

type discard struct {
	head SumHead
	old  []byte
}

func (discard) Literal([]byte) error { return nil }

func (s discard) Copy(block int32) ([]byte, error) {
	off, n := s.head.Block(block)
	return s.old[off:][:n], nil
}
