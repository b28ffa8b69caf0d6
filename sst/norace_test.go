//go:build !race

package sst

// raced: the race detector takes several times the memory and the time.
const raced = false
