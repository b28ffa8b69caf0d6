package mariadbd

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Host is what the nodes are called.
const Host = "127.0.0.1"

// FreePort finds a port that nobody listens on, below those that the kernel gives
// to outgoing connections.
func FreePort() (int, error) {
	var failed error
	for range 100 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort(Host, strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		failed = err
	}
	return 0, fmt.Errorf("find a free port: %w", failed)
}
