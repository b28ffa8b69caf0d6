package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Mode is whose rules decide about the peer's certificate.
type Mode int

// The modes. All but the first are what ssl-mode means to the stock script, which
// has stunnel in front of rsync (sst-options.md, TLS).
const (
	// Socat: as sockopt says, with socat's meaning.
	Socat Mode = iota
	// Required: encrypted, and nobody is checked. The joiner needs a certificate,
	// the donor none.
	Required
	// VerifyCA: each side demands a certificate and checks its chain, not its name.
	VerifyCA
	// VerifyIdentity: the peer's own certificate must be among the trusted ones,
	// and bear a name of Config.Identity.
	VerifyIdentity
)

// String is the value of ssl-mode, "" for Socat.
func (m Mode) String() string { return [...]string{"", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}[m] }

// ParseMode reads a value of ssl-mode other than DISABLED; case does not count.
func ParseMode(text string) (Mode, bool) {
	modes := []Mode{Required, VerifyCA, VerifyIdentity}
	i := slices.IndexFunc(modes, func(m Mode) bool { return strings.EqualFold(m.String(), text) })
	if i < 0 {
		return Socat, false
	}
	return modes[i], true
}

// Identity is what VerifyIdentity wants the peer's certificate to bear; one match is
// enough, and without any the certificate alone decides.
type Identity struct {
	Hosts []string // names: no case; CN only if there is no SAN of the kind DNS
	IP    string   // an address: SAN of the kind IP only
}

func (i Identity) String() string {
	names := slices.Clone(i.Hosts)
	if i.IP != "" {
		names = append(names, "IP "+i.IP)
	}
	return strings.Join(names, " or ")
}

// Keys are the settings that named the files, for messages. Empty ones are called
// tca, tcapath, tcert and tkey.
type Keys struct{ CA, CAPath, Cert, Key string }

func keyed(key, standard, file string) string {
	if key == "" {
		key = standard
	}
	return key + " " + file
}

func (c Config) caObject() string     { return keyed(c.Keys.CA, "tca", c.CA) }
func (c Config) caPathObject() string { return keyed(c.Keys.CAPath, "tcapath", c.CAPath) }
func (c Config) certObject() string   { return keyed(c.Keys.Cert, "tcert", c.Cert) }
func (c Config) keyObject() string    { return keyed(c.Keys.Key, "tkey", c.Key) }

// trustObject names all that is trusted.
func (c Config) trustObject() string {
	switch {
	case c.CAPath == "":
		return c.caObject()
	case c.CA == "":
		return c.caPathObject()
	}
	return c.caObject() + " and " + c.caPathObject()
}

// needsCert says whether this side cannot do without a certificate.
func (c Config) needsCert() bool { return c.Mode == Socat || c.Role == Joiner }

// CommonName is the first CN of our own certificate, "" if it has none.
func (c *Channel) CommonName() string {
	c.mu.Lock()
	leaf := c.now.material.own.Leaf
	c.mu.Unlock()
	if leaf == nil {
		return ""
	}
	cn, _ := firstCN(leaf)
	return cn
}

// stunnelSettings stand in for a sockopt, which these modes never read.
func stunnelSettings(c Config) (*settings, error) {
	if c.Mode != Required && c.CA == "" && c.CAPath == "" {
		return nil, fault("ssl-mode="+c.Mode.String(), "set tca (or ssl-ca) to the certificates to trust, or tcapath to a directory of them",
			"there is no CA file and no CA directory to verify with")
	}
	return &settings{verify: c.Mode != Required}, nil
}

// checkOwn is the stock script's own check, whatever the mode: our certificate must
// be one that our CA vouches for, at this moment.
func (m *material) checkOwn(c Config) error {
	if c.Mode == Socat || m.own.Leaf == nil || m.trusted == nil {
		return nil
	}
	between := x509.NewCertPool()
	for _, der := range m.own.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	_, err := m.own.Leaf.Verify(x509.VerifyOptions{
		Roots: m.trusted, Intermediates: between, CurrentTime: c.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil {
		return nil
	}
	if text := outOfDate(m.own.Leaf, c.Now()); text != "" {
		return fault(c.certObject(), "renew it, or correct this host's clock", "%s%.0w", text, err)
	}
	return fault(c.certObject(), "the CA must be the one that issued this node's certificate (the stock script refuses such a pair, too)",
		"does not match %s: %w", c.trustObject(), err)
}

// identity is the check of VerifyIdentity.
type identity struct {
	Identity
	trusted []*x509.Certificate
	trust   string // names them
}

// identityError is a certificate that is none of the trusted ones, or does not bear
// the name.
type identityError struct{ text, hint string }

func (e *identityError) Error() string { return e.text }

func (i *identity) verify(leaf *x509.Certificate) error {
	if !slices.ContainsFunc(i.trusted, leaf.Equal) {
		return &identityError{
			text: fmt.Sprintf("its certificate %s is not itself in %s", title(leaf), i.trust),
			hint: "ssl-mode=VERIFY_IDENTITY wants the other node's own certificate there; VERIFY_CA is content with its authority",
		}
	}
	if len(i.Hosts) == 0 && i.IP == "" {
		return nil
	}
	if i.IP != "" && bearsIP(leaf, i.IP) || slices.ContainsFunc(i.Hosts, func(h string) bool { return bearsHost(leaf, h) }) {
		return nil
	}
	return &identityError{
		text: fmt.Sprintf("its certificate bears %s and not the wanted name %s", names(leaf), i.Identity),
		hint: "a name must be a SAN of the kind DNS, or the CN if there is no such SAN; an address must be a SAN of the kind IP",
	}
}

// bearsHost is OpenSSL's rule for a host: SANs of the kind DNS, or any CN if there is
// none, without case.
func bearsHost(leaf *x509.Certificate, want string) bool {
	if len(leaf.DNSNames) > 0 {
		return slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return sameHost(name, want) })
	}
	return slices.ContainsFunc(commonNames(leaf), func(cn string) bool { return sameHost(cn, want) })
}

// sameHost lets "*." stand for exactly one label, before at least two others. (OpenSSL
// also knows wildcards for a part of a label, which no authority issues any more.)
func sameHost(name, want string) bool {
	if want == "" {
		return false
	}
	if strings.EqualFold(name, want) {
		return true
	}
	parent, wild := strings.CutPrefix(name, "*.")
	label, rest, dotted := strings.Cut(want, ".")
	return wild && dotted && label != "" && strings.Contains(parent, ".") && isHostName(parent) && strings.EqualFold(parent, rest)
}

// isHostName takes dotted labels of letters, digits and inner hyphens.
func isHostName(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || strings.IndexFunc(label, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-')
		}) >= 0 {
			return false
		}
	}
	return true
}

func bearsIP(leaf *x509.Certificate, want string) bool {
	ip, err := netip.ParseAddr(want)
	if err != nil {
		return false
	}
	ip = ip.WithZone("").Unmap()
	return slices.ContainsFunc(leaf.IPAddresses, func(entry net.IP) bool {
		addr, ok := netip.AddrFromSlice(entry)
		return ok && addr.Unmap() == ip
	})
}

func commonNames(leaf *x509.Certificate) []string {
	var all []string
	for _, attr := range leaf.Subject.Names {
		if attr.Type.Equal(commonNameOID) {
			if cn, ok := attr.Value.(string); ok {
				all = append(all, cn)
			}
		}
	}
	return all
}

// describeTrust says for the log whom these modes let in.
func (c *Channel) describeTrust(m *material) string {
	switch c.cfg.Mode {
	case Required:
		return "peer not verified"
	case VerifyIdentity:
		text := "peer must show a certificate that is itself in " + c.trust(m)
		if names := c.cfg.Identity.String(); names != "" {
			text += ", with the name " + names
		}
		return text
	}
	return "peer verified against " + c.trust(m) + ", any name"
}

// stunnelWarnings are about what these modes leave unchecked.
func (c *Channel) stunnelWarnings() []string {
	switch {
	case c.cfg.Mode != Required:
		return nil
	case c.cfg.Role == Joiner:
		return []string{"ssl-mode=REQUIRED: whoever reaches the port can send this node a database; VERIFY_CA checks certificates"}
	}
	return []string{"ssl-mode=REQUIRED: the database is sent to whoever answers at the joiner's address; VERIFY_CA checks certificates"}
}

// noCertificate is what a donor without a certificate has for one.
var noCertificate = &stdtls.Certificate{}
