// Package captest holds no code, only a proof: the recorded sessions of real rsync versions in testdata/captures, read from
// greeting to goodbye by wire, filter, flist and delta in both directions, and written again by the same packages to the
// same bytes.
//
// Whatever is determined is made from what was understood, not copied: file lists from entries, whole files from contents,
// block sums from the old files the README of the captures describes. What a sender is free to choose (the order of
// transmission, which blocks it finds) is written again as it was recorded. Frame boundaries are free, so the two streams are
// compared without them, and the messages between by themselves.
package captest
