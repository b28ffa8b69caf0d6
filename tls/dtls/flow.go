package dtls

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// maxQueued is what a flow keeps until DTLS takes it, in bytes with 256 for each
// datagram besides: more is lost, as in a socket's buffer.
const maxQueued = 2 << 20

// A flow is what comes from one address to a listener after its knock: a
// net.PacketConn for DTLS.
type flow struct {
	listener *Listener
	peer     netip.AddrPort
	number   uint64
	from     []byte // control message: which of our addresses it talks to

	mu     sync.Mutex
	cond   sync.Cond
	queue  [][]byte
	queued int
	heard  time.Time
	closed bool
	read   limit
}

func newFlow(l *Listener, peer netip.AddrPort, number uint64, from []byte) *flow {
	f := &flow{listener: l, peer: peer, number: number, from: from, heard: time.Now()}
	f.cond.L = &f.mu
	return f
}

// push takes a datagram that arrived, or loses it.
func (f *flow) push(datagram []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = time.Now()
	if f.closed || f.queued+len(datagram)+256 > maxQueued {
		return
	}
	f.queued += len(datagram) + 256
	f.queue = append(f.queue, append([]byte(nil), datagram...))
	f.cond.Signal()
}

// silent is how long nothing has come.
func (f *flow) silent() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.heard)
}

func (f *flow) ReadFrom(p []byte) (int, net.Addr, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case f.closed:
			return 0, nil, net.ErrClosed
		case f.read.over():
			return 0, nil, os.ErrDeadlineExceeded
		case len(f.queue) > 0:
			n := copy(p, f.queue[0])
			f.queued -= len(f.queue[0]) + 256
			f.queue[0] = nil
			f.queue = f.queue[1:]
			return n, f.RemoteAddr(), nil
		}
		f.cond.Wait()
	}
}

func (f *flow) WriteTo(p []byte, _ net.Addr) (int, error) { return f.listener.send(p, f.from, f.peer) }

func (f *flow) LocalAddr() net.Addr  { return f.listener.Addr() }
func (f *flow) RemoteAddr() net.Addr { return net.UDPAddrFromAddrPort(f.peer) }

func (f *flow) SetReadDeadline(t time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read.set(t, &f.cond)
	return nil
}

// SetWriteDeadline: a datagram is sent or lost at once.
func (f *flow) SetWriteDeadline(time.Time) error { return nil }
func (f *flow) SetDeadline(t time.Time) error    { return f.SetReadDeadline(t) }
func (f *flow) lastRefusal() (none time.Time)    { return none }

// Close ends the flow; its address may knock again.
func (f *flow) Close() error {
	f.mu.Lock()
	closed := f.closed
	f.closed, f.queue, f.queued = true, nil, 0
	f.read.set(time.Time{}, &f.cond)
	f.cond.Broadcast()
	f.mu.Unlock()
	if !closed {
		f.listener.forget(f)
	}
	return nil
}
