package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/cli/check"
	"wsrep_sst_rsync_tunnel/tls"
)

// Show tells w what is in a file, and which checks of an SST it would pass. It fails
// if there is one that it would not.
func Show(w io.Writer, q check.FileQuestion) error {
	f, report := check.File(q)
	var text strings.Builder
	if f != nil {
		now := time.Now()
		if q.Now != nil {
			now = q.Now()
		}
		for _, cert := range f.Certificates {
			describe(&text, cert, now)
		}
	}
	if err := report.Tell(&text); err != nil {
		return err
	}
	if _, err := io.WriteString(w, text.String()); err != nil {
		return err
	}
	if n := report.Count(check.Error); n > 0 {
		return fmt.Errorf("certs show: %s would not do for an SST", q.File)
	}
	return nil
}

func describe(w io.Writer, cert *x509.Certificate, now time.Time) {
	issuer := tls.IssuerTitle(cert)
	if string(cert.RawIssuer) == string(cert.RawSubject) {
		issuer = "itself"
	}
	const date = "2006-01-02 15:04 UTC"
	fmt.Fprintln(w, tls.Title(cert))
	for _, line := range [][2]string{
		{"names", tls.Names(cert)},
		{"issuer", issuer},
		{"valid", fmt.Sprintf("%s to %s%s", cert.NotBefore.UTC().Format(date), cert.NotAfter.UTC().Format(date), left(cert, now))},
		{"key", keyKind(cert)},
		{"serial", fmt.Sprintf("%X", cert.SerialNumber)},
		{"SHA-256", fingerprint(cert)},
	} {
		fmt.Fprintf(w, "  %-8s %s\n", line[0], line[1])
	}
}

func left(cert *x509.Certificate, now time.Time) string {
	switch {
	case tls.OutOfDate(cert, now) != "":
		return ": not now"
	default:
		return fmt.Sprintf(", %d days left", int(cert.NotAfter.Sub(now).Hours()/24))
	}
}

func keyKind(cert *x509.Certificate) string {
	switch key := cert.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Curve.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA, %d bits", key.N.BitLen())
	}
	return cert.PublicKeyAlgorithm.String()
}
