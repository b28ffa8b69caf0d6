package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// verifier checks the peer's certificate: its chain, its dates, its purpose and
// its name. crypto/tls never looks at the CN, so the whole check is here.
type verifier struct {
	role    Role // ours
	trusted *x509.CertPool
	trust   string // names what is trusted, for messages
	want    string // the name the peer must bear; "": any
	now     func() time.Time

	identity *identity // a further check, for VerifyIdentity
}

// verify is run on every handshake, resumed ones too: the certificates are then
// those of the first.
func (v verifier) verify(s stdtls.ConnectionState) error {
	certs := s.PeerCertificates
	if len(certs) == 0 {
		return errNoPeerCertificate
	}
	// When crypto/tls has checked the chain itself (joiner), this finds the same.
	if len(s.VerifiedChains) == 0 {
		if err := v.chain(certs); err != nil {
			return &stdtls.CertificateVerificationError{UnverifiedCertificates: certs, Err: err}
		}
	}
	if v.want != "" && !bears(certs[0], v.want) {
		return &nameError{leaf: certs[0], want: v.want}
	}
	if v.identity != nil {
		return v.identity.verify(certs[0])
	}
	return nil
}

func (v verifier) chain(certs []*x509.Certificate) error {
	usage := x509.ExtKeyUsageServerAuth
	if v.role == Joiner {
		usage = x509.ExtKeyUsageClientAuth
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots:         v.trusted,
		Intermediates: between,
		CurrentTime:   v.now(),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

var errNoPeerCertificate = errors.New("sent no certificate")

// nameError is a certificate that does not bear the wanted name.
type nameError struct {
	leaf *x509.Certificate
	want string
}

func (e *nameError) Error() string {
	return fmt.Sprintf("its certificate bears %s and not the wanted name %s", names(e.leaf), e.want)
}

// explain puts a refused certificate into words. peer is "joiner" or "donor".
func (v verifier) explain(certs []*x509.Certificate, err error) (hint string, text error) {
	leaf, peer := certs[0], v.role.peer()
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	_, isAuthority := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case isInvalid && invalid.Reason == x509.Expired:
		bad := invalid.Cert
		if bad == nil {
			bad = leaf
		}
		return fmt.Sprintf("renew the certificate in tcert on the %s; if it is good, correct this host's clock", peer),
			fmt.Errorf("its certificate %s %s%.0w", title(bad), outOfDate(bad, v.now()), err)
	case isInvalid && invalid.Reason == x509.IncompatibleUsage:
		return "each node needs a certificate for both purposes: extendedKeyUsage = serverAuth, clientAuth",
			fmt.Errorf("the extended key usage of its certificate %s does not allow it for a %s%.0w", title(leaf), peer, err)
	case isAuthority && strings.Contains(err.Error(), "insecure algorithm"):
		return fmt.Sprintf("renew the certificate in tcert on the %s, with SHA-256", peer),
			fmt.Errorf("its certificate %s is signed with an algorithm that is too weak: %w", title(leaf), err)
	case isAuthority && selfSigned(leaf):
		return fmt.Sprintf("append the certificate of the %s to tca on this node", peer),
			fmt.Errorf("its certificate %s is self-signed and not in %s%.0w", title(leaf), v.trust, err)
	case isAuthority:
		last := lastOf(certs)
		return fmt.Sprintf("the certificate of %s belongs into tca on this node or, if it is an intermediate, behind the certificate in tcert on the %s", issuer(last), peer),
			fmt.Errorf("its certificate %s was issued by %s, which is not in %s: %w", title(leaf), issuer(last), v.trust, err)
	}
	return "", fmt.Errorf("its certificate %s is refused: %w", title(leaf), err)
}

// lastOf follows the chain that the peer sent to its end.
func lastOf(certs []*x509.Certificate) *x509.Certificate {
	last := certs[0]
	for _, c := range certs[1:] {
		if string(c.RawSubject) == string(last.RawIssuer) {
			last = c
		}
	}
	return last
}

func issuer(c *x509.Certificate) string {
	if c.Issuer.CommonName != "" {
		return printable("CN=" + c.Issuer.CommonName)
	}
	return printable(c.Issuer.String())
}
