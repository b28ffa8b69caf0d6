package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"sync/atomic"
)

// maxNames bounds the names of authorities that a joiner sends in its handshake.
const maxNames = 32 << 10

// prepare turns one reading of the files into a configuration of crypto/tls.
func (c *Channel) prepare(m *material) (*prepared, error) {
	v := verifier{role: c.cfg.Role, trusted: m.trusted, trust: c.trust(m), now: c.cfg.Now}
	if m.trusted == nil && c.set.verify {
		// nil stands for the authorities of the system; without any, every peer would be refused.
		pool, err := x509.SystemCertPool()
		if err == nil && pool.Equal(x509.NewCertPool()) {
			err = errors.New("is not set, and this system trusts no authority")
		}
		if err != nil {
			return nil, &Error{Object: "tca", Err: err, hint: "set tca in the [sst] group to a file with the certificates to trust"}
		}
	}
	if c.cfg.Mode == VerifyIdentity {
		v.identity = &identity{Identity: c.cfg.Identity, trusted: m.roots, trust: c.trust(m)}
	}
	cfg := &stdtls.Config{
		NextProtos:   []string{c.cfg.alpn()},
		MinVersion:   c.set.floor(),
		MaxVersion:   c.set.ceiling(),
		CipherSuites: c.set.suites, // nil: the choice of crypto/tls
		Time:         c.cfg.Now,

		// Small records at the beginning help a browser, not a bulk transfer.
		DynamicRecordSizingDisabled: true,
	}
	if m.own.Leaf != nil {
		cfg.Certificates = []stdtls.Certificate{m.own}
	}
	if c.cfg.Role == Joiner {
		v.want = c.wanted("")
		c.prepareJoiner(cfg, v, m)
	} else {
		c.prepareDonor(cfg)
	}
	return &prepared{material: m, verifier: v, config: cfg}, nil
}

func (c *Channel) prepareJoiner(cfg *stdtls.Config, v verifier, m *material) {
	if !c.set.verify {
		return // no certificate is requested, and no name is looked at (B3)
	}
	// crypto/tls checks the chain, because only then the alert that the donor
	// gets tells the reason. It also sends the names of the authorities, which
	// must fit into a message: with very many of them the verifier does it all.
	size := 0
	for _, root := range m.roots {
		size += len(root.RawSubject)
	}
	if size <= maxNames {
		cfg.ClientAuth, cfg.ClientCAs = stdtls.RequireAndVerifyClientCert, v.trusted
	} else {
		cfg.ClientAuth = stdtls.RequireAnyClientCert
	}
	cfg.VerifyConnection = v.verify
}

func (c *Channel) prepareDonor(cfg *stdtls.Config) {
	// The check is in VerifyConnection, see connection.
	cfg.InsecureSkipVerify = true
	// Left to itself crypto/tls sends no certificate when the joiner names
	// authorities that did not issue ours. socat sends it and lets the joiner say so.
	own := noCertificate
	if len(cfg.Certificates) > 0 {
		own = &cfg.Certificates[0]
	}
	cfg.GetClientCertificate = func(*stdtls.CertificateRequestInfo) (*stdtls.Certificate, error) {
		return own, nil
	}
}

// connection is the donor's configuration for one connection to host.
func (c *Channel) connection(p *prepared, host string) (*stdtls.Config, verifier) {
	v := p.verifier
	v.want = c.wanted(host)
	cfg := p.config.Clone()
	name := v.want
	switch {
	case c.cfg.Mode != Socat:
		name = host
	case c.set.noSNI:
		name = ""
	case c.set.sniHost != nil:
		name = *c.set.sniHost
	}
	if looksLikeName(name) {
		cfg.ServerName = name
	}
	tickets := &ownTickets{cache: c.resume}
	tickets.own.Store(c.cfg.Mode != Socat) // stunnel takes its tickets back
	if c.resumes() {
		cfg.ClientSessionCache = tickets
	}
	cfg.VerifyConnection = func(s stdtls.ConnectionState) error {
		tickets.used.Store(false)
		tickets.own.Store(s.NegotiatedProtocol == ALPN || c.cfg.Mode != Socat)
		if !c.set.verify {
			return nil
		}
		return v.verify(s)
	}
	return cfg, v
}

// resumes says whether tickets are offered.
func (c *Channel) resumes() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.noResume
}

// stopResuming is for a peer that refuses its own tickets.
func (c *Channel) stopResuming() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.noResume = true
}

// ownTickets keeps session tickets of our own joiner, and of one that may be a
// stunnel: thousands of connections then make one full handshake. Not those of a
// socat: an OpenSSL server breaks off a connection that offers it a ticket if it
// verifies its peer and was given no session id context
// (SSL_CTX_set_session_id_context(3)).
type ownTickets struct {
	cache stdtls.ClientSessionCache
	own   atomic.Bool
	used  atomic.Bool // a ticket was offered, and the joiner has not come to show its certificate
}

func (t *ownTickets) Get(key string) (*stdtls.ClientSessionState, bool) {
	s, ok := t.cache.Get(key)
	t.used.Store(ok && s != nil)
	return s, ok
}

func (t *ownTickets) Put(key string, s *stdtls.ClientSessionState) {
	if s == nil || t.own.Load() {
		t.cache.Put(key, s)
	}
}

// looksLikeName keeps from the server name indication what is no host name; an
// IP address is left out by crypto/tls.
func looksLikeName(s string) bool {
	return s != "" && len(s) < 256 && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	}) < 0
}
