package bench

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/tls"
)

// secretName is what a made certificate bears.
const secretName = "wsrep-sst-bench"

// newSecret is 128 bits in 26 letters and digits.
func newSecret() string { return rand.Text() }

// checkSecret takes what newSecret gives, in any case.
func checkSecret(secret string) (string, error) {
	secret = strings.ToUpper(strings.TrimSpace(secret))
	if len(secret) != 26 || strings.Trim(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", mariadbd.Advise(fmt.Errorf("the secret is not one of bench --listen"), "copy the line that bench --listen prints on the other host")
	}
	return secret, nil
}

// secretConfig makes certificates from a secret: both ends derive the same key from it,
// show a certificate of that key, and trust no other. So TLS is authenticated in both
// directions, and a peer that does not know the secret gets nowhere. The secret itself
// never travels. The files are in dir, which only we can read.
func secretConfig(secret, dir string, role tls.Role) (tls.Config, error) {
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, secretName, ed25519.SeedSize)
	if err != nil {
		return tls.Config{}, err
	}
	key := ed25519.NewKeyFromSeed(seed)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: secretName},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Config{}, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Config{}, err
	}
	var text bytes.Buffer
	for _, b := range []*pem.Block{{Type: "CERTIFICATE", Bytes: der}, {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := pem.Encode(&text, b); err != nil {
			return tls.Config{}, err
		}
	}
	file := filepath.Join(dir, "bench.pem")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		return tls.Config{}, err
	}
	return tls.Config{Role: role, CA: file, Cert: file, Sockopt: "commonname=" + secretName}, nil
}
