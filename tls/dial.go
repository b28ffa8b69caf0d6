package tls

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Dial connects to the joiner and makes the handshake, as often as sockopt says
// with retry, interval and forever: the end of ctx ends that, too. The joiner is
// verified when it returns; with TLS 1.3 it may still refuse our certificate, and
// that error comes with the first Read.
func (c *Channel) Dial(ctx context.Context, host string, port int) (*Conn, error) {
	for try := 0; ; try++ {
		conn, err := c.dialOnce(ctx, host, port)
		if err == nil || ctx.Err() != nil || !c.triesAgain(err) {
			return conn, err
		}
		if !c.set.forever && try >= c.set.retry {
			if try > 0 {
				err = fmt.Errorf("%w (after %d attempts, sockopt retry)", err, try+1)
			}
			return nil, err
		}
		if err := c.pause(ctx, "joiner "+net.JoinHostPort(host, strconv.Itoa(port)), err); err != nil {
			return nil, err
		}
	}
}

// triesAgain: another name will be no other in a second (socat too gives up at once).
func (c *Channel) triesAgain(err error) bool {
	_, misnamed := errors.AsType[*nameError](err)
	return !misnamed && (c.set.forever || c.set.retry > 0)
}

// pause waits between two attempts.
func (c *Channel) pause(ctx context.Context, object string, err error) error {
	c.warn(fmt.Sprintf("%v: trying again every %v (sockopt retry)", err, c.set.interval))
	select {
	case <-ctx.Done():
		return &Error{Object: object, Err: context.Cause(ctx)}
	case <-time.After(c.set.interval):
		return nil
	}
}

func (c *Channel) dialOnce(ctx context.Context, host string, port int) (*Conn, error) {
	if c.cfg.Transport == DTLS {
		return c.dialDatagram(ctx, host, port)
	}
	for {
		raw, err := c.dialTCP(ctx, host, port)
		if err != nil {
			return nil, err
		}
		p := c.current()
		cfg, v := c.connection(p, host)
		conn, err := c.handshake(ctx, raw, p, stdtls.Client, cfg, v)
		tickets, ok := cfg.ClientSessionCache.(*ownTickets)
		if err == nil || ctx.Err() != nil || !ok || !tickets.used.Load() {
			return conn, err
		}
		c.stopResuming() // once more, by a full handshake
	}
}

// dialTCP connects without a handshake.
func (c *Channel) dialTCP(ctx context.Context, host string, port int) (net.Conn, error) {
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	local, err := c.set.bind.resolve(ctx, c, host)
	if err != nil {
		return nil, err
	}
	raw, err := c.dialFrom(ctx, "tcp", local, addr)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, &Error{Object: "joiner " + addr, Err: context.Cause(ctx)}
	case err != nil:
		return nil, c.dialFault(addr, err)
	}
	if err := c.configureConn(raw); err != nil {
		raw.Close()
		return nil, err
	}
	return raw, nil
}

// dialFrom tries the local ports one after the other.
func (c *Channel) dialFrom(ctx context.Context, network string, local netip.Addr, addr string) (net.Conn, error) {
	ports := c.set.localPorts()
	for i := 0; ; i++ {
		port, last := ports[i], len(ports)-1
		d := net.Dialer{Timeout: c.connectTimeout(), Control: func(_, _ string, raw syscall.RawConn) error {
			if port != 0 { // one that an ended connection still holds will do
				raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
			}
			return c.configure(raw, early)
		}}
		if local.IsValid() || port != 0 {
			d.LocalAddr = localEnd(network, local, port)
		}
		raw, err := d.DialContext(ctx, c.set.network(network), addr)
		if err == nil || i == last || !portTaken(err) {
			return raw, err
		}
		if errors.Is(err, syscall.EACCES) {
			i = last - 1
		}
		if i == last-1 {
			c.warn("sockopt: not every connection can come from the local port that is asked for, others are used")
		}
	}
}

// localEnd is the address to connect from.
func localEnd(network string, local netip.Addr, port int) net.Addr {
	var ip net.IP
	if local.IsValid() {
		ip = local.AsSlice()
	}
	if network == "udp" {
		return &net.UDPAddr{IP: ip, Zone: local.Zone(), Port: port}
	}
	return &net.TCPAddr{IP: ip, Zone: local.Zone(), Port: port}
}

// portTaken says that a local port is in use, or not for us.
func portTaken(err error) bool {
	call, ok := errors.AsType[*os.SyscallError](err)
	return ok && (errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) ||
		call.Syscall == "bind" && errors.Is(err, syscall.EACCES))
}

// configureConn sets the options of a connection that is made or accepted. What is
// no socket (in tests) has none.
func (c *Channel) configureConn(conn net.Conn) error {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	return c.configure(raw, late)
}
