package tls

import (
	"context"
	stdtls "crypto/tls"
	"net"
	"strconv"
)

// Dial connects to the joiner and makes the handshake. The peer was verified when
// it returns, but a joiner that speaks TLS 1.3 may still refuse our certificate:
// that error comes with the first Read.
func (c *Channel) Dial(ctx context.Context, host string, port int) (*Conn, error) {
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: c.cfg.ConnectTimeout}
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return handshake(ctx, stdtls.Client(raw, cfg), c.cfg.HandshakeTimeout)
}
