package tls

import (
	"context"
	stdtls "crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/tls/dtls"
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

func (r Role) peer() Role {
	if r == Donor {
		return Joiner
	}
	return Donor
}

// Config is what the option files say about the secure channel, as written there.
type Config struct {
	Role Role
	Mode Mode
	CA   string // tca: PEM file of trusted certificates; "" = those of the system
	Cert string // tcert: PEM file, leaf first; may hold the key too, in either order
	Key  string // tkey: PEM file; "" = the key is in Cert

	CAPath   string   // tcapath: directory of trusted certificates; for Socat it is in sockopt
	Identity Identity // for VerifyIdentity
	Keys     Keys

	unverified bool // as sockopt verify=0 has it

	Sockopt string // socat address options (sockopt.md); for Socat only

	// Transport is TLS over TCP if it is "" and sockopt does not say otherwise. MTU is
	// for DTLS: the largest datagram that is sent, in bytes; 0 = [dtls.DefaultMTU].
	Transport Transport
	MTU       int

	// Host is the joiner's host as it stands in its address: a name, an IPv4
	// or an IPv6 address without brackets. The donor wants this name in the
	// joiner's certificate, unless sockopt gives a commonname. "" = the host
	// given to Dial.
	Host string

	// Warn gets at once what comes to light after Load: a certificate that cannot be
	// read again, an attempt to connect that failed. Each text once. nil: Warnings only.
	Warn func(text string)

	Now              func() time.Time // nil = time.Now
	ConnectTimeout   time.Duration    // for one TCP connect, resolving included; 0 = 10 s
	HandshakeTimeout time.Duration    // for one TLS handshake; 0 = 30 s

	// Rehearsal offers [CheckALPN] instead of [ALPN]: the handshake of an SST, and
	// no SST after it.
	Rehearsal bool
}

// Channel is a checked configuration, ready to listen or to dial. It is safe for
// concurrent use.
type Channel struct {
	cfg     Config
	set     *settings
	buffers *sync.Pool // of *[bufferSize]byte
	resume  stdtls.ClientSessionCache
	lookup  func(ctx context.Context, network, host string) ([]netip.Addr, error)

	datagrams *dtls.Dialer

	mu       sync.Mutex
	donor    netip.Addr // where the first authenticated one was; joiner
	now      *prepared  // what the next handshake uses
	noResume bool       // a resumed handshake has failed: no more of them
	held     bool       // a handshake has succeeded: now stays as it is
	warnings []string
}

// prepared is one reading of the files, ready for handshakes.
type prepared struct {
	material *material
	verifier verifier
	config   *stdtls.Config
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
	read := readSettings
	if c.Mode != Socat {
		read = stunnelSettings
	}
	set, err := read(c)
	if err != nil {
		return nil, err
	}
	if err := set.transport(&c); err != nil {
		return nil, err
	}
	set.files(&c)
	ch := &Channel{
		cfg:     c,
		set:     set,
		buffers: &sync.Pool{New: func() any { return new([bufferSize]byte) }},
		resume:  stdtls.NewLRUClientSessionCache(0),
		lookup:  net.DefaultResolver.LookupNetIP,

		datagrams: dtls.NewDialer(),
	}
	m, err := readMaterial(c)
	if err != nil {
		return nil, err
	}
	if ch.now, err = ch.prepare(m); err != nil {
		return nil, err
	}
	ch.warnings = slices.Concat(set.warnings, ch.trustWarnings(), m.warnings)
	return ch, nil
}

// trustWarnings are about what the settings leave unchecked.
func (c *Channel) trustWarnings() []string {
	if c.cfg.Mode != Socat {
		return c.stunnelWarnings()
	}
	name := c.set.commonname
	switch {
	case !c.set.verify && c.cfg.Role == Joiner:
		return []string{"sockopt verify=0: whoever reaches the port can send this node a database"}
	case !c.set.verify:
		return []string{"sockopt verify=0: the database is sent to whoever answers at the joiner's address"}
	case name != nil && *name == "" && c.cfg.Role == Donor:
		return []string{"sockopt commonname=: any trusted certificate will do, the name of the joiner is not checked"}
	case c.cfg.CA == "" && c.cfg.CAPath == "":
		return []string{"tca is not set: the authorities this system trusts are trusted, which any public certificate satisfies"}
	}
	return nil
}

// current is the reading of the files for the next handshake. Until a handshake
// has succeeded the files are read again each time, for a joiner may wait for
// hours. A file that cannot be used at that moment (half written, key already new
// and certificate still old) leaves the last good reading in place.
func (c *Channel) current() *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held {
		return c.now
	}
	m, err := readMaterial(c.cfg)
	var p *prepared
	if err == nil {
		p, err = c.prepare(m)
	}
	if err != nil {
		c.warnLocked(fmt.Sprintf("%v: read again for a new connection; the files as they were before are used", err))
		return c.now
	}
	for _, w := range m.warnings {
		c.warnLocked(w)
	}
	c.now = p
	return p
}

// hold keeps the reading that the first successful handshake used: all
// connections of an SST see the same trust, and session tickets stay valid.
func (c *Channel) hold(p *prepared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		c.held, c.now = true, p
	}
}

// maxWarnings bounds the list: a peer can cause some of them.
const maxWarnings = 200

func (c *Channel) warnLocked(text string) {
	if slices.Contains(c.warnings, text) || len(c.warnings) >= maxWarnings {
		return
	}
	c.warnings = append(c.warnings, text)
	if c.cfg.Warn != nil {
		c.cfg.Warn(text)
	}
}

func (c *Channel) warn(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.warnLocked(text)
}

// Warnings are what an operator should know though the SST goes on, at Load and
// since; [Config].Warn gets the later ones as they come.
func (c *Channel) Warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.warnings)
}

// wanted is the name the peer must bear, "" for any; dialled is used when the
// configuration names no host. An IPv6 host stands in brackets, as in socat.
func (c *Channel) wanted(dialled string) string {
	if c.set.commonname != nil {
		return *c.set.commonname
	}
	if c.cfg.Role == Joiner || c.cfg.Mode != Socat {
		return ""
	}
	host := c.cfg.Host
	if host == "" {
		host = dialled
	}
	return asSocatHas(host)
}

// asSocatHas puts an IPv6 host into brackets.
func asSocatHas(host string) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		return "[" + host + "]"
	}
	return host
}
