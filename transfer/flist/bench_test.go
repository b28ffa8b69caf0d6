package flist

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// datadir returns n entries as a large data directory has them: 100 tables with two files each per schema, in no order.
func datadir(n int) []*Entry {
	r := rand.New(rand.NewPCG(1, 2))
	list := []*Entry{{Name: Root, Mode: TypeDir | 0o755, TopDir: true}}
	for i := 0; len(list) < n; i++ {
		schema := fmt.Sprintf("customer_%05d", i)
		list = append(list, &Entry{Name: schema, Mode: TypeDir | 0o700, Size: 4096, Mtime: 1.7e9, UID: 999, GID: 999})
		for t := 0; t < 100 && len(list) < n; t++ {
			for _, kind := range []string{"frm", "ibd"} {
				list = append(list, &Entry{
					Name: fmt.Sprintf("%s/order_items_%03d.%s", schema, t, kind),
					Mode: TypeRegular | 0o660, Size: r.Int64N(1 << 30), Mtime: 1.7e9 + r.Int64N(1e6), Nsec: r.Uint32N(1e9), UID: 999, GID: 999,
				})
			}
		}
	}
	list = list[:n]
	r.Shuffle(n, func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

var modern = Options{Proto: 32, VarintFlags: true, SafeFlist: true, ID0Names: true, Owner: true, Group: true, Links: true, Specials: true}

const benchEntries = 100_000

func BenchmarkSortShuffled(b *testing.B) {
	list := datadir(benchEntries)
	work := make([]*Entry, len(list))
	b.ReportAllocs()
	for b.Loop() {
		copy(work, list)
		Sort(work)
	}
	perEntry(b)
}

func BenchmarkSortSorted(b *testing.B) {
	list := datadir(benchEntries)
	Sort(list)
	work := make([]*Entry, len(list))
	b.ReportAllocs()
	for b.Loop() {
		copy(work, list)
		Sort(work)
	}
	perEntry(b)
}

func BenchmarkEncode(b *testing.B) {
	list := datadir(benchEntries)
	Sort(list)
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		if err := Encode(w, list, 0, modern, nil, nil); err != nil {
			b.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	perEntry(b)
}

func BenchmarkDecode(b *testing.B) {
	list := datadir(benchEntries)
	Sort(list)
	data := encode(b, list, 0, modern, nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		l, err := Decode(wire.NewReader(bytes.NewReader(data)), modern)
		if err != nil || len(l.Entries) != len(list) {
			b.Fatal(err)
		}
	}
	perEntry(b)
}

// All directories one after another must cost about as much as reading the list once.
func BenchmarkDirOfEveryDirectory(b *testing.B) {
	l := &List{Entries: datadir(benchEntries)}
	if err := l.Settle(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		seen := 1 // the root
		for _, e := range l.Entries {
			if e.IsDir() {
				for range l.Dir(e.Name) {
					seen++
				}
			}
		}
		if seen != len(l.Entries) {
			b.Fatalf("seen %d of %d entries", seen, len(l.Entries))
		}
	}
	perEntry(b)
}

func perEntry(b *testing.B) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEntries, "ns/entry")
}
