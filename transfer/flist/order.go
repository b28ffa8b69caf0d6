package flist

import "strings"

// Sort puts entries into the order both ends number them by (rsync-wire.md §8.6). It is stable: of equal names the one that
// was transmitted first stays first. A sorted list costs one look at each entry.
func Sort(entries []*Entry) { mergeSort(entries, make([]*Entry, len(entries)/2)) }

// mergeSort spends memory, four bytes an entry, to get by with few comparisons: each of them has to fetch two entries and
// two names from all over the memory. slices.SortStableFunc, which sorts in place, takes twice as long. spare holds half of
// the list.
func mergeSort(list, spare []*Entry) {
	if len(list) <= 12 {
		insertionSort(list)
		return
	}
	middle := len(list) / 2
	mergeSort(list[:middle], spare)
	mergeSort(list[middle:], spare)
	if Compare(list[middle-1], list[middle]) <= 0 {
		return
	}
	left, right := spare[:copy(spare, list[:middle])], list[middle:]
	for len(left) > 0 && len(right) > 0 {
		from := &left
		if Compare(right[0], left[0]) < 0 {
			from = &right
		}
		list[0], list, *from = (*from)[0], list[1:], (*from)[1:]
	}
	copy(list, left) // what remains of right is in its place
}

func insertionSort(list []*Entry) {
	for i := 1; i < len(list); i++ {
		e := list[i]
		k := i
		for ; k > 0 && Compare(e, list[k-1]) < 0; k-- {
			list[k] = list[k-1]
		}
		list[k] = e
	}
}

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
