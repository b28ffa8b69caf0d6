// Package porttest picks TCP ports on loopback for servers that want to be told their port.
package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// The range lies below Linux's ephemeral ports (32768 on), so that no outgoing connection of anybody takes a port
// between its choice and its use.
const first, last = 10000, 32000

// Free returns a port nobody listens on. The caller binds it later, so two test runs can still collide; drawing from
// 22000 ports makes that rare.
func Free(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := first + rand.IntN(last-first)
		if free(port) {
			return port
		}
	}
	t.Fatalf("no free port between %d and %d on 127.0.0.1", first, last)
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
