package tls

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// ident is a certificate with its key and what signed it.
type ident struct {
	cert   *x509.Certificate
	key    crypto.Signer
	issuer *ident // nil: self-signed
}

type spec struct {
	cn     string
	cns    []string // more than one CN, in order
	dns    []string
	ips    []string
	by     *ident
	ca     bool
	usage  []x509.ExtKeyUsage
	from   time.Time
	until  time.Time
	key    crypto.Signer
	serial int64
	keyID  []byte // of the key, and that of the issuer's, as openssl req -x509 writes them
}

var elliptic384 = elliptic.P384()

var serials atomic.Int64

func ecKey(t testing.TB, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// rsaKey is made once: RSA keys are slow to find.
var rsaKey = sync.OnceValue(func() crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func edKey(t testing.TB) crypto.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate. Without by it is self-signed.
func issue(t testing.TB, s spec) *ident {
	t.Helper()
	if s.key == nil {
		s.key = ecKey(t, elliptic.P256())
	}
	if s.from.IsZero() {
		s.from = time.Now().Add(-time.Hour)
	}
	if s.until.IsZero() {
		s.until = time.Now().Add(24 * time.Hour)
	}
	if s.serial == 0 {
		s.serial = serials.Add(1)
	}
	if s.cn != "" {
		s.cns = []string{s.cn}
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(s.serial),
		NotBefore:             s.from,
		NotAfter:              s.until,
		DNSNames:              s.dns,
		ExtKeyUsage:           s.usage,
		IsCA:                  s.ca,
		BasicConstraintsValid: s.ca,
		SubjectKeyId:          s.keyID,
		AuthorityKeyId:        s.keyID,
	}
	for _, cn := range s.cns {
		tmpl.Subject.ExtraNames = append(tmpl.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: cn})
	}
	for _, ip := range s.ips {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(ip))
	}
	parent, signer := tmpl, s.key
	if s.by != nil {
		parent, signer = s.by.cert, s.by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, s.key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ident{cert: cert, key: s.key, issuer: s.by}
}

func newCA(t testing.TB, cn string) *ident {
	t.Helper()
	return issue(t, spec{cn: cn, ca: true})
}

func (i *ident) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *ident) keyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// file writes the parts one after the other into a new file.
func file(t testing.TB, parts ...[]byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(path, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pem is the file of a node: key and certificate, chain behind.
func (i *ident) pem(t testing.TB, chain ...*ident) string {
	t.Helper()
	parts := [][]byte{i.keyPEM(), i.certPEM()}
	for _, c := range chain {
		parts = append(parts, c.certPEM())
	}
	return file(t, parts...)
}

// bundle is a tca file.
func bundle(t testing.TB, idents ...*ident) string {
	t.Helper()
	var parts [][]byte
	for _, i := range idents {
		parts = append(parts, i.certPEM())
	}
	return file(t, parts...)
}

// TestMain gives the system one authority, so that a missing tca can be tested.
func TestMain(m *testing.M) {
	os.Exit(withSystemAuthority(m))
}

var systemAuthority *ident

// oneByte is a file of one byte, whose name is harmless in an address of socat.
var oneByte string

func withSystemAuthority(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tls-test")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	systemAuthority = newCA(setup{}, "the system's authority")
	path := filepath.Join(dir, "system.pem")
	if err := os.WriteFile(path, systemAuthority.certPEM(), 0o600); err != nil {
		panic(err)
	}
	oneByte = filepath.Join(dir, "one-byte")
	if err := os.WriteFile(oneByte, []byte("@"), 0o600); err != nil {
		panic(err)
	}
	os.Setenv("SSL_CERT_FILE", path)
	os.Setenv("SSL_CERT_DIR", dir)
	return m.Run()
}

// setup stands for a testing.TB before there is a test.
type setup struct{ testing.TB }

func (setup) Helper()           {}
func (setup) Fatal(args ...any) { panic(args) }

func ecdhKey() (*ecdh.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
