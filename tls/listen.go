package tls

import (
	"context"
	"net"
	"strconv"
)

// Listener is a plain TCP listener; each accepted connection goes to [Channel.Server].
type Listener struct {
	net.Listener
	note string
}

// Note says, for the log, that the listener is bound to all addresses and not to
// the host it was given, and why. "" when it is bound as asked.
func (l *Listener) Note() string { return l.note }

// Listen binds to host if that is an address of this machine, else to all
// addresses (NAT, Kubernetes; see [Listener.Note]). host is a name, an IPv4 or an
// IPv6 address; "" means all addresses. A taken port is an error that
// errors.Is(err, syscall.EADDRINUSE).
func (c *Channel) Listen(ctx context.Context, host string, port int) (*Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: ln}, nil
}
