package flist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

func TestSettleMarksDuplicatesWithoutRenumbering(t *testing.T) {
	tests := []struct {
		name       string
		sent, want []string
	}{
		{"of two files the first is kept", []string{".", "a", "b", "a"}, []string{".", "a", "[a]", "b"}},
		{"of three files too", []string{"a", "a", "b", "a"}, []string{"a", "[a]", "[a]", "b"}},
		{"of two directories the first is kept, with the contents of both", []string{"d/", "d/x", "d/", "d/y"}, []string{"d/", "[d/]", "d/x", "d/y"}},
		{"a directory beats a file that came first", []string{"a", "a/", "a/x"}, []string{"[a]", "a/", "a/x"}},
		{"a directory beats a file that came later", []string{"a/", "a/x", "a"}, []string{"[a]", "a/", "a/x"}},
		{"a directory beats all files of its name", []string{"a", "a/", "a", "b"}, []string{"[a]", "[a]", "b", "a/"}},
		{"below a directory as well", []string{"d/", "d/a", "d/a/", "d/a/x", "d/b/"}, []string{"d/", "[d/a]", "d/a/", "d/a/x", "d/b/"}},
		{"the root sent twice is one root", []string{".", ".", "a"}, []string{".", "[.]", "a"}},
		{"names that only begin alike are not equal", []string{"a", "a-/", "ab", "a0/"}, []string{"a", "ab", "a-/", "a0/"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := &List{Entries: listOf(tt.sent...)}
			if err := l.Settle(); err != nil {
				t.Fatal(err)
			}
			if got := names(l.Entries); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestTheDuplicateThatIsKeptCameFirst(t *testing.T) {
	first, second := entryOf("a", false), entryOf("a", false)
	l := &List{Entries: []*Entry{entryOf("b", false), first, second}}
	if err := l.Settle(); err != nil {
		t.Fatal(err)
	}
	if l.Entries[0] != first || first.Cleared || !second.Cleared {
		t.Errorf("first cleared: %v, second cleared: %v", first.Cleared, second.Cleared)
	}
}

func TestDirectoriesOfOneNamePutTheirFlagsTogether(t *testing.T) {
	for bits := range 16 {
		first := &Entry{Name: "d", Mode: TypeDir, TopDir: bits&1 != 0, NoContent: bits&2 != 0}
		second := &Entry{Name: "d", Mode: TypeDir, TopDir: bits&4 != 0, NoContent: bits&8 != 0}
		wantTop, wantBare := first.TopDir || second.TopDir, first.NoContent && second.NoContent
		l := &List{Entries: []*Entry{first, second}}
		if err := l.Settle(); err != nil {
			t.Fatal(err)
		}
		if first.TopDir != wantTop || first.NoContent != wantBare {
			t.Errorf("case %04b: TopDir %v, NoContent %v, want %v, %v", bits, first.TopDir, first.NoContent, wantTop, wantBare)
		}
	}
}

func TestSettleRefusesEntriesWithoutAParentDirectory(t *testing.T) {
	tests := []struct {
		name string
		list []*Entry
		bad  string
	}{
		{"the parent is missing", listOf(".", "db/t.ibd"), "db/t.ibd"},
		{"the parent is a file", listOf(".", "db", "db/t.ibd"), "db/t.ibd"},
		{"the parent is a symbolic link to a place outside", append(listOf(".", "a/passwd"),
			&Entry{Name: "a", Mode: TypeSymlink | 0o777, Link: "/etc"}), "a/passwd"},
		{"only the grandparent is there", listOf(".", "a/", "a/b/c"), "a/b/c"},
		{"the parent is a directory elsewhere", listOf("a/", "b/", "b/a/x"), "b/a/x"},
		{"a neighbour has the name with more behind it", listOf("a-/", "a-/b/", "a/b"), "a/b"},
		{"a directory without its parent", listOf(".", "a/b/"), "a/b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := (&List{Entries: tt.list}).Settle()
			if pe := new(wire.ProtocolError); !errors.As(err, &pe) || pe.Section != "17.2" {
				t.Fatalf("error is %v, want a protocol error by section 17.2", err)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", tt.bad)) {
				t.Errorf("error does not name %q: %v", tt.bad, err)
			}
		})
	}
}

func TestSettleAcceptsLists(t *testing.T) {
	tests := []struct {
		name string
		list []string
	}{
		{"an empty one", nil},
		{"a single file, as case (d) sends it", []string{"rsync_sst_complete"}},
		{"without an entry for the root", []string{"a/", "a/b/", "a/b/c", "d"}},
		{"directories that climb back by several levels", []string{".", "a/", "a/b/", "a/b/c/", "a/b/c/x", "a/z/", "a/z/y", "b/", "b/x"}},
		{"a file in a directory that also came as a file", []string{"a", "a/", "a/x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := (&List{Entries: listOf(tt.list...)}).Settle(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFind(t *testing.T) {
	l := &List{Entries: listOf(".", "a", "b", "c", "a/", "a/x", "a/b/", "d-/", "d/", "d/y")}
	if err := l.Settle(); err != nil {
		t.Fatal(err)
	}
	for i, e := range l.Entries {
		got, found := l.Find(e.Name)
		if e.Cleared {
			if !found || l.Entries[got].Cleared || !l.Entries[got].IsDir() {
				t.Errorf("%q was cleared in favour of a directory, Find gives %d, %v", e.Name, got, found)
			}
			continue
		}
		if !found || got != i {
			t.Errorf("Find(%q) is %d, %v, want %d", e.Name, got, found, i)
		}
	}
	for _, name := range []string{"", "A", "aa", "a/", "a/xx", "d-/y", "/", "..", "a/b/c", "z"} {
		if got, found := l.Find(name); found || got != -1 {
			t.Errorf("Find(%q) is %d, %v, want -1, false", name, got, found)
		}
	}
}

func TestDirYieldsWhatIsDirectlyInADirectory(t *testing.T) {
	l := &List{Entries: listOf(".", "z", "a", "a/", "a/", "a/y", "a/y", "a/b/", "a/b/1", "a/b/2/", "a/b/2/3", "a/c/", "a-/", "a-/q", "ab/")}
	if err := l.Settle(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		dir  string
		want []string
	}{
		{".", []string{"z", "a-/", "a/", "ab/"}},
		{"a", []string{"a/y", "a/b/", "a/c/"}},
		{"a/b", []string{"a/b/1", "a/b/2/"}},
		{"a/b/2", []string{"a/b/2/3"}},
		{"a/c", nil},
		{"a-", []string{"a-/q"}},
		{"z", nil},
		{"no such thing", nil},
		{"", nil},
	}
	for _, tt := range tests {
		t.Run("of "+tt.dir, func(t *testing.T) {
			var got []*Entry
			for i, e := range l.Dir(tt.dir) {
				if l.Entries[i] != e {
					t.Errorf("index %d does not belong to %q", i, e.Name)
				}
				got = append(got, e)
			}
			if n := names(got); !slices.Equal(n, tt.want) {
				t.Errorf("got %q, want %q", n, tt.want)
			}
		})
	}
	t.Run("stops when the caller has enough", func(t *testing.T) {
		for i := range l.Dir("a") {
			if l.Entries[i].Name != "a/y" {
				t.Errorf("went on to %q", l.Entries[i].Name)
			}
			break
		}
	})
}

// tree draws lists in which every entry has its parent, with duplicates among them.
func tree() *rapid.Generator[[]*Entry] {
	return rapid.Custom(func(t *rapid.T) []*Entry {
		dirs := []string{""}
		list := listOf(".")
		for range rapid.IntRange(0, 60).Draw(t, "n") {
			e := entryOf(
				rapid.SampledFrom(dirs).Draw(t, "parent")+rapid.SampledFrom([]string{"a", "b", "a-", "a0", "\xff"}).Draw(t, "name"),
				rapid.Bool().Draw(t, "dir"))
			list = append(list, e)
			if e.IsDir() && !slices.Contains(dirs, e.Name+"/") {
				dirs = append(dirs, e.Name+"/")
			}
		}
		return list
	})
}

func TestFindAndDirAgreeWithAPlainLook(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.Permutation(tree().Draw(t, "tree")).Draw(t, "sent")
		l := &List{Entries: slices.Clone(list)}
		if err := l.Settle(); err != nil {
			t.Fatalf("%q: %v", names(list), err)
		}
		kept := make(map[string]int)
		children := make(map[string][]int)
		for i, e := range l.Entries {
			if e.Cleared {
				continue
			}
			if other, twice := kept[e.Name]; twice {
				t.Fatalf("%q is kept at %d and at %d", e.Name, other, i)
			}
			kept[e.Name] = i
			parent, _ := splitParent(e.Name)
			if e.Name != Root {
				children[parent] = append(children[parent], i)
			}
		}
		for _, e := range l.Entries {
			if i, found := l.Find(e.Name); !found || i != kept[e.Name] {
				t.Fatalf("Find(%q) is %d, %v, want %d", e.Name, i, found, kept[e.Name])
			}
			var got []int
			for i := range l.Dir(e.Name) {
				got = append(got, i)
			}
			if !slices.Equal(got, children[e.Name]) {
				t.Fatalf("Dir(%q) gives %v, want %v in %q", e.Name, got, children[e.Name], names(l.Entries))
			}
		}
	})
}

func splitParent(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return Root, name
}
