// Package flist is the file list of the rsync protocol, versions 30 to 32 (rsync-wire.md §8): the entries, their order and
// their encoding.
//
// The sender lists what it will transfer; both ends sort the list the same way, and from then on a file is known by its
// position in the sorted list. So two things must be exact here: the bytes, which lean on values remembered from the entry
// before, and the order, which is not that of the names alone (a directory's files come before its subdirectories).
//
// What the package promises:
//
//   - Encode writes what rsync itself writes for the same entries in the same order, byte for byte.
//   - Decode believes nothing. A list that it returns has only relative, normalised names without "..", only the seven
//     file types, and for every entry a parent that is a directory of the same list, so nobody can smuggle "a" in as a
//     symbolic link and then "a/passwd". Memory is bounded by Options.MaxEntries and MaxBytes, counted before it is taken.
//   - The index of an entry is the one the other end uses, duplicates included: they are marked, never removed.
//
// Left to others: which files to list (transfer, sst/plan), filter rules (transfer/filter), what becomes of owners and modes
// on disk, the paths' safety on the file system (transfer.Store). Hard links (-H) and incremental recursion are not
// spoken: a list that uses them is refused.
package flist
