package dtls

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

const (
	// maxFlows is how many addresses have got past the knock at a time. Few do so who
	// are not the donor; who accepts keeps fewer of them ([Pending]).
	maxFlows = 64
	// maxAccepted is how many connections wait for Accept.
	maxAccepted = 128
	// restart is the silence after which an address that knocks anew has started anew.
	restart = 2 * time.Second
)

// A Listener takes the associations that come to one UDP socket. Accept returns what
// needs a handshake first, a *[Pending], and later the further connections of its
// association, each a *[Conn].
type Listener struct {
	socket *net.UDPConn
	baker  *baker
	limits limits

	accepted chan net.Conn
	done     chan struct{} // closed by Close

	mu     sync.Mutex
	flows  map[netip.AddrPort]*flow
	closed bool
}

// NewListener serves a socket that is not connected, and owns it from then on.
func NewListener(socket *net.UDPConn) (*Listener, error) {
	if err := tellDestination(socket); err != nil {
		return nil, err
	}
	l := &Listener{
		socket: socket, baker: newBaker(), limits: defaultLimits,
		accepted: make(chan net.Conn, maxAccepted), done: make(chan struct{}),
		flows: map[netip.AddrPort]*flow{},
	}
	go l.run()
	return l, nil
}

// run ends when the socket is closed, which is when the listener is and no flow is left.
func (l *Listener) run() {
	datagram, oob := make([]byte, MaxMTU+1), make([]byte, 128)
	for {
		n, oobn, _, from, err := l.socket.ReadMsgUDPAddrPort(datagram, oob)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil || n > MaxMTU:
			continue // a datagram's error is no end of the socket
		}
		if isKnock(datagram[:n]) {
			if k, ok := parseKnock(datagram[:n]); ok {
				l.knocked(from, k, answerFrom(oob[:oobn]))
			}
			continue
		}
		l.mu.Lock()
		f := l.flows[from]
		l.mu.Unlock()
		if f != nil {
			f.push(datagram[:n])
		}
	}
}

// knocked answers a knock. Only what shows a good cookie makes us remember anything.
func (l *Listener) knocked(from netip.AddrPort, k knock, answers []byte) {
	switch {
	case k.kind == knockAsk:
		l.send(l.baker.cookie(from, k).append(nil), answers, from)
	case k.kind == knockEnter && l.baker.knows(from, k) && l.enter(from, k.number, answers):
		l.send(knock{kind: knockEnter, number: k.number}.append(nil), answers, from)
	}
}

// enter makes a flow, or says that there is one of this number.
func (l *Listener) enter(from netip.AddrPort, number uint64, answers []byte) bool {
	l.mu.Lock()
	old := l.flows[from]
	l.mu.Unlock()
	if old != nil {
		if old.number == number {
			return true
		}
		if old.silent() < restart {
			return false
		}
		old.Close() // its process is gone: another one has the port
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.flows) >= maxFlows || l.flows[from] != nil {
		return false
	}
	f := newFlow(l, from, number, answers)
	select {
	case l.accepted <- &Pending{flow: f, listener: l}:
		l.flows[from] = f
		return true
	default:
		return false // it knocks again
	}
}

func (l *Listener) send(p, control []byte, to netip.AddrPort) (int, error) {
	_, _, err := l.socket.WriteMsgUDPAddrPort(p, control, to)
	if err != nil && !isLoss(err) {
		return 0, err
	}
	return len(p), nil
}

// Accept waits for a connection.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// offer hands a connection to Accept; false if nobody takes it.
func (l *Listener) offer(c *Conn) bool {
	select {
	case <-l.done:
		return false
	default:
	}
	select {
	case l.accepted <- c:
		return true
	default:
		return false
	}
}

// Addr is that of the socket.
func (l *Listener) Addr() net.Addr { return l.socket.LocalAddr() }

// SyscallConn is for options of the socket.
func (l *Listener) SyscallConn() (syscall.RawConn, error) { return l.socket.SyscallConn() }

// Close ends Accept and what waits for it. Connections that were accepted live on.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	close(l.done)
	l.mu.Unlock()
	for {
		select {
		case c := <-l.accepted:
			if conn, ok := c.(*Conn); ok {
				conn.drop()
			} else {
				c.Close()
			}
			continue
		default:
		}
		break
	}
	l.closeIfLast()
	return nil
}

// forget takes a flow off the list.
func (l *Listener) forget(f *flow) {
	l.mu.Lock()
	if l.flows[f.peer] == f {
		delete(l.flows, f.peer)
	}
	l.mu.Unlock()
	l.closeIfLast()
}

func (l *Listener) closeIfLast() {
	l.mu.Lock()
	last := l.closed && len(l.flows) == 0
	l.mu.Unlock()
	if last {
		l.socket.Close()
	}
}
