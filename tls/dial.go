package tls

import (
	"context"
	stdtls "crypto/tls"
	"net"
	"strconv"
)

// Dial connects to the joiner and makes the handshake. The joiner is verified when
// it returns; with TLS 1.3 it may still refuse our certificate, and that error
// comes with the first Read.
func (c *Channel) Dial(ctx context.Context, host string, port int) (*Conn, error) {
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
	d := net.Dialer{Timeout: c.cfg.ConnectTimeout}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	raw, err := d.DialContext(ctx, c.set.network("tcp"), addr)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, &Error{Object: "joiner " + addr, Err: context.Cause(ctx)}
	case err != nil:
		return nil, c.dialFault(addr, err)
	}
	return raw, nil
}
