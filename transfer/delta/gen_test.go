package delta

import (
	"crypto/sha256"
	"fmt"
)

// gen is the contents rule of the captures (protocol/captures/README.md).
func gen(name string, n int) []byte {
	var out []byte
	for i := 0; len(out) < n; i++ {
		h := sha256.Sum256(fmt.Appendf(nil, "%s:%d", name, i))
		out = append(out, h[:]...)
	}
	return out[:n]
}

func sizeName(n int) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%dMiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", n>>10)
	}
	return fmt.Sprintf("%dB", n)
}
