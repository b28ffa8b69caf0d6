package tls

import (
	"crypto"
	"crypto/rsa"
	stdtls "crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"time"
)

// material is what the files held when they were read.
type material struct {
	own      stdtls.Certificate // with its Leaf
	trusted  *x509.CertPool     // nil: those of the system
	roots    []*x509.Certificate
	warnings []string
}

// readMaterial reads and checks tcert, tkey and tca, whatever verify says: socat
// too refuses to start without them (B13j to B13m).
func readMaterial(c Config) (*material, error) {
	m := &material{}
	if err := m.readTrusted(c); err != nil {
		return nil, err
	}
	if err := m.readTrustedDir(c); err != nil {
		return nil, err
	}
	if c.Cert == "" && !c.needsCert() {
		return m, nil
	}
	if err := m.readOwn(c); err != nil {
		return nil, err
	}
	if err := m.checkOwn(c); err != nil {
		return nil, err
	}
	m.judgeOwn(c)
	return m, nil
}

func (m *material) readTrusted(c Config) error {
	if c.CA == "" {
		return nil
	}
	object := c.caObject()
	blocks, err := readPEM(object, c.CA)
	if err != nil {
		return err
	}
	certs, bad := certificates(blocks)
	if len(certs) == 0 {
		if len(bad) > 0 {
			return &Error{Object: object, Err: bad[0]}
		}
		return fault(object, "tca lists the certificates to trust", "holds no certificate")
	}
	for _, err := range bad {
		m.warnings = append(m.warnings, object+": "+err.Error())
	}
	m.warnOfCRLs(object, blocks)
	m.trust(certs)
	return nil
}

func (m *material) readOwn(c Config) error {
	object := c.certObject()
	if c.Cert == "" {
		return &Error{Object: "tcert", Err: ErrNoCertificate, hint: "set tcert in the [sst] group to the PEM file of this node"}
	}
	blocks, err := readPEM(object, c.Cert)
	if err != nil {
		return err
	}
	certs, bad := certificates(blocks)
	switch {
	case len(bad) > 0:
		return &Error{Object: object, Err: bad[0]}
	case len(certs) == 0:
		return fault(object, "tcert holds the certificate of this node, tkey its key", "holds no certificate")
	}
	keyObject, keyPath := object, c.Cert
	if c.Key != "" {
		keyObject, keyPath = c.keyObject(), c.Key
		if blocks, err = readPEM(keyObject, keyPath); err != nil {
			return err
		}
	}
	key, err := firstKey(keyObject, keyPath, blocks)
	switch {
	case err != nil:
		return err
	case key == nil && c.Key == "":
		return fault(object, "set tkey, or put the key into the same file", "holds no private key, and tkey is not set")
	case key == nil:
		return fault(keyObject, "tkey holds the private key of this node", "holds no private key")
	}
	if err := matches(certs, key, keyObject, c.Cert); err != nil {
		return err
	}
	m.own = stdtls.Certificate{PrivateKey: key, Leaf: certs[0]}
	for _, cert := range append(certs, m.missingLinks(certs[len(certs)-1])...) {
		m.own.Certificate = append(m.own.Certificate, cert.Raw)
	}
	return nil
}

// matches checks that the key is that of the first certificate.
func matches(certs []*x509.Certificate, key crypto.Signer, keyObject, certPath string) error {
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
		pub, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		return ok && pub.Equal(key.Public())
	})
	switch {
	case i == 0:
		return nil
	case i > 0:
		return fault(keyObject, "put the certificate of this node first in "+certPath+", intermediates behind it",
			"belongs to certificate %d of %s and not to the first (%s)", i+1, certPath, title(certs[0]))
	}
	return fault(keyObject, "compare openssl pkey -pubout -in KEY with openssl x509 -pubkey -noout -in CERTIFICATE",
		"does not match certificate %s", certPath)
}

// missingLinks finds in tca the intermediates that lead on from the last
// certificate of tcert, as OpenSSL completes the chain it sends (B14g).
func (m *material) missingLinks(last *x509.Certificate) []*x509.Certificate {
	var links []*x509.Certificate
	for len(links) < 10 && !selfSigned(last) {
		i := slices.IndexFunc(m.roots, func(c *x509.Certificate) bool {
			return string(c.RawSubject) == string(last.RawIssuer) && !selfSigned(c) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		last = m.roots[i]
		links = append(links, last)
	}
	return links
}

func selfSigned(c *x509.Certificate) bool { return string(c.RawSubject) == string(c.RawIssuer) }

// judgeOwn warns of what a verifying peer would refuse in our own certificate. It
// is no error here: the peer may not verify, and the file may be renewed in time.
func (m *material) judgeOwn(c Config) {
	leaf := m.own.Leaf
	if text := outOfDate(leaf, c.Now()); text != "" {
		m.warnings = append(m.warnings, c.certObject()+": "+text+": the other node will refuse it unless it does not verify")
	}
	if key, ok := leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 2048 {
		m.warnings = append(m.warnings, fmt.Sprintf("%s: its RSA key has %d bits only: an OpenSSL of today at the other node refuses that", c.certObject(), key.N.BitLen()))
	}
	usage, as := x509.ExtKeyUsageServerAuth, "server"
	if c.Role == Donor {
		usage, as = x509.ExtKeyUsageClientAuth, "client"
	}
	any := slices.Contains(leaf.ExtKeyUsage, usage) || slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny)
	if limited := len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0; limited && !any {
		m.warnings = append(m.warnings, fmt.Sprintf("%s: its extended key usage does not allow it as %s certificate, which a %s needs: the other node will refuse it unless it does not verify", c.certObject(), as, c.Role))
	}
}

const dateForm = "2006-01-02 15:04:05 UTC"

// outOfDate says so with the date, or "".
func outOfDate(c *x509.Certificate, now time.Time) string {
	switch {
	case now.After(c.NotAfter):
		return fmt.Sprintf("expired on %s (this host's clock: %s)", c.NotAfter.UTC().Format(dateForm), now.UTC().Format(dateForm))
	case now.Before(c.NotBefore):
		return fmt.Sprintf("is not valid before %s (this host's clock: %s)", c.NotBefore.UTC().Format(dateForm), now.UTC().Format(dateForm))
	}
	return ""
}
