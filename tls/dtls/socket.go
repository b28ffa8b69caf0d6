package dtls

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// WantedBuffer is what each UDP socket gets for receiving and for sending, in bytes:
// at 1 GB/s what arrives in 4 ms, in which the process may not have the CPU.
const WantedBuffer = 4 << 20

// SetBuffers enlarges the buffers of a socket, past the kernel's limit where the
// process may. It returns what the kernel gives for receiving if that is less.
func SetBuffers(raw syscall.RawConn) (got int, capped bool) {
	raw.Control(func(fd uintptr) {
		for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[0], WantedBuffer) != nil {
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[1], WantedBuffer)
			}
		}
		n, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		got = n / 2 // the kernel says twice what it was asked for
		capped = err == nil && got < WantedBuffer
	})
	return got, capped
}

// A connected socket is the dialer's. To DTLS it is a network that loses datagrams:
// what the kernel says of one that could not be sent, or that nobody took, is no end.
type connected struct {
	net.Conn
	refused atomic.Int64 // when a datagram was last refused by the joiner's host, unix nanoseconds
}

func (c *connected) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, err := c.Read(p)
		if err == nil || !c.shrug(err) {
			return n, c.RemoteAddr(), err
		}
	}
}

func (c *connected) WriteTo(p []byte, _ net.Addr) (int, error) {
	n, err := c.Write(p)
	if err != nil && c.shrug(err) {
		return len(p), nil
	}
	return n, err
}

// shrug says whether an error is about one datagram only.
func (c *connected) shrug(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) {
		c.refused.Store(time.Now().UnixNano())
		return true
	}
	return isLoss(err)
}

// isLoss: the network, a firewall or a full queue did not take a datagram.
func isLoss(err error) bool {
	for _, e := range []error{syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENOBUFS, syscall.EPERM, syscall.EAGAIN, syscall.EMSGSIZE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// lastRefusal is the zero time if there was none.
func (c *connected) lastRefusal() time.Time {
	if at := c.refused.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// tellDestination makes the kernel say to which of the host's addresses a datagram
// came: an answer must come from there, and a socket that is bound to all of them
// would choose by the route.
func tellDestination(pc *net.UDPConn) error {
	if local := pc.LocalAddr().(*net.UDPAddr).AddrPort(); !local.Addr().IsUnspecified() {
		return nil
	}
	raw, err := pc.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		family, _ := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
		if family == unix.AF_INET6 {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		} else {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	})
	return errors.Join(err, failed)
}

// answerFrom turns the control message of a datagram into that of its answers. nil: the
// kernel chooses.
func answerFrom(oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			to := netip.AddrFrom4([4]byte(m.Data[8:12])) // ipi_addr of in_pktinfo
			info := unix.Inet4Pktinfo{Spec_dst: to.As4()}
			return unix.PktInfo4(&info)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := *(*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			if to := netip.AddrFrom16(info.Addr); !to.IsLinkLocalUnicast() {
				info.Ifindex = 0 // any way back will do
			}
			return unix.PktInfo6(&info)
		}
	}
	return nil
}

func refusal(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
