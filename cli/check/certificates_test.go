package check

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// today is the clock of the tests: certificates are made around it.
var today = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return today }

var serverOnly = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}

// An identity is a certificate with its key.
type identity struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// wish is what a certificate shall be; from and until are days from today.
type wish struct {
	cn          string
	names       []string
	by          *identity // nil: self-signed
	ca          bool
	from, until int
	usage       []x509.ExtKeyUsage
}

func issue(t *testing.T, w wish) *identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if w.from == 0 && w.until == 0 {
		w.from, w.until = -100, 1000
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: w.cn},
		NotBefore: today.AddDate(0, 0, w.from), NotAfter: today.AddDate(0, 0, w.until),
		IsCA: w.ca, BasicConstraintsValid: w.ca, ExtKeyUsage: w.usage,
	}
	for _, name := range w.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	parent, signer := template, crypto.Signer(key)
	if w.by != nil {
		parent, signer = w.by.cert, w.by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &identity{cert, key}
}

func (i *identity) certPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.cert.Raw})
}

func (i *identity) keyPEM(t *testing.T) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// put writes a file with its directories.
func put(t *testing.T, mode os.FileMode, file string, parts ...[]byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Join(parts, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
}
