package flist

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

func TestDecodeRefusesListsOverItsBounds(t *testing.T) {
	list := []*Entry{{Name: Root, Mode: dir}}
	for i := range 99 {
		list = append(list, &Entry{Name: fmt.Sprintf("file%d", i), Mode: file})
	}
	links := []*Entry{{Name: "l", Mode: TypeSymlink, Link: strings.Repeat("x", 4000)}}
	tests := []struct {
		name   string
		list   []*Entry
		change func(*Options)
		fits   bool
	}{
		{"as many entries as allowed", list, func(o *Options) { o.MaxEntries = 100 }, true},
		{"one entry more than allowed", list, func(o *Options) { o.MaxEntries = 99 }, false},
		{"as many bytes as allowed", list, func(o *Options) { o.MaxBytes = 100*entryCost + 1 + 10*5 + 89*6 }, true},
		{"one byte more than allowed", list, func(o *Options) { o.MaxBytes = 100*entryCost + 10*5 + 89*6 }, false},
		{"link targets count", links, func(o *Options) { o.MaxBytes = 4000 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := with(formA, func(o *Options) { o.NumericIDs = true })
			data := encode(t, tt.list, 0, o, nil, nil)
			tt.change(&o)
			_, _, err := decode(data, o, Decode)
			if pe := new(wire.ProtocolError); tt.fits && err != nil || !tt.fits && !errors.As(err, &pe) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// An id list has no bound of its own but the list's memory, and it may say the same id over and over.
func TestAnEndlessIDListEnds(t *testing.T) {
	endless := append([]byte{0, 0}, bytes.Repeat([]byte{1, 1, 'a'}, 1<<20)...)
	o := with(formA, func(o *Options) { o.MaxBytes = 1 << 20 })
	_, _, err := decode(endless, o, Decode)
	if pe := new(wire.ProtocolError); !errors.As(err, &pe) {
		t.Errorf("error is %v", err)
	}
}

func TestTheDefaultsAllowTwoMillionFiles(t *testing.T) {
	b := newBudget(Options{})
	for i := range 2_000_000 {
		if err := b.entry(140); err != nil {
			t.Fatalf("file %d: %v", i, err)
		}
	}
}

// What an entry is booked with must be what it takes. Names are 30 bytes here.
func TestMemoryPerEntryIsWhatIsBooked(t *testing.T) {
	const n = 100_000
	for _, o := range []Options{modern, with(modern, func(o *Options) { o.SumLen = 16 })} {
		t.Run(fmt.Sprintf("digests of %d bytes", o.SumLen), func(t *testing.T) {
			list := datadir(n)
			booked := entryCost*n + int64(o.SumLen)*n
			for _, e := range list {
				e.Sum = make([]byte, o.SumLen)
				booked += int64(len(e.Name))
			}
			data := encode(t, list, 0, o, nil, nil)
			list = nil

			before := heap()
			l, _, err := decode(data, o, Decode)
			if err != nil {
				t.Fatal(err)
			}
			taken := heap() - before
			runtime.KeepAlive(data)
			t.Logf("%d bytes an entry, booked %d", taken/n, booked/n)
			if taken > booked*105/100 {
				t.Errorf("%d bytes an entry are taken, %d are booked", taken/n, booked/n)
			}
			runtime.KeepAlive(l)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // twice, so that what the pools let go is gone
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
