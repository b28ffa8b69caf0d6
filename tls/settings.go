package tls

import (
	stdtls "crypto/tls"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// settings is the meaning of a sockopt.
type settings struct {
	role Role

	verify     bool
	commonname *string // nil: the host; empty: no name check
	family     string  // "", "4" or "6"
	cipher     string  // the list as written; "": crypto/tls's own choice
	suites     []uint16
	min, max   uint16 // 0: no limit of our own
	method     string // as written, in upper case; "" if it is not set

	cert, key, ca, caPath string // files; "" as the keys of [sst] have it

	noSNI   bool
	sniHost *string // nil: the wanted name

	retry    int // further attempts
	forever  bool
	interval time.Duration // between attempts

	connectTimeout time.Duration // 0: that of the Config
	acceptTimeout  time.Duration // 0: none
	maxChildren    int           // 0: no limit
	backlog        *int          // nil: the system's
	bind           *localAddr    // of the donor's connections
	sourcePort     int           // 0: any
	lowPort        bool
	peers          *peerRange // who may connect; nil: anybody

	socket []socketOption

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
	s := &settings{role: c.Role, verify: true, interval: time.Second}
	first := map[string]option{} // by canonical name
	keys := map[string]struct{ key, file string }{
		"openssl-certificate": {"tcert", c.Cert},
		"openssl-key":         {"tkey", c.Key},
		"openssl-cafile":      {"tca", c.CA},
	}
	for _, o := range opts {
		known, ok := lookup(o.name)
		if !ok {
			return nil, unknownOption(o)
		}
		if k := keys[known.name()]; k.file != "" {
			return nil, fault("sockopt "+o.text, fmt.Sprintf("name the file you want in %s, and remove %s from sockopt", k.key, o.name),
				"stands beside %s %s, and socat takes the file only once", k.key, k.file)
		}
		f, twice := first[known.name()]
		if twice && known.once {
			return nil, fault("sockopt "+o.text, "remove one of them",
				"%s stands before it, and socat refuses connections when this option stands twice", f.text)
		}
		if twice && known.does == ignored {
			continue // it has been warned of
		}
		first[known.name()] = o
		if err := known.set(s, o); err != nil {
			return nil, err
		}
	}
	return s, s.check()
}

// files puts the files that a sockopt names into the configuration, under the
// names by which messages shall call them.
func (s *settings) files(c *Config) {
	c.unverified = !s.verify
	for _, f := range []struct {
		named     string
		path, key *string
		name      string
	}{
		{s.cert, &c.Cert, &c.Keys.Cert, "sockopt cert"},
		{s.key, &c.Key, &c.Keys.Key, "sockopt key"},
		{s.ca, &c.CA, &c.Keys.CA, "sockopt cafile"},
		{s.caPath, &c.CAPath, &c.Keys.CAPath, "sockopt capath"},
	} {
		if f.named != "" {
			*f.path, *f.key = f.named, f.name
		}
	}
}

// SockoptFiles are the files and directories that a sockopt names, for who must
// neither send nor overwrite them. A sockopt that cannot be read names none: [Load]
// refuses it.
func SockoptFiles(sockopt string) (files []string) {
	s, err := readSettings(Config{Sockopt: sockopt})
	if err != nil {
		return nil
	}
	for _, f := range []string{s.cert, s.key, s.ca, s.caPath} {
		if f != "" {
			files = append(files, f)
		}
	}
	return files
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
func (s *settings) floor() uint16 { return max(s.min, MinVersion) }

// ceiling is the highest version spoken.
func (s *settings) ceiling() uint16 {
	if s.max == 0 {
		return MaxVersion
	}
	return s.max
}
