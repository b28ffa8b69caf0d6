package flist

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyOptions draws the options of every session that two peers could agree on.
func anyOptions() *rapid.Generator[Options] {
	return rapid.Custom(func(t *rapid.T) Options {
		yes := func(label string) bool { return rapid.Bool().Draw(t, label) }
		return Options{
			Proto:       rapid.IntRange(30, 32).Draw(t, "proto"),
			VarintFlags: yes("varint flags"), SafeFlist: true, ID0Names: yes("id0 names"),
			Owner: yes("owner"), Group: yes("group"), Links: yes("links"), Devices: yes("devices"), Specials: yes("specials"),
			NumericIDs: yes("numeric ids"), SumLen: rapid.SampledFrom([]int{0, 8, 16, 20}).Draw(t, "sum length"),
		}
	})
}

// anyFields draws an entry of any type with values at the edges of their ranges, often the same ones, so that the flags for
// "as before" occur in all combinations.
func anyFields(o Options) *rapid.Generator[*Entry] {
	types := []uint32{TypeFIFO, TypeChar, TypeDir, TypeBlock, TypeRegular, TypeSymlink, TypeSocket}
	return rapid.Custom(func(t *rapid.T) *Entry {
		id := rapid.SampledFrom([]uint32{0, 0, 1, 999, 1 << 31, 1<<32 - 1})
		e := &Entry{
			Name:  anyGoodName().Draw(t, "name"),
			Size:  rapid.SampledFrom([]int64{0, 1, 1<<16 - 1, 1 << 16, 1<<23 - 1, 1 << 23, 1 << 32, 1<<63 - 1}).Draw(t, "size"),
			Mtime: rapid.OneOf(rapid.SampledFrom([]int64{0, 1700000000, -1, -1 << 63, 1<<63 - 1}), rapid.Int64()).Draw(t, "mtime"),
			Nsec:  rapid.SampledFrom([]uint32{0, 1, 999_999_999}).Draw(t, "nsec"),
			Mode:  rapid.SampledFrom(types).Draw(t, "type") | rapid.SampledFrom([]uint32{0, 0o644, 0o7777}).Draw(t, "mode"),
			UID:   id.Draw(t, "uid"), GID: id.Draw(t, "gid"), Major: id.Draw(t, "major"), Minor: id.Draw(t, "minor"),
			Link:   strings.Repeat("l", rapid.SampledFrom([]int{1, 127, 128, 4095}).Draw(t, "link")),
			Sum:    rapid.SliceOfN(rapid.Byte(), o.SumLen, o.SumLen).Draw(t, "sum"),
			TopDir: rapid.Bool().Draw(t, "top"), NoContent: rapid.Bool().Draw(t, "bare"),
		}
		if rapid.IntRange(0, 9).Draw(t, "root") == 0 {
			e.Name, e.Mode = Root, TypeDir|e.Mode&0o7777
		}
		return e
	})
}

// anyGoodName draws names that pass, short ones that are often equal and long ones around the 255 bytes of a prefix.
func anyGoodName() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "ab", "b-", "\xff\n", "...", strings.Repeat("n", 120)}), 1, 4).Draw(t, "parts"), "/")
		if tail := rapid.SampledFrom([]int{0, 0, 0, 255, 256, 3000}).Draw(t, "tail"); tail > 0 {
			name += strings.Repeat("t", tail) + rapid.StringMatching("[a-c]{0,2}").Draw(t, "end")
		}
		return name
	})
}

func anyNames() *rapid.Generator[map[uint32]string] {
	return rapid.MapOf(
		rapid.SampledFrom([]uint32{0, 1, 999, 1 << 31, 1<<32 - 1}),
		rapid.SampledFrom([]string{"root", "daemon", "x", strings.Repeat("u", 255), "\xff"}))
}

func TestWhatIsEncodedDecodesToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOptions().Draw(t, "options")
		sent := rapid.SliceOfN(anyFields(o), 0, 12).Draw(t, "entries")
		users, groups := anyNames().Draw(t, "users"), anyNames().Draw(t, "groups")
		ioError := rapid.Int32Range(0, 7).Draw(t, "io error")

		data, err := encodeAll(sent, ioError, o, users, groups)
		if err != nil {
			t.Fatal(err)
		}
		l, left, err := decode(data, o, DecodeUnsorted)
		if err != nil || left != 0 {
			t.Fatalf("%d of %d bytes left, error %v", left, len(data), err)
		}
		want := &List{Entries: onTheWire(sent, o), IOError: ioError, Users: namesOnTheWire(users, o, o.Owner), Groups: namesOnTheWire(groups, o, o.Group)}
		if diff := cmp.Diff(want, l, ignorePool); diff != "" {
			t.Fatalf("(-sent +got):\n%s", diff)
		}
	})
}

// namesOnTheWire is what is left of an id list.
func namesOnTheWire(names map[uint32]string, o Options, sent bool) map[uint32]string {
	if !sent || o.NumericIDs {
		return nil
	}
	names = maps.Clone(names)
	if !o.ID0Names {
		delete(names, 0)
	}
	return names
}

// Both ends sort what they have and must come to the same numbers.
func TestBothEndsNumberAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.Permutation(tree().Draw(t, "tree")).Draw(t, "sent")
		data, err := encodeAll(sent, 0, formA, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := decode(data, formA, Decode)
		if err != nil {
			t.Fatal(err)
		}
		Sort(sent)
		for i := range sent {
			if sent[i].Name != l.Entries[i].Name || sent[i].Mode != l.Entries[i].Mode {
				t.Fatalf("entry %d is %q here and %q there", i, sent[i].Name, l.Entries[i].Name)
			}
		}
	})
}
