package sessions

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// relay passes connections on to address and counts the bytes that clients send: what a delta is about, and the same
// whoever the two ends are.
func relay(t *testing.T, address string) (near string, sent *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sent = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed below
			}
			wg.Go(func() {
				defer client.Close()
				server, err := net.Dial("tcp", address)
				if err != nil {
					t.Errorf("relay: %v", err)
					return
				}
				defer server.Close()
				var both sync.WaitGroup
				both.Go(func() {
					n, _ := io.Copy(server, client) // an end that breaks off is seen by the ends themselves
					sent.Add(n)
					server.(*net.TCPConn).CloseWrite()
				})
				both.Go(func() {
					io.Copy(client, server)
					client.(*net.TCPConn).CloseWrite()
				})
				both.Wait()
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String(), sent
}
