package tls

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"regexp"
)

// hashedName is how OpenSSL looks up certificates in a directory.
var hashedName = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// maxHashed bounds the files read from a directory; systems come with 150 or so.
const maxHashed = 10_000

// readTrustedDir adds the certificates of tcapath, or of capath in a sockopt. Like
// OpenSSL it sees only names that are hashes: other files in the directory are not
// trusted. Of a capath without any such name all PEM files are: with socat it would
// be of no use, so nobody has kept a certificate out of it by its name.
func (m *material) readTrustedDir(c Config) error {
	if c.CAPath == "" {
		return nil
	}
	object := c.caPathObject()
	names, err := trustedNames(c.CAPath, c.Mode == Socat)
	if err != nil {
		return m.noDir(c, fileFault(object, err))
	}
	before := len(m.roots)
	for _, name := range names {
		if len(m.roots)-before >= maxHashed {
			return fault(object, "name a directory of certificates to trust", "holds more than %d certificates", maxHashed)
		}
		file := filepath.Join(c.CAPath, name)
		blocks, err := readPEM(keyed(c.Keys.CAPath, "tcapath", file), file)
		if err != nil {
			m.warnings = append(m.warnings, err.Error())
			continue
		}
		certs, bad := certificates(blocks)
		for _, err := range bad {
			m.warnings = append(m.warnings, file+": "+err.Error())
		}
		m.warnOfCRLs(file, blocks)
		m.trust(certs)
	}
	switch {
	case len(m.roots) > before && !hashedName.MatchString(names[0]):
		m.warnings = append(m.warnings, object+": has no hash names such as 5ed36f99.0, by which socat looks for certificates; those of all PEM files in it are trusted")
	case len(m.roots) == before && c.Mode == Socat:
		return m.noDir(c, fault(object, "name a directory with PEM files of certificates to trust", "holds no certificate"))
	case len(m.roots) == before:
		return fault(object, "openssl rehash "+c.CAPath+" makes the names that are looked for", "holds no certificate under a hash name such as 5ed36f99.0")
	}
	return nil
}

// noDir is for a directory that adds nothing. socat starts with it all the same
// (B18), and nobody is trusted then: a mistake for certain, unless something else is
// trusted or nobody is asked.
func (m *material) noDir(c Config, err error) error {
	if c.Mode == Socat && (len(m.roots) > 0 || c.unverified) {
		m.warnings = append(m.warnings, err.Error())
		return nil
	}
	return err
}

// trustedNames are the files of a directory to read: those with hash names or, if
// others shall do, all if there is none such.
func trustedNames(dir string, others bool) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	var rest []string
	for _, e := range entries {
		switch {
		case hashedName.MatchString(e.Name()):
			names = append(names, e.Name())
		case !e.IsDir():
			rest = append(rest, e.Name())
		}
	}
	if len(names) == 0 && others {
		names = rest
	}
	return names, err
}

func (m *material) trust(certs []*x509.Certificate) {
	if m.trusted == nil {
		m.trusted = x509.NewCertPool()
	}
	for _, cert := range certs {
		m.trusted.AddCert(cert)
	}
	m.roots = append(m.roots, certs...)
}

// warnOfCRLs: who puts a list of revoked certificates beside those to trust wants
// it heeded. (socat up to 1.7 does not read them either.)
func (m *material) warnOfCRLs(object string, blocks []block) {
	for _, b := range blocks {
		if b.Type == "X509 CRL" {
			m.warnings = append(m.warnings, object+": the list of revoked certificates (X509 CRL) in it is not read: take a revoked node's certificate out of what is trusted")
			return
		}
	}
}
