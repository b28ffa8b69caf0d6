package e2e

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// A relay lies between the donor's SST program and the joiner's, and is where things happen to a transfer: it counts
// what goes towards the joiner, and at a certain byte holds all traffic until it is told how to go on.
type relay struct {
	l      net.Listener
	target string

	mu      sync.Mutex
	more    *sync.Cond // held, or closed, has changed
	conns   []net.Conn
	bytes   int64
	at      int64 // 0: nowhere
	held    bool
	closed  bool
	reached chan struct{} // closed when byte at is there and nothing goes on
}

// throughRelay makes the donor's SST program connect to a relay in the joiner's place.
func (c *cluster) throughRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, target: fmt.Sprintf("127.0.0.1:%d", c.joiner.ports.sst), reached: make(chan struct{})}
	r.more = sync.NewCond(&r.mu)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { r.carry(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.release()
		r.cut()
		wg.Wait()
	})
	c.donor.script(t, fmt.Sprintf(`n=$#
while [ "$n" -gt 0 ]; do
	a=$1
	shift
	case $a in %s/*) a=%s/${a#*/} ;; esac
	set -- "$@" "$a"
	n=$((n-1))
done
exec '%s' "$@"`, r.target, l.Addr(), product(t)))
	return r
}

func (r *relay) carry(c net.Conn) {
	defer c.Close()
	far, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer far.Close()
	r.mu.Lock()
	r.conns = append(r.conns, c, far)
	if r.closed {
		c.Close()
	}
	r.mu.Unlock()
	back := make(chan struct{})
	go func() {
		io.Copy(c, throttle{r, far, 0})
		c.(*net.TCPConn).CloseWrite()
		close(back)
	}()
	io.Copy(far, throttle{r, c, 1})
	far.(*net.TCPConn).CloseWrite()
	<-back
}

// A throttle reads from one side.
type throttle struct {
	r     *relay
	from  io.Reader
	count int64 // 1: towards the joiner
}

func (t throttle) Read(p []byte) (int, error) {
	n, err := t.from.Read(p)
	t.r.pass(int64(n) * t.count)
	return n, err
}

// pass waits while all is held.
func (r *relay) pass(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += n
	if r.at > 0 && r.bytes >= r.at {
		r.at, r.held = 0, true
		close(r.reached)
	}
	for r.held && !r.closed {
		r.more.Wait()
	}
}

// hold makes the traffic stop when so many bytes more have gone towards the joiner. The channel is closed then.
func (r *relay) hold(after int64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reached = make(chan struct{})
	r.at = r.bytes + after
	return r.reached
}

// release lets the traffic go on.
func (r *relay) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.held = 0, false
	r.more.Broadcast()
}

// cut resets all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	r.conns = nil
}

func (r *relay) count() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}
