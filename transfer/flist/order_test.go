package flist

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// component and keyOf are the definition of the order in rsync-wire.md §8.6, written down as it stands there.
type component struct {
	kind int // 0 item, 1 path
	text string
}

func keyOf(name string, dir bool) []component {
	if dir && name == Root {
		return nil
	}
	parts := strings.Split(name, "/")
	key := make([]component, len(parts))
	for i, p := range parts {
		key[i] = component{1, p + "/"}
	}
	if !dir {
		key[len(key)-1] = component{0, parts[len(parts)-1]}
	}
	return key
}

func compareKeys(a, b []component) int {
	return slices.CompareFunc(a, b, func(a, b component) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), strings.Compare(a.text, b.text))
	})
}

func entryOf(name string, dir bool) *Entry {
	if dir {
		return &Entry{Name: name, Mode: TypeDir | 0o755}
	}
	return &Entry{Name: name, Mode: TypeRegular | 0o644}
}

// anyName draws names that are often equal in long parts, and have the bytes in them that sort around "/".
func anyName() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom([]rune("ab.-/0\x01\x7f")), 0, 4, -1), 1, 4).Draw(t, "parts")
		name := strings.Join(parts, "/")
		if rapid.Bool().Draw(t, "odd") {
			name += string(rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "tail"))
		}
		return name
	})
}

func anyEntry() *rapid.Generator[*Entry] {
	return rapid.Custom(func(t *rapid.T) *Entry {
		return entryOf(anyName().Draw(t, "name"), rapid.Bool().Draw(t, "dir"))
	})
}

func TestCompareOrdersAsTheKeysOfTheReferenceDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyEntry().Draw(t, "a"), anyEntry().Draw(t, "b")
		if rapid.Bool().Draw(t, "related") {
			b.Name = a.Name + b.Name
		}
		want := compareKeys(keyOf(a.Name, a.IsDir()), keyOf(b.Name, b.IsDir()))
		if got := cmp.Compare(Compare(a, b), 0); got != want {
			t.Fatalf("%q dir=%v and %q dir=%v: got %d, the keys say %d", a.Name, a.IsDir(), b.Name, b.IsDir(), got, want)
		}
	})
}

func TestSortIsStableAndSortsAsTheKeysDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(anyEntry(), 0, 80).Draw(t, "list")
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b *Entry) int {
			return compareKeys(keyOf(a.Name, a.IsDir()), keyOf(b.Name, b.IsDir()))
		})
		Sort(list)
		if !slices.Equal(list, want) {
			t.Fatalf("got %q, want %q", names(list), names(want))
		}
	})
}

// names shows a list: directories with a slash behind, cleared entries in brackets.
func names(list []*Entry) []string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = e.Name
		if e.IsDir() && e.Name != Root {
			out[i] += "/"
		}
		if e.Cleared {
			out[i] = "[" + out[i] + "]"
		}
	}
	return out
}

// listOf is the reverse: a slash behind a name makes a directory.
func listOf(names ...string) []*Entry {
	list := make([]*Entry, len(names))
	for i, name := range names {
		name, dir := strings.CutSuffix(name, "/")
		list[i] = entryOf(name, dir || name == Root)
	}
	return list
}

func TestSortOrder(t *testing.T) {
	tests := []struct {
		name string
		want []string // in the right order; the test sorts the reverse
	}{
		{"the tree of case (a) in the reference", []string{".", "ib_lru_dump", "ibdata1", "undo001", "wsrep_sst_binlog.tar", "db1/", "db2/"}},
		{"files stand before directories, whatever their names", []string{".", "zz", "aa/"}},
		{"a directory stands right before its contents", []string{"db/", "db/a", "db/sub/", "db/sub/x", "db2/"}},
		{"a directory sorts as if its name ended in a slash", []string{"foo-bar/", "foo/", "foo0/"}},
		{"what lies below foo-bar comes before foo too", []string{"foo-bar/", "foo-bar/x", "foo/", "foo/x"}},
		{"a file sorts by its bare name", []string{"foo", "foo-bar", "foo0"}},
		{"bytes are unsigned", []string{"a\x7f", "a\x80", "a\xff"}},
		{"the root comes before names with lower bytes", []string{".", "\x01", "-"}},
		{"a file that is called as a directory stands away from it", []string{"a", "b", "a/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			list := listOf(tt.want...)
			slices.Reverse(list)
			Sort(list)
			if got := names(list); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSortOfALongList(t *testing.T) {
	list := datadir(3000)
	Sort(list)
	for i := 1; i < len(list); i++ {
		if Compare(list[i-1], list[i]) >= 0 {
			t.Fatalf("entry %d %q stands before %q", i-1, list[i-1].Name, list[i].Name)
		}
	}
	seen := make(map[*Entry]bool)
	for _, e := range list {
		seen[e] = true
	}
	if len(seen) != 3000 {
		t.Fatalf("%d of 3000 entries are left", len(seen))
	}
}

func ExampleSort() {
	list := listOf("db2/", "db2/t.ibd", "undo001", ".", "ibdata1")
	Sort(list)
	fmt.Println(names(list))
	// Output: [. ibdata1 undo001 db2/ db2/t.ibd]
}
