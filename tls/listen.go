package tls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Listener is a plain TCP listener, or one of dtls; each accepted connection goes to [Channel.Server].
type Listener struct {
	net.Listener
	note string

	// AcceptTimeout is how long to wait for the donor, and MaxChildren how many
	// sessions to serve at a time (sockopt accept-timeout, max-children). Whoever
	// accepts keeps to them: here nobody knows a donor from a port probe. 0: no limit.
	AcceptTimeout time.Duration
	MaxChildren   int
}

// Note says, for the log, that the listener is bound to all addresses and not to
// the host it was given, and why. "" when it is bound as asked.
func (l *Listener) Note() string { return l.note }

// Listen binds to host if that is an address of this machine, else to all
// addresses (NAT, Kubernetes; see [Listener.Note]). host is a name, an IPv4 or an
// IPv6 address; "" means all addresses. A taken port is an error that
// errors.Is(err, syscall.EADDRINUSE), after as many attempts as sockopt retry says.
func (c *Channel) Listen(ctx context.Context, host string, port int) (*Listener, error) {
	if err := c.set.peers.resolve(ctx, c); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		l, err := c.listenOnce(ctx, host, port)
		if err == nil {
			l.AcceptTimeout, l.MaxChildren = c.set.acceptTimeout, c.set.maxChildren
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || !c.set.forever && try >= c.set.retry {
			return nil, err
		}
		if err := c.pause(ctx, "listen on "+net.JoinHostPort(host, strconv.Itoa(port)), err); err != nil {
			return nil, err
		}
	}
}

func (c *Channel) listenOnce(ctx context.Context, host string, port int) (*Listener, error) {
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	addrs, why, err := c.bindable(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		ln, err := c.listen(ctx, c.cfg.Transport.network(), a.String(), port)
		if err == nil {
			return &Listener{Listener: ln}, nil
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return nil, err
		}
		why = fmt.Sprintf("%s is not an address of this machine", host)
	}
	ln, err := c.listen(ctx, c.anyNetwork(), "", port)
	if err != nil {
		return nil, err
	}
	l := &Listener{Listener: ln}
	if why != "" {
		l.note = why + ": listening on all addresses"
	}
	return l, nil
}

// bindable finds the addresses that host stands for. None means all addresses of
// this machine; why says what is the matter with host then.
func (c *Channel) bindable(ctx context.Context, host string) (addrs []netip.Addr, why string, err error) {
	if host == "" {
		return nil, "", nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		switch {
		case ip.Is4() && c.set.family == "6" || ip.Is6() && c.set.family == "4":
			return nil, "", fault("sockopt pf", "remove pf from sockopt, it is never needed", "%s is not an IPv%s address", host, c.set.family)
		case ip.IsUnspecified():
			return nil, "", nil
		}
		return []netip.Addr{ip}, "", nil
	}
	limited, cancel := context.WithTimeout(ctx, c.connectTimeout())
	defer cancel()
	addrs, err = c.lookup(limited, c.set.network("ip"), host)
	switch {
	case ctx.Err() != nil:
		return nil, "", &Error{Object: "listen on " + host, Err: context.Cause(ctx)}
	case err != nil:
		return nil, fmt.Sprintf("%s cannot be resolved (%v)", host, err), nil
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	// IPv4 first, as socat's listener.
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	loopback := !slices.ContainsFunc(addrs, func(a netip.Addr) bool { return !a.IsLoopback() })
	if loopback && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
		// Debian's /etc/hosts gives the host's own name the address 127.0.1.1,
		// where no donor would find this node.
		return nil, fmt.Sprintf("%s is a loopback address on this machine", host), nil
	}
	return addrs, "", nil
}

// anyNetwork is the network that stands for all addresses. With pf=ip6 IPv4 comes
// in too, as with socat (G5).
func (c *Channel) anyNetwork() string {
	if c.set.family == "4" {
		return c.cfg.Transport.network() + "4"
	}
	return c.cfg.Transport.network()
}

func (c *Channel) listen(ctx context.Context, network, host string, port int) (net.Listener, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return c.configure(raw, early) }}
	// A socket of MPTCP, Go's own choice, knows only some of the options of TCP.
	lc.SetMultipathTCP(false)
	var ln net.Listener
	var err error
	if c.cfg.Transport == DTLS {
		ln, err = c.listenDatagrams(ctx, lc, network, addr)
	} else if ln, err = lc.Listen(ctx, network, addr); err == nil {
		err = c.setBacklog(ln)
	}
	told, isTold := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return ln, nil
	case isTold: // by configure
		return nil, told
	case errors.Is(err, syscall.EADDRINUSE):
		if host == "" {
			addr = "port " + strconv.Itoa(port)
		}
		return nil, fault("listen on "+addr, fmt.Sprintf("another SST may still run; ss -ltunp 'sport = :%d' shows who has it, wsrep_sst_receive_address sets another port", port),
			"the port is taken: %w", unwrapOp(err))
	case errors.Is(err, syscall.EACCES):
		return nil, fault("listen on "+addr, "a port below 1024 needs privileges; SELinux may allow mariadbd some ports only (semanage port -a -t mysqld_port_t -p tcp PORT)",
			"is not allowed: %w", unwrapOp(err))
	}
	return nil, &Error{Object: "listen on " + addr, Err: unwrapOp(err)}
}

// setBacklog listens once more: the net package has no way to say how many
// connections may wait.
func (c *Channel) setBacklog(ln net.Listener) error {
	if c.set.backlog == nil {
		return nil
	}
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err == nil {
		e := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), *c.set.backlog) })
		err = errors.Join(err, e)
	}
	if err != nil {
		ln.Close()
		return fault("sockopt backlog="+strconv.Itoa(*c.set.backlog), "remove it", "the system does not take it: %w", err)
	}
	return nil
}

// unwrapOp takes off what net puts before the cause and our own text says already.
func unwrapOp(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
