//go:build !race

package hostile

// raced: the race detector takes several times the memory.
const raced = false
