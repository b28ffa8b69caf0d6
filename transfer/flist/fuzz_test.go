package flist

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fuzzOptions turns a number into options, so that the fuzzer reaches every form.
func fuzzOptions(bits uint16) Options {
	on := func(i int) bool { return bits>>i&1 != 0 }
	o := Options{
		Proto: 30 + int(bits&3)%3, VarintFlags: on(2), SafeFlist: on(3), ID0Names: on(4),
		Owner: on(5), Group: on(6), Links: on(7), Devices: on(8), Specials: on(9), NumericIDs: on(10),
		MaxEntries: 1000, MaxBytes: 1 << 20,
	}
	if on(11) {
		o.SumLen = 8
	}
	return o
}

func fuzzBits(o Options) (bits uint16) {
	for b := range uint16(1 << 12) {
		p := fuzzOptions(b)
		p.MaxEntries, p.MaxBytes = o.MaxEntries, o.MaxBytes
		if p == o {
			return b
		}
	}
	return 0
}

// FuzzDecode feeds streams. None may panic or take more memory than the bounds allow, and what is accepted must be what we
// would send ourselves: encoded again and decoded again it is the same list.
func FuzzDecode(f *testing.F) {
	list := []*Entry{
		{Name: Root, Mode: dir, TopDir: true, Mtime: 1700000000, UID: 1 << 31, GID: 300},
		{Name: "a", Mode: dir, NoContent: true},
		{Name: "a", Mode: file, Size: 1 << 40, Mtime: -1, Nsec: 999, Sum: []byte("12345678")},
		{Name: "a/" + strings.Repeat("x", 300), Mode: TypeSymlink | 0o777, Link: "target"},
		{Name: "dev", Mode: TypeBlock, Major: 1000, Minor: 1000},
		{Name: "fifo", Mode: TypeFIFO},
	}
	for _, o := range []Options{formA, formB, oldB, with(formA, func(o *Options) { o.Devices, o.SumLen = true, 8 })} {
		f.Add(encode(f, list, 1, o, map[uint32]string{1 << 31: "joe", 0: "root"}, map[uint32]string{300: "users"}), fuzzBits(o))
	}
	f.Fuzz(func(t *testing.T, data []byte, bits uint16) {
		o := fuzzOptions(bits)
		l, _, err := decode(data, o, Decode)
		if err != nil {
			return
		}
		if len(l.Entries) > o.MaxEntries {
			t.Fatalf("%d entries, the limit is %d", len(l.Entries), o.MaxEntries)
		}
		checkSettled(t, l)

		again, err := encodeAll(l.Entries, l.IOError, o, l.Users, l.Groups)
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if !o.safeEnd() {
			l.IOError = 0 // travels by message
		}
		second, left, err := decode(again, o, Decode)
		if err != nil || left != 0 {
			t.Fatalf("second time: %d bytes left, error %v", left, err)
		}
		if diff := cmp.Diff(l, second, ignorePool); diff != "" {
			t.Fatalf("second time (-first +second):\n%s", diff)
		}
	})
}

// checkSettled holds a decoded list against what Decode promises.
func checkSettled(t *testing.T, l *List) {
	t.Helper()
	kept := make(map[string]*Entry)
	for i, e := range l.Entries {
		if err := checkName(e.Name); err != nil {
			t.Fatal(err)
		}
		if i > 0 && Compare(l.Entries[i-1], e) > 0 {
			t.Fatalf("%q stands before %q", l.Entries[i-1].Name, e.Name)
		}
		if !e.Cleared {
			if kept[e.Name] != nil {
				t.Fatalf("%q is kept twice", e.Name)
			}
			kept[e.Name] = e
		}
	}
	for _, e := range l.Entries {
		parent, _ := splitParent(e.Name)
		if parent != Root && (kept[parent] == nil || !kept[parent].IsDir()) {
			t.Fatalf("%q has no parent directory", e.Name)
		}
	}
}
