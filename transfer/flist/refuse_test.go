package flist

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// plain is form B without ids, so that lists can be written by hand.
var plain = Options{Proto: 31, Links: true, Specials: true}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("78", 255)
	tests := []struct {
		name    string
		o       Options
		stream  string
		section string
		says    string
	}{
		{"an empty name", plain, "01  00  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "empty"},
		{"an absolute name", plain, "01  02 2f 61  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "absolute"},
		{"a NUL in a name", plain, "01  03 61 00 62  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "NUL"},
		{"the parent directory", plain, "01  02 2e 2e  00 00 00  00 00 00 00  e8 41 00 00", "17.2", "climbs"},
		{"a climb in the middle", plain, "01  06 61 2f 2e 2e 2f 62  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "climbs"},
		{"a climb at the end", plain, "01  04 61 2f 2e 2e  00 00 00  00 00 00 00  e8 41 00 00", "17.2", "climbs"},
		{"a double slash", plain, "01  04 61 2f 2f 62  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "normal form"},
		{"a slash at the end", plain, "01  02 61 2f  00 00 00  00 00 00 00  e8 41 00 00", "17.2", "normal form"},
		{"a dot in front", plain, "01  03 2e 2f 61  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "normal form"},
		{"a dot in the middle", plain, "01  05 61 2f 2e 2f 62  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "normal form"},
		{"a dot at the end", plain, "01  03 61 2f 2e  00 00 00  00 00 00 00  e8 41 00 00", "17.2", "normal form"},
		{"a climb put together from two entries", plain, "01  02 2e 61  00 00 00  00 00 00 00  b0 81 00 00    a0  01 01 2e  00 00 00  b0 81 00 00", "17.2", "climbs"},
		{"a root that is a file", plain, "01  01 2e  00 00 00  00 00 00 00  b0 81 00 00", "17.2", "root"},
		{"a root that is a link", plain, "01  01 2e  00 00 00  00 00 00 00  ff a1 00 00  01 61", "17.2", "root"},
		{"an unknown type", plain, "01  01 61  00 00 00  00 00 00 00  a4 e1 00 00", "17.2", "type"},
		{"no type", plain, "01  01 61  00 00 00  00 00 00 00  a4 01 00 00", "17.2", "type"},
		{"the mode of an entry before the first", plain, "03  01 61  00 00 00  00 00 00 00", "17.2", "type"},
		{"mode bits above the type", plain, "01  01 61  00 00 00  00 00 00 00  b0 81 01 00", "8.3", "unknown bits"},
		{"a negative mode", plain, "01  01 61  00 00 00  00 00 00 00  b0 81 ff ff", "8.3", "unknown bits"},
		{"more bytes of the previous name than it had", plain, "21  01 01 61  00 00 00  00 00 00 00  b0 81 00 00", "8.3", "previous"},
		{"a name of 4096 bytes at once", plain, "41  90 00  00", "17.1", "4096"},
		{"a name of 4096 bytes by prefix",
			plain, "41  8f 00 " + strings.Repeat("78", 3840) + " 00 00 00  00 00 00 00  b0 81 00 00   61  ff 8f 01", "17.1", "4096"},
		{"a name of negative length", plain, "41  f0 ff ff ff ff", "17.1", "-1"},
		{"a name length that would overflow with its prefix",
			plain, "01  ff " + long + " 00 00 00  00 00 00 00  b0 81 00 00   61  ff  f0 ff ff ff 7f", "17.1", "2147483902"},
		{"a negative size", plain, "01  01 61  fc ff ff ff ff ff ff ff ff  00 00 00 00  b0 81 00 00", "17.1", "negative"},
		{"a billion nanoseconds", plain, "04 20  01 61  00 00 00  00 00 00 00  f0 00 ca 9a 3b  b0 81 00 00", "17.1", "nanoseconds"},
		{"negative nanoseconds", plain, "04 20  01 61  00 00 00  00 00 00 00  f0 ff ff ff ff  b0 81 00 00", "17.1", "nanoseconds"},
		{"nanoseconds in protocol 30", with(plain, func(o *Options) { o.Proto = 30 }), "04 20  01 61", "8.2", "protocol 30"},
		{"an empty link target", plain, "01  01 61  00 00 00  00 00 00 00  ff a1 00 00  00", "17.1", "target"},
		{"a link target of 4096 bytes", plain, "01  01 61  00 00 00  00 00 00 00  ff a1 00 00  90 00", "17.1", "target"},
		{"a link target of negative length", plain, "01  01 61  00 00 00  00 00 00 00  ff a1 00 00  f0 ff ff ff ff", "17.1", "target"},
		{"a NUL in a link target", plain, "01  01 61  00 00 00  00 00 00 00  ff a1 00 00  02 61 00", "8.3", "NUL"},
		{"a hard link, first of its group", plain, "04 12  01 61", "8.3", "hard link"},
		{"a hard link, not the first", plain, "04 02  01 61  00", "8.3", "hard link"},
		{"a hard link in form A", formA, "92 00  01 61", "8.3", "hard link"},
		{"the name of the user inside an entry", plain, "04 04  01 61", "8.2", "incremental recursion"},
		{"the name of the group inside an entry", formA, "88 00  01 61", "8.2", "incremental recursion"},
		{"access times", plain, "04 40  01 61", "8.2", "times"},
		{"creation times", formA, "c2 00 00  01 61", "8.2", "times"},
		{"an unknown flag in form B", plain, "04 80  01 61", "8.2", "unknown bits 0x8000"},
		{"an unknown flag in form A", formA, "c1 00 00  01 61", "8.2", "unknown bits 0x10000"},
		{"negative flags", formA, "f0 00 00 00 80  01 61", "8.2", "unknown bits"},
		{"an error at the end in protocol 30 without a safe end", with(plain, func(o *Options) { o.Proto = 30 }), "04 10 01", "8.4", "not agreed on"},
		{"a NUL in a user name", formA, "00 00  01 02 61 00  00 00  00 00", "8.5", "NUL"},
		{"a parent that is missing", plain, "01  03 61 2f 62  00 00 00  00 00 00 00  b0 81 00 00  00", "17.2", "parent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := decode(unhex(t, tt.stream), tt.o, Decode)
			pe := new(wire.ProtocolError)
			if !errors.As(err, &pe) {
				t.Fatalf("error is %v, want a protocol error", err)
			}
			if pe.Section != tt.section || !strings.Contains(pe.Msg, tt.says) {
				t.Errorf("error is %v, want one of section %s about %q", err, tt.section, tt.says)
			}
		})
	}
}

func TestDecodeTakesWhatOnlyLooksOdd(t *testing.T) {
	tests := []struct {
		name   string
		o      Options
		stream string
		want   string // name of the last entry
	}{
		{"names with dots that are no climb", plain, "01  09 2e 2e 2e 20 2e 2e 61 2e 2e  00 00 00  00 00 00 00  b0 81 00 00  00", "... ..a.."},
		{"a file that begins with a dot", plain, "01  02 2e 61  00 00 00  00 00 00 00  b0 81 00 00  00", ".a"},
		{"bytes that are no UTF-8", plain, "01  03 ff 0a 80  00 00 00  00 00 00 00  b0 81 00 00  00", "\xff\n\x80"},
		{"a rest of zero bytes", plain, "01  01 61  00 00 00  00 00 00 00  b0 81 00 00   a2  01 00  00 00 00   00", "a"},
		{"a short rest said as a long one", plain, "41  01 61  00 00 00  00 00 00 00  b0 81 00 00  00", "a"},
		{"nanoseconds of zero", plain, "04 20  01 61  00 00 00  00 00 00 00  00  b0 81 00 00  00", "a"},
		{"the flag for directories on a file", plain, "05 01  01 61  00 00 00  00 00 00 00  b0 81 00 00  00", "a"},
		{"ids of an entry before the first", formA, "18  01 61  00 00 00  00 00 00 00  b0 81 00 00   00 00  00 00  00 00", "a"},
		{"a list end with unknown error bits", formA, "04  01 61  00 00 00  00 00 00 00  b0 81 00 00  00 00   00 78  00 00  00 00", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, left, err := decode(unhex(t, tt.stream), tt.o, Decode)
			if err != nil || left != 0 {
				t.Fatalf("%d bytes left, error %v", left, err)
			}
			e := l.Entries[len(l.Entries)-1]
			if e.Name != tt.want || e.TopDir || e.NoContent || e.Nsec != 0 || e.UID != 0 || l.IOError != 0 {
				t.Errorf("got %+v, io error %d", *e, l.IOError)
			}
		})
	}
}

// Wherever the connection ends inside the list, it is an unexpected end, never a shorter list and never a clean end.
func TestDecodeOfEveryShorterStreamFails(t *testing.T) {
	list := []*Entry{
		{Name: Root, Mode: dir, TopDir: true, Mtime: 1700000000, UID: 1 << 31, GID: 300},
		{Name: "a", Mode: file, Size: 1 << 40, Mtime: -1, Nsec: 999, Sum: []byte("12345678")},
		{Name: "aa" + strings.Repeat("x", 300), Mode: TypeSymlink | 0o777, Link: "target"},
		{Name: "dev", Mode: TypeBlock, Major: 1000, Minor: 1000},
	}
	for name, o := range map[string]Options{"form A": formA, "form B": formB, "protocol 30": oldB} {
		t.Run(name, func(t *testing.T) {
			o.Devices, o.SumLen = true, 8
			data := encode(t, list, 1, o, map[uint32]string{1 << 31: "joe", 0: "root"}, map[uint32]string{300: "users"})
			if _, left, err := decode(data, o, Decode); err != nil || left != 0 {
				t.Fatalf("the whole list: %d bytes left, error %v", left, err)
			}
			for n := range data {
				if _, _, err := decode(data[:n], o, Decode); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("%d of %d bytes: error is %v", n, len(data), err)
				}
			}
		})
	}
}

func TestAReadErrorIsPassedOn(t *testing.T) {
	data := encode(t, listOf(".", "a"), 0, formA, nil, nil)
	broken := errors.New("connection reset")
	r := wire.NewReader(io.MultiReader(bytes.NewReader(data[:5]), failing{broken}))
	defer r.Release()
	if _, err := Decode(r, formA); !errors.Is(err, broken) {
		t.Errorf("error is %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
