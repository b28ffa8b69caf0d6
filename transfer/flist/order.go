package flist

import (
	"slices"
	"strings"
)

// Sort puts entries into the order both ends number them by (rsync-wire.md §8.6). It is stable: of equal names the one that
// was transmitted first stays first.
func Sort(entries []*Entry) { slices.SortStableFunc(entries, Compare) }

// Compare orders two entries. Written as a key, a path is the list of its components; a last component that is no directory
// is an item, all others are paths and end in "/"; items come before paths, otherwise bytes decide, and "." is the empty
// list. So a directory stands right before its contents, its files before its subdirectories.
func Compare(a, b *Entry) int { return comparePaths(a.Name, a.IsDir(), b.Name, b.IsDir()) }

// comparePaths compares the keys without building them. Up to the first byte where the names differ all is the same; what
// the components that hold this byte are (item or path) shows in the rest of the names alone.
func comparePaths(a string, aDir bool, b string, bDir bool) int {
	if aDir && a == Root || bDir && b == Root {
		return rootRank(a, aDir) - rootRank(b, bDir)
	}
	n := min(len(a), len(b))
	i := 0
	for i < n && a[i] == b[i] {
		i++
	}
	aPath := aDir || strings.IndexByte(a[i:], '/') >= 0
	bPath := bDir || strings.IndexByte(b[i:], '/') >= 0
	switch {
	case aPath != bPath:
		if aPath {
			return 1
		}
		return -1
	case i < n:
		return int(a[i]) - int(b[i])
	case len(a) == len(b):
		return 0
	case len(a) < len(b):
		return -compareRest(b[i:], aPath)
	default:
		return compareRest(a[i:], aPath)
	}
}

// compareRest compares a name that goes on with rest to one that ends there. As a path the ended name has a "/" to come.
func compareRest(rest string, path bool) int {
	if path && rest[0] < '/' {
		return -1
	}
	return 1
}

// rootRank is 0 for the root directory, which comes before everything, and 1 for the others.
func rootRank(name string, dir bool) int {
	if dir && name == Root {
		return 0
	}
	return 1
}
