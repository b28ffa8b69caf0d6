package tls

import (
	"crypto/fips140"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"strings"
)

// path makes the setter of a file's name.
func path(to *string, value string) error {
	if value == "" {
		return errors.New("a file must be named")
	}
	*to = value
	return nil
}

func (s *settings) setCert(file string) error  { return path(&s.cert, file) }
func (s *settings) setKey(file string) error   { return path(&s.key, file) }
func (s *settings) setCA(file string) error    { return path(&s.ca, file) }
func (s *settings) setCAPath(dir string) error { return path(&s.caPath, dir) }

// setSNIHost is the name that the donor says in its handshake. Empty is none.
func (s *settings) setSNIHost(name string) error {
	s.sniHost = &name
	return nil
}

// setMethod fixes the version. Only what a peer of today can do is left of it.
func (s *settings) setMethod(word string) error {
	s.method = strings.ToUpper(word)
	switch s.method {
	case "SSL23", "DTLS1.2", "DTLS":
		return nil
	case "TLS1.2":
		s.min, s.max = stdtls.VersionTLS12, stdtls.VersionTLS12
		return nil
	case "DTLS1", "DTLS1.0":
		return fault("", "use method=DTLS1.2; without method the connection is TLS over TCP", "DTLS 1.0 is not spoken, it is as weak as TLS 1.1")
	case "SSL2", "SSL3", "TLS1", "TLS1.0", "TLS1.1":
		return fault("", "remove method, or use method=TLS1.2", "TLS 1.2 is the lowest version here")
	}
	return fmt.Errorf("%q is no method of socat, which are SSL23 and TLS1.2 among others", word)
}

// setCompress: what TLS compresses tells its secrets by its length (CRIME), so
// crypto/tls never does.
func (s *settings) setCompress(word string) error {
	switch word {
	case "none":
		return nil
	case "auto":
		s.warn("compress=auto has no effect here: nothing is compressed by TLS")
		return nil
	}
	return fmt.Errorf("%q is not none or auto", word)
}

// setFIPS: asked for in earnest it is there, or an error.
func (s *settings) setFIPS(n int64) error {
	if n == 0 || fips140.Enabled() {
		return nil
	}
	return fault("", "start mariadbd with GODEBUG=fips140=on in its environment, or remove the option",
		"this process does not run in FIPS mode")
}
