package sst

import (
	"context"
	"errors"
	"net"

	"wsrep_sst_rsync_tunnel/tls"
)

// A link is a connection to the other side: through TLS, or, under the names of the
// stock methods and only there, in the clear.
type link interface {
	net.Conn
	// Own tells that a hello follows. In the clear it never does.
	Own() bool
	Peer() tls.Peer
	// Flow tells what held up its sending.
	Flow() tls.Flow
	// Explain puts the error that ended the use of the link into better words.
	Explain(error) error
}

// A channel makes links.
type channel interface {
	Listen(ctx context.Context, host string, port int) (*tls.Listener, error)
	Server(ctx context.Context, raw net.Conn) (link, error)
	Dial(ctx context.Context, host string, port int) (link, error)
	// CommonName is that of our own certificate.
	CommonName() string
}

type secureChannel struct{ *tls.Channel }

func (c secureChannel) Server(ctx context.Context, raw net.Conn) (link, error) {
	conn, err := c.Channel.Server(ctx, raw)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (c secureChannel) Dial(ctx context.Context, host string, port int) (link, error) {
	conn, err := c.Channel.Dial(ctx, host, port)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

type clearChannel struct{ *tls.Clear }

func (c clearChannel) Server(_ context.Context, raw net.Conn) (link, error) {
	return c.Clear.Server(raw), nil
}

func (c clearChannel) Dial(ctx context.Context, host string, port int) (link, error) {
	conn, err := c.Clear.Dial(ctx, host, port)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

func (clearChannel) CommonName() string { return "" }

// loadChannel reads and checks what the channel needs. auth is what came with the
// joiner's address.
func (r *run) loadChannel(role tls.Role, auth remoteAuth) (channel, error) {
	s, c := r.settings, r.settings.TLS(role)
	if s.Clear {
		r.warn(clearWarning(s))
		return clearChannel{tls.LoadClear(c)}, nil
	}
	if c.Mode == tls.VerifyIdentity {
		c.Identity = identityOf(role, auth.user, r.args.Address.Host)
	}
	c.Warn = r.warn
	ch, err := tls.Load(c)
	switch {
	case errors.Is(err, tls.ErrNoCertificate) && c.Mode == tls.Socat:
		return nil, fail(exitSignal, err) // the original script's status for this
	case err != nil:
		return nil, fail(exitInvalid, err)
	}
	if c.Mode != tls.Socat {
		if c.Mode == tls.VerifyCA {
			r.infof("Verifying peer certificate chain for ssl-mode=VERIFY_CA")
		}
		r.infof("Using stunnel for SSL encryption: CA: '%s', CAPATH='%s', ssl-mode='%s' (in its place, the TLS of this program: nothing is started)",
			c.CA, c.CAPath, c.Mode)
	}
	if err := r.hand.secured(ch.Verifies()); err != nil {
		return nil, err
	}
	r.say(ch.Describe())
	for _, w := range ch.Warnings() {
		r.warn(w)
	}
	return secureChannel{ch}, nil
}
