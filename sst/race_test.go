//go:build race

package sst

// raced: the race detector takes several times the memory.
const raced = true
