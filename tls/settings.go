package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"strconv"
	"strings"
)

// settings is the meaning of a sockopt.
type settings struct {
	verify     bool
	commonname *string // nil: the host; empty: no name check
	family     string  // "", "4" or "6"
	cipher     string  // the list as written; "": crypto/tls's own choice
	suites     []uint16
	min, max   uint16 // 0: no limit of our own

	warnings []string
}

func (s *settings) warn(format string, args ...any) {
	s.warnings = append(s.warnings, "sockopt "+fmt.Sprintf(format, args...))
}

// readSettings reads the sockopt of a configuration and checks it as a whole.
func readSettings(c Config) (*settings, error) {
	opts, err := parseSockopt(c.Sockopt)
	if err != nil {
		return nil, err
	}
	s := &settings{verify: true}
	first := map[string]option{} // by canonical name
	keys := map[string]option{
		"openssl-certificate": {text: "tcert " + c.Cert, value: c.Cert},
		"openssl-key":         {text: "tkey " + c.Key, value: c.Key},
		"openssl-cafile":      {text: "tca " + c.CA, value: c.CA},
	}
	for _, o := range opts {
		known, ok := lookup(o.name)
		if !ok {
			return nil, unknownOption(o)
		}
		if key := keys[known.name()]; key.value != "" {
			return nil, fault("sockopt "+o.text, "remove it from sockopt",
				"stands beside %s, and socat takes the file only once", key.text)
		}
		if f, twice := first[known.name()]; twice && known.once {
			return nil, fault("sockopt "+o.text, "remove one of them",
				"%s stands before it, and socat refuses connections when this option stands twice", f.text)
		}
		first[known.name()] = o
		if err := known.set(s, o); err != nil {
			return nil, err
		}
	}
	return s, s.check()
}

// check refuses what cannot work together.
func (s *settings) check() error {
	if s.min != 0 && s.max != 0 && s.min > s.max {
		return fault("sockopt min-version", "remove one of them", "%s is above max-version %s",
			stdtls.VersionName(s.min), stdtls.VersionName(s.max))
	}
	if s.cipher == "" {
		return nil
	}
	switch {
	case s.min == stdtls.VersionTLS13:
		s.warn("cipher=%s has no effect: it governs TLS 1.2, and min-version is TLS 1.3", s.cipher)
	case len(s.suites) > 0:
	case s.max == stdtls.VersionTLS12:
		return fault("sockopt cipher="+s.cipher, "use a list with ECDHE and AES, or remove max-version",
			"this program has none of these ciphers, and max-version forbids TLS 1.3")
	default:
		s.warn("cipher=%s: this program has none of these ciphers, so only TLS 1.3 is left, which no cipher list governs", s.cipher)
		s.min = stdtls.VersionTLS13
	}
	return nil
}

func (s *settings) setVerify(n int64) { s.verify = n != 0 }

func (s *settings) setCommonname(name string) error {
	s.commonname = &name
	return nil
}

func (s *settings) setCipher(list string) error {
	var err error
	s.cipher = list
	s.suites, err = cipherList(list)
	return err
}

// setFamily reads a protocol family, as a word without case or as Linux's number.
func (s *settings) setFamily(word string) error {
	switch strings.ToLower(word) {
	case "ip4", "ipv4", "inet", "inet4":
		s.family = "4"
		return nil
	case "ip6", "ipv6", "inet6":
		s.family = "6"
		return nil
	}
	if n, err := strconv.ParseUint(word, 0, 16); err == nil {
		switch n {
		case 0: // unspecified
			s.family = ""
			return nil
		case 2:
			s.family = "4"
			return nil
		case 10:
			s.family = "6"
			return nil
		}
	}
	return fmt.Errorf("%q is not a family for TCP, which are ip4 and ip6", word)
}

// network is the name of the network for the net package.
func (s *settings) network(base string) string { return base + s.family }

// floor is the lowest version spoken.
func (s *settings) floor() uint16 { return max(s.min, stdtls.VersionTLS12) }

// ceiling is the highest version spoken.
func (s *settings) ceiling() uint16 {
	if s.max == 0 {
		return stdtls.VersionTLS13
	}
	return s.max
}
