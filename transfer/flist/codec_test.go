package flist

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The options of the four invocations of the reference between modern peers, and with an old one.
var (
	formA = Options{Proto: 32, VarintFlags: true, SafeFlist: true, ID0Names: true, Owner: true, Group: true, Links: true, Specials: true}
	formB = Options{Proto: 31, SafeFlist: true, Owner: true, Group: true, Links: true, Specials: true}
	oldB  = Options{Proto: 30, SafeFlist: true, Owner: true, Group: true, Links: true, Specials: true}
)

func with(o Options, change func(*Options)) Options {
	change(&o)
	return o
}

const (
	file = TypeRegular | 0o660
	dir  = TypeDir | 0o750
)

func TestEncoding(t *testing.T) {
	tests := []struct {
		name    string
		o       Options
		list    []*Entry
		ioError int32
		users   map[uint32]string
		groups  map[uint32]string
		want    string
	}{
		{
			name: "an empty list in form A is two zeros, and the id lists are their ends", o: formA,
			want: "00 00  00 00  00 00",
		}, {
			name: "an empty list in form B is one zero", o: formB,
			want: "00  00  00",
		}, {
			name: "form A carries the I/O error behind the end", o: with(formA, func(o *Options) { o.NumericIDs = true }), ioError: 3,
			want: "00 03",
		}, {
			name: "form B carries the I/O error behind a flag of its own", o: with(formB, func(o *Options) { o.NumericIDs = true }), ioError: 1,
			want: "04 10 01",
		}, {
			name: "the first entry says its ids even if they are 0", o: with(formA, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: ".", Mode: dir, Size: 4096, Mtime: 1700000100, TopDir: true}},
			want: `01  01 2e  00 00 10  65 64 f1 53  e8 41 00 00  00 00
			       00 00`,
		}, {
			name: "what is as before is not said again",
			o:    with(formA, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{
				{Name: "db1", Mode: dir, Size: 4096, Mtime: 1700000100, UID: 5, GID: 6, NoContent: true},
				{Name: "db2", Mode: dir, Size: 4096, Mtime: 1700000100, UID: 5, GID: 6, NoContent: true},
				{Name: "db2", Mode: dir, Size: 1, Mtime: 1700000100, UID: 5, GID: 6, NoContent: true},
			},
			want: `81 00  03 64 62 31  00 00 10  65 64 f1 53  e8 41 00 00  05 06
			       81 ba  02 01 32     00 00 10
			       81 ba  03 00        00 01 00 | the whole name is a prefix
			       00 00`,
		}, {
			name: "form A says no flags with the filler", o: with(formA, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 1, UID: 1, GID: 1}},
			want: "04  01 61  00 00 00  00 01 00 00  b0 81 00 00  01 01   00 00",
		}, {
			name: "form B says no flags of a file with the flag for directories", o: with(formB, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 1, UID: 1, GID: 1}},
			want: "01  01 61  00 00 00  00 01 00 00  b0 81 00 00  01 01   00",
		}, {
			name: "form B says no flags of a directory with the second byte", o: with(formB, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: dir, Mtime: 1, UID: 1, GID: 1}},
			want: "04 00  01 61  00 00 00  00 01 00 00  e8 41 00 00  01 01   00",
		}, {
			name: "form B needs the second byte for nanoseconds", o: with(formB, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 1, Nsec: 500, UID: 1, GID: 1}},
			want: "04 20  01 61  00 00 00  00 01 00 00  81 f4  b0 81 00 00  01 01   00",
		}, {
			name: "nanoseconds go along although the second is as before, and none means zero",
			o:    with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 0, Nsec: 1}, {Name: "b", Mode: file}},
			want: `a0 98  01 61  00 00 00  01  b0 81 00 00
			       80 9a  01 62  00 00 00
			       00 00`,
		}, {
			name: "protocol 30 knows no nanoseconds", o: with(oldB, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 1, Nsec: 500, UID: 1, GID: 1}},
			want: "01  01 61  00 00 00  00 01 00 00  b0 81 00 00  01 01   00",
		}, {
			name: "ids that are not sent count as unchanged",
			o:    with(formA, func(o *Options) { o.Owner = false }),
			list: []*Entry{{Name: "a", Mode: file, Mtime: 1, UID: 7, GID: 8}, {Name: "b", Mode: file, Mtime: 1, UID: 9, GID: 8}},
			want: `08     01 61  00 00 00  00 01 00 00  b0 81 00 00  08
			       80 9a  01 62  00 00 00
			       00 00  00 00`,
		}, {
			name: "sizes over 4 GiB, times before 1970, ids over 2^31", o: with(formA, func(o *Options) { o.NumericIDs = true }),
			list: []*Entry{{Name: "a", Mode: file, Size: 5368709123, Mtime: -86400, UID: 1<<32 - 2, GID: 1 << 31}},
			want: "04  01 61  c1 03 00 00 40  f8 80 ae fe ff ff ff ff ff  b0 81 00 00  f0 fe ff ff ff  f0 00 00 00 80   00 00",
		}, {
			name: "a name whose rest is longer than a byte can say",
			o:    with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: strings.Repeat("x", 256), Mode: file, Mtime: 1}},
			want: "58  81 00" + strings.Repeat("78", 256) + "00 00 00  00 01 00 00  b0 81 00 00   00 00",
		}, {
			name: "no more than 255 bytes are taken from the previous name",
			o:    with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: strings.Repeat("x", 300), Mode: file}, {Name: strings.Repeat("x", 300) + "y", Mode: file}},
			want: "80 d8  81 2c" + strings.Repeat("78", 300) + `00 00 00  b0 81 00 00
			       80 ba  ff 2e` + strings.Repeat("78", 45) + "79  00 00 00   00 00",
		}, {
			name: "a symbolic link has its target behind it", o: with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: "lnk", Mode: TypeSymlink | 0o777, Size: 6, Link: "t1.frm"}},
			want: "80 98  03 6c 6e 6b  00 06 00  ff a1 00 00  06 74 31 2e 66 72 6d   00 00",
		}, {
			name: "but not without --links", o: with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group, o.Links = true, false, false, false }),
			list: []*Entry{{Name: "lnk", Mode: TypeSymlink | 0o777, Size: 6, Link: "t1.frm"}},
			want: "80 98  03 6c 6e 6b  00 06 00  ff a1 00 00   00 00",
		}, {
			name: "a FIFO adds nothing from protocol 31 on", o: with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: "p", Mode: TypeFIFO | 0o600}},
			want: "80 98  01 70  00 00 00  80 11 00 00   00 00",
		}, {
			name: "a FIFO or socket adds a minor number of zero in protocol 30",
			o:    with(oldB, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: "p", Mode: TypeFIFO | 0o600}, {Name: "s", Mode: TypeSocket | 0o600, Major: 4, Minor: 5}},
			want: `9c 01  01 70  00 00 00  80 11 00 00  00
			       9c 01  01 73  00 00 00  80 c1 00 00  00
			       00`,
		}, {
			name: "a device adds nothing with --specials alone", o: with(oldB, func(o *Options) { o.NumericIDs, o.Owner, o.Group = true, false, false }),
			list: []*Entry{{Name: "d", Mode: TypeBlock | 0o600, Major: 8, Minor: 1}},
			want: "98  01 64  00 00 00  80 61 00 00   00",
		}, {
			name: "devices say their major number when it changes",
			o:    with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group, o.Devices = true, false, false, true }),
			list: []*Entry{
				{Name: "a", Mode: TypeBlock | 0o600, Major: 8, Minor: 1},
				{Name: "b", Mode: TypeChar | 0o600, Major: 8, Minor: 300},
				{Name: "c", Mode: TypeChar | 0o600, Major: 1 << 31, Minor: 1<<32 - 1},
				{Name: "d", Mode: TypeFIFO | 0o600, Major: 9},
			},
			want: `80 98  01 61  00 00 00  80 61 00 00  08  01
			       81 98  01 62  00 00 00  80 21 00 00      81 2c
			       80 9a  01 63  00 00 00  f0 00 00 00 80  f0 ff ff ff ff
			       80 98  01 64  00 00 00  80 11 00 00
			       00 00`,
		}, {
			name: "a special file leaves the major number as it was",
			o:    with(oldB, func(o *Options) { o.NumericIDs, o.Owner, o.Group, o.Devices = true, false, false, true }),
			list: []*Entry{
				{Name: "a", Mode: TypeBlock | 0o600, Major: 8, Minor: 1},
				{Name: "b", Mode: TypeFIFO | 0o600},
				{Name: "c", Mode: TypeBlock | 0o600, Major: 8, Minor: 2},
			},
			want: `98     01 61  00 00 00  80 61 00 00  08  01
			       9c 01  01 62  00 00 00  80 11 00 00      00
			       9c 01  01 63  00 00 00  80 61 00 00      02
			       00`,
		}, {
			name: "only regular files have a digest", o: with(formA, func(o *Options) { o.NumericIDs, o.Owner, o.Group, o.SumLen = true, false, false, 8 }),
			list: []*Entry{{Name: ".", Mode: dir, TopDir: true}, {Name: "f", Mode: file, Sum: []byte("12345678")}},
			want: `80 99  01 2e  00 00 00  e8 41 00 00
			       80 98  01 66  00 00 00  b0 81 00 00  31 32 33 34 35 36 37 38
			       00 00`,
		}, {
			name: "the id lists name ids in order and end with the name of id 0", o: formA,
			users:  map[uint32]string{1: "daemon", 0: "root", 1 << 31: "x"},
			groups: map[uint32]string{7: "", 8: strings.Repeat("g", 256), 9: strings.Repeat("h", 255)},
			want: `00 00
			       01 06 64 61 65 6d 6f 6e  f0 00 00 00 80 01 78  00 04 72 6f 6f 74
			       09 ff` + strings.Repeat("68", 255) + " 00 00",
		}, {
			name: "an old peer does not want the name of id 0", o: formB,
			users: map[uint32]string{1: "daemon", 0: "root"},
			want:  "00  01 06 64 61 65 6d 6f 6e 00  00",
		}, {
			name: "only the ids that travel have a list", o: with(formA, func(o *Options) { o.Owner = false }),
			users: map[uint32]string{1: "daemon"}, groups: map[uint32]string{1: "d"},
			want: "00 00  01 01 64 00 00",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := unhex(t, tt.want)
			got := encode(t, tt.list, tt.ioError, tt.o, tt.users, tt.groups)
			if !bytes.Equal(got, want) {
				t.Fatalf("got  % x\nwant % x", got, want)
			}
			l, left, err := decode(got, tt.o, DecodeUnsorted)
			if err != nil || left != 0 {
				t.Fatalf("decoding leaves %d bytes, error %v", left, err)
			}
			if diff := cmp.Diff(onTheWire(tt.list, tt.o), l.Entries); diff != "" {
				t.Errorf("decoded entries differ (-sent +got):\n%s", diff)
			}
			if l.IOError != tt.ioError {
				t.Errorf("I/O error is %d, want %d", l.IOError, tt.ioError)
			}
		})
	}
}

// onTheWire is what must be left of entries after the way through a session with these options.
func onTheWire(list []*Entry, o Options) []*Entry {
	out := make([]*Entry, len(list))
	for i, e := range list {
		c := *e
		c.Cleared = false
		if o.Proto < 31 {
			c.Nsec = 0
		}
		if !o.Owner {
			c.UID = 0
		}
		if !o.Group {
			c.GID = 0
		}
		switch {
		case !o.sendsDevice(e):
			c.Major, c.Minor = 0, 0
		case e.IsSpecial():
			c.Major, c.Minor = 0, 0
		}
		if !o.sendsLink(e) {
			c.Link = ""
		}
		if !o.sendsSum(e) {
			c.Sum = nil
		}
		if !e.IsDir() {
			c.TopDir, c.NoContent = false, false
		}
		out[i] = &c
	}
	return out
}

func TestProtocol30WithoutASafeEndTellsTheErrorByMessage(t *testing.T) {
	o := Options{Proto: 30}
	list := listOf(".", "a")
	if got := encode(t, list, 0, o, nil, nil); got[len(got)-1] != 0 {
		t.Errorf("list ends with %#x", got[len(got)-1])
	}
	frames := encodeFramed(t, 30, list, 1, o)
	message := unhex(t, "04 00 00 1d 01 00 00 00")
	if !bytes.HasPrefix(frames, message) {
		t.Errorf("frames begin with % x, want the message % x", frames[:min(16, len(frames))], message)
	}
	if !bytes.HasSuffix(frames, []byte{0}) || bytes.HasSuffix(frames, unhex(t, "04 10 01")) {
		t.Errorf("list ends with % x", frames[len(frames)-3:])
	}
}

func TestIDListsAreReadIntoMaps(t *testing.T) {
	tests := []struct {
		name          string
		o             Options
		stream        string
		users, groups map[uint32]string
	}{
		{"with the name of id 0", formA, "00 00  01 01 61 00 01 72  00 00", map[uint32]string{1: "a", 0: "r"}, map[uint32]string{}},
		{"without it", formB, "00  01 01 61 00  00", map[uint32]string{1: "a"}, map[uint32]string{}},
		{"the first name of an id counts", formB, "00  01 01 61 01 01 62 00  02 00 00", map[uint32]string{1: "a"}, map[uint32]string{}},
		{"an id over 2^31", formB, "00  f0 ff ff ff ff 01 61 00  00", map[uint32]string{1<<32 - 1: "a"}, map[uint32]string{}},
		{"only groups", with(formB, func(o *Options) { o.Owner = false }), "00  01 01 61 00", nil, map[uint32]string{1: "a"}},
		{"none with --numeric-ids", with(formB, func(o *Options) { o.NumericIDs = true }), "00", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, left, err := decode(unhex(t, tt.stream), tt.o, Decode)
			if err != nil || left != 0 {
				t.Fatalf("%d bytes left, error %v", left, err)
			}
			if diff := cmp.Diff(&List{Entries: []*Entry{}, Users: tt.users, Groups: tt.groups}, l, ignorePool); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEncodeRefusesTheListBeforeTheFirstByte(t *testing.T) {
	sums := with(formA, func(o *Options) { o.SumLen = 16 })
	tests := []struct {
		name string
		o    Options
		bad  *Entry
		says string
	}{
		{"an empty name", formA, &Entry{Mode: file}, "empty"},
		{"an absolute name", formA, &Entry{Name: "/a", Mode: file}, "absolute"},
		{"a name that is too long", formA, &Entry{Name: strings.Repeat("a", 4096), Mode: file}, "4095"},
		{"a type that does not exist", formA, &Entry{Name: "a", Mode: 0o644}, "type"},
		{"a negative size", formA, &Entry{Name: "a", Mode: file, Size: -1}, "size"},
		{"too many nanoseconds", formA, &Entry{Name: "a", Mode: file, Nsec: 1e9}, "nanoseconds"},
		{"a link without a target", formA, &Entry{Name: "a", Mode: TypeSymlink}, "target"},
		{"a link with a NUL", formA, &Entry{Name: "a", Mode: TypeSymlink, Link: "a\x00"}, "NUL"},
		{"a digest of the wrong length", sums, &Entry{Name: "a", Mode: file, Sum: make([]byte, 8)}, "digest"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			good := &Entry{Name: "good", Mode: dir}
			out, err := encodeAll([]*Entry{good, tt.bad}, 0, tt.o, nil, nil)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want one about %q", err, tt.says)
			}
			if len(out) != 0 {
				t.Errorf("% x was written", out)
			}
			if err := good.Check(tt.o); err != nil {
				t.Errorf("the good entry is refused: %v", err)
			}
		})
	}
}

func TestLongestNameAndTargetTravel(t *testing.T) {
	long := strings.Repeat("d/", 2047) + "x"
	list := []*Entry{{Name: long, Mode: TypeSymlink | 0o777, Link: strings.Repeat("y", 4095)}}
	if len(long) != 4095 {
		t.Fatal(len(long))
	}
	l, left, err := decode(encode(t, list, 0, formA, nil, nil), formA, DecodeUnsorted)
	if err != nil || left != 0 || !slices.EqualFunc(l.Entries, list, func(a, b *Entry) bool { return a.Name == b.Name && a.Link == b.Link }) {
		t.Errorf("%d bytes left, error %v", left, err)
	}
}

func TestQuoteMakesNamesFitForMessages(t *testing.T) {
	for name, want := range map[string]string{
		"t1.ibd":                 `"t1.ibd"`,
		"odd\xff \n":             `"odd\xff \n"`,
		"\x1b[2J":                `"\x1b[2J"`,
		strings.Repeat("x", 250): `"` + strings.Repeat("x", 250) + `"`,
		strings.Repeat("x", 251): fmt.Sprintf("\"%s\"... (251 bytes)", strings.Repeat("x", 250)),
	} {
		if got := Quote(name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
