package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"strings"
)

// The versions that are spoken unless sockopt says less.
const (
	MinVersion = stdtls.VersionTLS12
	MaxVersion = stdtls.VersionTLS13
)

// limit is what a word of min-version or max-version means here.
type limit struct {
	version  uint16 // 0: SSL3, which socat takes for "no limit"
	datagram bool   // DTLS: socat takes it and nothing comes of it (C4)
}

var limits = map[string]limit{
	"SSL3":    {},
	"TLS1":    {version: stdtls.VersionTLS10},
	"TLS1.0":  {version: stdtls.VersionTLS10},
	"TLS1.1":  {version: stdtls.VersionTLS11},
	"TLS1.2":  {version: stdtls.VersionTLS12},
	"TLS1.3":  {version: stdtls.VersionTLS13},
	"DTLS1":   {datagram: true},
	"DTLS1.0": {datagram: true},
	"DTLS1.2": {datagram: true},
}

// readLimit reads a version word of sockopt.md section 4, without case. The v
// stands behind the letters only: TLSv1.2, not vTLS1.2.
func readLimit(word string) (limit, error) {
	l, ok := limits[strings.NewReplacer("TLSV", "TLS", "SSLV", "SSL").Replace(strings.ToUpper(word))]
	if !ok {
		return limit{}, fmt.Errorf("%q is not a version, which are TLS1.2 and TLS1.3", word)
	}
	return l, nil
}

// minVersion sets the lowest version. Below TLS 1.2 nothing is spoken here: a
// lower limit is raised, which no peer of today notices.
func (s *settings) minVersion(word string) error {
	l, err := readLimit(word)
	switch {
	case err != nil:
		return err
	case l.datagram:
		s.warn("min-version=%s has no effect: this connection is TLS over TCP", word)
	case l.version < stdtls.VersionTLS12:
		s.min = stdtls.VersionTLS12
		s.warn("min-version=%s: TLS 1.2 is the lowest version here", word)
	default:
		s.min = l.version
	}
	return nil
}

// maxVersion sets the highest version.
func (s *settings) maxVersion(word string) error {
	l, err := readLimit(word)
	switch {
	case err != nil:
		return err
	case l.datagram:
		s.warn("max-version=%s has no effect: this connection is TLS over TCP", word)
	case l.version == 0:
		s.max = 0
	case l.version < stdtls.VersionTLS12:
		return fmt.Errorf("TLS 1.2 is the lowest version here")
	default:
		s.max = l.version
	}
	return nil
}
