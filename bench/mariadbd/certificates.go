package mariadbd

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"time"
)

// Certificates are those of the README's first scenario: each node signs its own, puts
// it and its key into one file, and trusts a list of both nodes' certificates.
type Certificates struct {
	All     string // tca of both
	Bundles map[string]string
}

// NewCertificates makes them for the nodes of the given names, as `openssl req
// -x509 -days 365000 -subj /CN=host` does.
func NewCertificates(f *Folder, host string, nodes ...string) (*Certificates, error) {
	dir := f.Path("tls")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	c := &Certificates{All: f.Path("tls", "all-mysql.crt"), Bundles: map[string]string{}}
	var all []byte
	for _, node := range nodes {
		key, cert, err := selfSigned(host)
		if err != nil {
			return nil, fmt.Errorf("make the certificate of %s: %w", node, err)
		}
		c.Bundles[node] = f.Path("tls", node+".pem")
		if err := WriteFile(c.Bundles[node], append(key, cert...), 0o400); err != nil {
			return nil, err
		}
		all = append(all, cert...)
	}
	return c, WriteFile(c.All, all, 0o444)
}

// selfSigned makes a key of 2048 bits and its certificate for the name cn, in PEM.
func selfSigned(cn string) (key, cert []byte, err error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 159))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn},
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(0, 0, 365000),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

// WriteFile makes a file with exactly this mode.
func WriteFile(name string, content []byte, mode os.FileMode) error {
	if err := os.WriteFile(name, content, 0o600); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}
