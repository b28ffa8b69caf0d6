package ext

import (
	"net"
	"sync/atomic"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A guest takes one connection, and all of them when nobody else is there.
func TestFewerConnectionsAreUsed(t *testing.T) {
	var made atomic.Int64
	s := newSST(t, Options{Connections: 4}, transfer.StoreOptions{}, func(c net.Conn) net.Conn {
		made.Add(1)
		return c
	})
	for i := range uint64(20) {
		s.write(string(rune('a'+i)), content(i, 3<<20))
	}
	s.sender.Use(1)
	s.send()
	if n := made.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	for i := range uint64(20) {
		s.write(string(rune('a'+i)), content(100+i, 3<<20))
	}
	s.sender.Use(100)
	s.send()
	if n := made.Load(); n < 2 || n > 4 {
		t.Errorf("%d connections, want up to 4", n)
	}
	s.same()
}
