package flist

import (
	"iter"
	"slices"
	"sort"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// List is a complete file list. After Decode it is sorted and checked, and an entry's index is its position in Entries. The
// methods only read; any goroutine may call them.
type List struct {
	Entries       []*Entry
	IOError       int32             // the sender's error bits: 1 general, 2 a file vanished, 4 delete limit reached
	Users, Groups map[uint32]string // the sender's names of the ids; nil when the session has no id lists

	pool   *Pool
	pooled int64 // what Release gives back
}

// Settle sorts the entries, marks the duplicates (rsync-wire.md §8.7), and refuses a list in which an entry's parent is not
// a directory of the list (§17.2). Find and Dir work only on a settled list.
func (l *List) Settle() error {
	Sort(l.Entries)
	l.clearDuplicates()
	return l.checkParents()
}

// clearDuplicates keeps the first of several entries of one name, but a directory beats what is none: the list may hold what
// belongs into it. Directories of one name put together what they say about their contents.
func (l *List) clearDuplicates() {
	var kept *Entry
	for i, e := range l.Entries {
		if kept != nil && Compare(kept, e) == 0 {
			e.Cleared = true
			if e.IsDir() {
				kept.TopDir = kept.TopDir || e.TopDir
				kept.NoContent = kept.NoContent && e.NoContent
			}
			continue
		}
		kept = e
		if e.IsDir() {
			// The non-directory of this name sorts elsewhere, before all directories beside it.
			if j, found := search(l.Entries[:i], e.Name, false); found {
				l.Entries[j].Cleared = true
			}
		}
	}
}

// checkParents walks the list in its order, in which a directory's contents follow it at once, so the directories the walk
// is inside of are a stack.
func (l *List) checkParents() error {
	var inside []string
	for _, e := range l.Entries {
		if e.Cleared {
			continue // the entry that was kept has the same parent
		}
		if slash := strings.LastIndexByte(e.Name, '/'); slash >= 0 {
			parent := e.Name[:slash]
			for len(inside) > 0 && inside[len(inside)-1] != parent {
				inside = inside[:len(inside)-1]
			}
			if len(inside) == 0 {
				return wire.Errorf("17.2", "%s is in the file list, but its parent is not, or not as a directory", Quote(e.Name))
			}
		} else {
			inside = inside[:0]
		}
		if e.IsDir() {
			inside = append(inside, e.Name)
		}
	}
	return nil
}

// Find returns the index of the entry of this name; a cleared duplicate is not found.
func (l *List) Find(name string) (int, bool) {
	for _, dir := range []bool{false, true} {
		if i, found := search(l.Entries, name, dir); found && !l.Entries[i].Cleared {
			return i, true
		}
	}
	return -1, false
}

// search returns the first entry of this name and kind.
func search(entries []*Entry, name string, dir bool) (int, bool) {
	return slices.BinarySearchFunc(entries, name, func(e *Entry, name string) int {
		return comparePaths(e.Name, e.IsDir(), name, dir)
	})
}

// Dir yields index and entry of everything directly in the directory of that name (Root for the root), in list order,
// without cleared duplicates; nothing if the list has no such directory. The contents of subdirectories are stepped over in
// logarithmic time, so that calling Dir for every directory costs not much more than reading the list once.
func (l *List) Dir(name string) iter.Seq2[int, *Entry] {
	return func(yield func(int, *Entry) bool) {
		i, end := l.contents(name)
		for i < end {
			e := l.Entries[i]
			if !e.Cleared && !yield(i, e) {
				return
			}
			if e.IsDir() {
				i = l.after(i)
			} else {
				i++
			}
		}
	}
}

// contents returns the range of everything below a directory.
func (l *List) contents(name string) (from, to int) {
	i, found := search(l.Entries, name, true)
	switch {
	case name == Root:
		for i < len(l.Entries) && l.Entries[i].Name == Root {
			i++
		}
		return i, len(l.Entries)
	case !found:
		return 0, 0
	}
	end := l.after(i)
	for i < end && l.Entries[i].Name == name {
		i++
	}
	return i, end
}

// after returns the index behind the directory at i, its duplicates and all its contents: in steps that double, then by
// halving, so that a small directory in a huge list is stepped over fast.
func (l *List) after(i int) int {
	name := l.Entries[i].Name
	step := 1
	for i+step < len(l.Entries) && within(l.Entries[i+step].Name, name) {
		step *= 2
	}
	low, high := i+step/2, min(i+step, len(l.Entries))
	return low + sort.Search(high-low, func(k int) bool { return !within(l.Entries[low+k].Name, name) })
}

// within tells whether a name is the directory dir or lies below it.
func within(name, dir string) bool {
	return strings.HasPrefix(name, dir) && (len(name) == len(dir) || name[len(dir)] == '/')
}
