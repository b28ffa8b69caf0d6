package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
	"time"
)

// CheckALPN is what two nodes agree on that only try their handshake
// ([Config].Rehearsal). A donor and a joiner never offer it, so that neither can be
// taken for the other.
const CheckALPN = "wsrep-sst-check/1"

// alpn is what this side offers.
func (c Config) alpn() string {
	if c.Rehearsal {
		return CheckALPN
	}
	return ALPN
}

// Rehearsed says that the other side only tries its handshake, too.
func (c *Conn) Rehearsed() bool { return c.protocol == CheckALPN }

// OtherProtocol says that a handshake failed because one side is an SST and the
// other a rehearsal, or something else over TLS. No certificate was looked at.
func OtherProtocol(err error) bool {
	const noApplicationProtocol = stdtls.AlertError(120)
	return err != nil && (strings.Contains(err.Error(), noApplicationProtocol.Error()) ||
		strings.Contains(err.Error(), "client requested unsupported application protocols"))
}

// Chain is the certificate that this side shows, and what it sends behind it; nil if
// it has none.
func (c *Channel) Chain() []*x509.Certificate {
	var chain []*x509.Certificate
	for i, der := range c.reading().material.own.Certificate {
		if i == 0 {
			chain = append(chain, c.reading().material.own.Leaf)
		} else if cert, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, cert)
		}
	}
	return chain
}

// Trusted are the certificates of tca and tcapath; none where those of the system
// count.
func (c *Channel) Trusted() []*x509.Certificate { return slices.Clone(c.reading().material.roots) }

func (c *Channel) reading() *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Verifies says whether the other side's certificate is checked at all.
func (c *Channel) Verifies() bool {
	if c.cfg.Mode == Socat {
		return c.set.verify
	}
	return c.cfg.Mode != Required
}

// WantedName is the name that the other side's certificate must bear, "" if any will
// do.
func (c *Channel) WantedName() string {
	switch {
	case !c.Verifies():
		return ""
	case c.cfg.Mode == VerifyIdentity:
		return c.cfg.Identity.String()
	}
	return c.wanted("")
}

// Accepts checks a certificate, leaf first, as if the other side had shown it in a
// handshake: its chain, its dates, its purpose and its name. Given the node's own it
// tells what another node of the same settings would make of this one. For a donor
// [Config].Host must be the joiner's.
func (c *Channel) Accepts(chain []*x509.Certificate) error {
	if !c.Verifies() {
		return nil
	}
	v := c.reading().verifier
	v.want = c.wanted("")
	err := v.verify(stdtls.ConnectionState{PeerCertificates: chain})
	if err == nil {
		return nil
	}
	return ends{peer: "this node as " + c.cfg.Role.peer().String(), role: c.cfg.Role, mode: c.cfg.Mode}.explain(v, err)
}

// WarningsBeside are the [Channel.Warnings] without those that [Channel.Accepts], given
// our own certificate, would say.
func (c *Channel) WarningsBeside() []string {
	return slices.DeleteFunc(c.Warnings(), func(w string) bool { return strings.HasSuffix(w, willRefuse) })
}

// willRefuse ends the warnings about a certificate of our own.
const willRefuse = "the other node will refuse it unless it does not verify"

// Judge checks a certificate, leaf first, as a node of the given role does that trusts
// the others and, as donor, looks for the name of host ("": for none). It asks for no
// key. object and trust are what the two are called in the error.
func Judge(object, trust string, role Role, chain, trusted []*x509.Certificate, host string, now func() time.Time) error {
	v := verifier{role: role, trusted: x509.NewCertPool(), trust: trust, now: now}
	for _, cert := range trusted {
		v.trusted.AddCert(cert)
	}
	if role == Donor {
		v.want = asSocatHas(host)
	}
	err := v.verify(stdtls.ConnectionState{PeerCertificates: chain})
	if err == nil {
		return nil
	}
	return ends{peer: object + " as " + role.peer().String(), role: role}.explain(v, err)
}

// Title names a certificate for messages: its CN, else its subject or its names.
func Title(cert *x509.Certificate) string { return title(cert) }

// IssuerTitle names who signed it.
func IssuerTitle(cert *x509.Certificate) string { return issuer(cert) }

// Names are all that a certificate bears of what a wanted name is compared with.
func Names(cert *x509.Certificate) string { return names(cert) }

// OutOfDate says since when or until when a certificate is not valid, "" if it is.
func OutOfDate(cert *x509.Certificate, now time.Time) string { return outOfDate(cert, now) }
