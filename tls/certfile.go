package tls

import (
	"crypto/x509"
	"errors"
	"io/fs"
)

// A File is what a PEM file of certificates and keys holds.
type File struct {
	Certificates []*x509.Certificate // in their order
	Keys         int                 // private keys, those with a passphrase too
}

// ReadFile reads a PEM file as [Load] reads tcert and tca, for somebody who wants to
// know what is in it. Here a certificate that cannot be used is always an error.
func ReadFile(path string) (*File, error) {
	blocks, err := readPEM(path, path)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok && errors.Is(err, fs.ErrNotExist) {
			e.hint = "" // no option file has named it
		}
		return nil, err
	}
	certs, bad := certificates(blocks)
	if len(bad) > 0 {
		return nil, &Error{Object: path, Err: bad[0]}
	}
	f := &File{Certificates: certs}
	for _, b := range blocks {
		if b.isKey() {
			f.Keys++
		}
	}
	return f, nil
}
