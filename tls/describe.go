package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"strings"
)

// Describe is the effective settings in one line for the log: versions, our own
// certificate, whom we trust and by which name, ciphers, and what sockopt makes of
// the connections of this side.
func (c *Channel) Describe() string {
	c.mu.Lock()
	m := c.now.material
	c.mu.Unlock()
	parts := []string{c.describeVersions()}
	if m.own.Leaf == nil {
		parts = append(parts, "no certificate of our own")
	} else {
		parts = append(parts, fmt.Sprintf("own certificate %s (%s, valid to %s)", c.cfg.Cert, title(m.own.Leaf), m.own.Leaf.NotAfter.UTC().Format(dateForm)))
	}
	want := c.wanted("the joiner's host")
	switch {
	case c.cfg.Mode != Socat:
		parts = append(parts, c.describeTrust(m))
	case !c.set.verify:
		parts = append(parts, "peer not verified")
	case want == "":
		parts = append(parts, "peer verified against "+c.trust(m)+", any name")
	default:
		parts = append(parts, "peer verified against "+c.trust(m)+", name "+printable(want))
	}
	if c.set.cipher != "" && c.set.floor() < stdtls.VersionTLS13 {
		parts = append(parts, fmt.Sprintf("for TLS 1.2 %d ciphers of %s", len(c.set.suites), printable(c.set.cipher)))
	}
	if c.cfg.Role == Donor {
		parts = append(parts, c.describeSNI(want)...)
	}
	return strings.Join(append(parts, c.set.describeNet()...), "; ")
}

func (c *Channel) describeVersions() string {
	if c.cfg.Transport == DTLS {
		return fmt.Sprintf("DTLS 1.2 over UDP, in datagrams of %d bytes at most", c.cfg.MTU)
	}
	low, high := stdtls.VersionName(c.set.floor()), stdtls.VersionName(c.set.ceiling())
	if low == high {
		return low + " only"
	}
	return low + " to " + high
}

func (c *Channel) describeSNI(want string) []string {
	switch {
	case c.set.noSNI:
		return []string{"no SNI"}
	case c.set.sniHost != nil && *c.set.sniHost != want:
		return []string{"SNI " + printable(*c.set.sniHost)}
	}
	return nil
}

func (c *Channel) trust(m *material) string {
	if c.cfg.CA == "" && c.cfg.CAPath == "" {
		return "the authorities of the system"
	}
	if n := len(m.roots); n > 1 {
		return fmt.Sprintf("%s (%d certificates)", c.cfg.trustObject(), n)
	}
	return c.cfg.trustObject()
}
