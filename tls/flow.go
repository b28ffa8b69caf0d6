package tls

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Flow is what the kernel knows of how a connection's sending went (TCP_INFO): what
// held it up.
type Flow struct {
	Busy time.Duration // there was data to send, or on its way
	Full time.Duration // the part of it in which the peer had no room: it read too slowly
}

// Flow tells of the connection so far. It is zero where the kernel does not say.
// With DTLS it does not.
func (c *Conn) Flow() Flow {
	if c.batch == nil {
		return Flow{}
	}
	return flowOf(c.batch.Conn)
}

// Flow is [Conn.Flow].
func (c *ClearConn) Flow() Flow { return flowOf(c.Conn) }

func flowOf(conn net.Conn) (f Flow) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return f
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return f
	}
	_ = raw.Control(func(fd uintptr) { // of a closed one nothing is known
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			f = Flow{time.Duration(info.Busy_time) * time.Microsecond, time.Duration(info.Rwnd_limited) * time.Microsecond}
		}
	})
	return f
}
