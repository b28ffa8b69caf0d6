package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// A Self is a certificate to be made that signs itself, as `openssl req -x509` does.
type Self struct {
	Name  string   // CN and SAN: what the other nodes call this one, a name or an IP address
	More  []string // further names, SAN only
	Dir   string   // where the files go; made if it is not there
	Days  int      // 1 to MaxDays, from now
	RSA   bool     // a key of 2048 bits instead of ECDSA P-256
	Owner Owner

	Now func() time.Time // nil: time.Now
}

// MaxDays ends where X.509 counts years in four digits.
const MaxDays = 365000

// early is how long before now it is valid: clocks of nodes differ.
const early = time.Hour

// A made file.
type made struct {
	name    string
	mode    fs.FileMode
	content []byte
}

// Make makes NAME.key, NAME.crt and, with both, NAME.pem, and tells w. If one of them
// is there, nothing is done.
func (s Self) Make(w io.Writer) error {
	if s.Now == nil {
		s.Now = time.Now
	}
	cert, key, err := s.sign()
	if err != nil {
		return err
	}
	base := fileName(s.Name)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	files := []made{
		{base + ".key", 0o600, key},
		{base + ".crt", 0o644, crt},
		{base + ".pem", 0o600, append(key[:len(key):len(key)], crt...)},
	}
	if err := s.write(files); err != nil {
		return err
	}
	return s.tell(w, cert, files)
}

func (s Self) tell(w io.Writer, cert *x509.Certificate, files []made) error {
	what := []string{"the key", "the certificate, for tca of every node", "both, for tcert of this node"}
	for i, f := range files {
		if _, err := fmt.Fprintf(w, "%s  mode %04o, owner %s: %s\n", filepath.Join(s.Dir, f.name), f.mode, s.Owner, what[i]); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s, valid to %s, SHA-256 %s\n", tls.Names(cert), cert.NotAfter.UTC().Format(time.DateOnly), fingerprint(cert))
	return err
}

// sign makes the key, in PEM, and the certificate.
//
// No key usage is set: OpenSSL 1.1.1 does not take a certificate for self-signed whose
// usage does not allow it to sign certificates. It is no authority: whoever trusts this
// node need not trust what its key signs.
func (s Self) sign() (*x509.Certificate, []byte, error) {
	template, err := s.template()
	if err != nil {
		return nil, nil, err
	}
	var key crypto.Signer
	if s.RSA {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make the key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate that was made: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("write the key: %w", err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

func (s Self) template() (*x509.Certificate, error) {
	if s.Days < 1 || s.Days > MaxDays {
		return nil, fmt.Errorf("--days %d: 1 to %d are possible", s.Days, MaxDays)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159)) // 20 bytes (RFC 5280 §4.1.2.2)
	if err != nil {
		return nil, err
	}
	now := s.Now()
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: s.Name},
		NotBefore: now.Add(-early), NotAfter: now.AddDate(0, 0, s.Days),
		BasicConstraintsValid: true,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for i, name := range append([]string{s.Name}, s.More...) {
		if err := checkName(name); err != nil {
			return nil, err
		}
		if i == 0 && len(name) > maxCN {
			return nil, fmt.Errorf("--cn %s: longer than the %d bytes that a CN may have: take a shorter one, and give this one with --san", name, maxCN)
		}
		if ip, err := netip.ParseAddr(name); err == nil {
			c.IPAddresses = append(c.IPAddresses, ip.AsSlice())
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c, nil
}

// maxCN is ub-common-name of RFC 5280.
const maxCN = 64

// checkName lets through what can be the host in an address: a host name, possibly with
// a wildcard for its first label, or an IP address.
func checkName(name string) error {
	if ip, err := netip.ParseAddr(name); err == nil && ip.Zone() == "" {
		return nil
	}
	labels := strings.Split(strings.TrimPrefix(name, "*."), ".")
	for _, label := range labels {
		odd := strings.TrimFunc(label, func(c rune) bool {
			return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
		})
		if label == "" || odd != "" || len(label) > 63 || len(name) > 253 {
			return fmt.Errorf("the name %q: a host name such as node1.example.com or an IP address is needed, without port or brackets", name)
		}
	}
	return nil
}

// fileName is a name as the beginning of a file's.
func fileName(name string) string { return strings.NewReplacer("*", "_", ":", "-").Replace(name) }

// write writes all files, or none.
func (s Self) write(files []made) (err error) {
	if err := os.MkdirAll(s.Dir, 0o755); err != nil {
		return err
	}
	dir, err := os.OpenRoot(s.Dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range files {
		if _, err := dir.Lstat(f.name); err == nil {
			return &refused{fmt.Errorf("%s is there already, and nothing is overwritten", filepath.Join(s.Dir, f.name)),
				"move the old files away, or take another --out"}
		}
	}
	var done []string
	defer func() {
		if err != nil {
			for _, name := range done {
				err = errors.Join(err, dir.Remove(name))
			}
		}
	}()
	for _, f := range files {
		done = append(done, f.name)
		if err := s.writeOne(dir, f); err != nil {
			if errors.Is(err, fs.ErrExist) { // somebody else's, since we looked
				done = done[:len(done)-1]
			}
			return fmt.Errorf("%s: %w", filepath.Join(s.Dir, f.name), err)
		}
	}
	return nil
}

func (s Self) writeOne(dir *os.Root, m made) error {
	f, err := dir.OpenFile(m.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			return e.Err
		}
		return err
	}
	err = s.Owner.give(f)
	if err == nil {
		err = f.Chmod(m.mode)
	}
	if err == nil {
		_, err = f.Write(m.content)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// fingerprint is as `openssl x509 -fingerprint -sha256` has it.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// A refused request, with the next step.
type refused struct {
	error
	hint string
}

// Hint is the next step.
func (r *refused) Hint() string { return r.hint }
