package dtls

import (
	stdtls "crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	piondtls "github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

// MTU is the size of a datagram's payload in bytes. [DefaultMTU] passes wherever IPv6
// does: 1280 less the headers, and some to spare for tunnels.
const (
	DefaultMTU = 1200
	MinMTU     = 512
	MaxMTU     = 8192 // what pion reads at a time
)

// Config is one side of a handshake.
type Config struct {
	MTU         int
	Certificate *stdtls.Certificate // our own; nil: none
	Protocol    string              // the ALPN identifier; the peer must agree
	ServerName  string              // for SNI; "": none
	Suites      []uint16            // TLS numbers of which some are in [Suites]; nil: all of those
	// Verify decides on the peer's certificates, leaf first. nil: a dialer takes any, a
	// listener demands none.
	Verify func([]*x509.Certificate) error
}

// State is what a handshake came to.
type State struct {
	Certificates []*x509.Certificate // of the peer, leaf first
	Protocol     string
	Suite        uint16
}

// Suites are those of the policy for TLS 1.2 that are authenticated encryption with
// ephemeral keys, best first.
var Suites = []uint16{
	stdtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, stdtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	stdtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, stdtls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	stdtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, stdtls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// CommonSuites are those of a list that can be used here.
func CommonSuites(list []uint16) (common []uint16) {
	for _, s := range Suites {
		if list == nil || slices.Contains(list, s) {
			common = append(common, s)
		}
	}
	return common
}

// flightInterval is the time after which an unanswered part of a handshake is sent
// again; pion doubles it each time.
const flightInterval = 500 * time.Millisecond

// replayWindow is how far a datagram may come behind later ones, in records.
const replayWindow = 1024

// quiet keeps pion from writing to the log.
func quiet() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// A handshake is the configuration of one, and why we refused the peer, if we did.
type handshake struct {
	Config
	refused error
}

// common are the options that both sides have.
func (h *handshake) common() []piondtls.Option {
	var suites []piondtls.CipherSuiteID
	for _, s := range CommonSuites(h.Suites) {
		suites = append(suites, piondtls.CipherSuiteID(s))
	}
	options := []piondtls.Option{
		piondtls.WithCipherSuites(suites...),
		piondtls.WithSupportedProtocols(h.Protocol),
		piondtls.WithMTU(h.MTU),
		piondtls.WithFlightInterval(flightInterval),
		piondtls.WithReplayProtectionWindow(replayWindow),
		piondtls.WithExtendedMasterSecret(piondtls.RequireExtendedMasterSecret),
		piondtls.WithLoggerFactory(quiet()),
		piondtls.WithVerifyConnection(h.verify),
	}
	if h.Certificate != nil {
		options = append(options, piondtls.WithCertificates(*h.Certificate))
	}
	return options
}

func (h *handshake) client() []piondtls.ClientOption {
	var options []piondtls.ClientOption
	for _, o := range h.common() {
		options = append(options, o)
	}
	options = append(options, piondtls.WithInsecureSkipVerify(true)) // verify does it, as for TLS
	if h.ServerName != "" {
		options = append(options, piondtls.WithServerName(h.ServerName))
	}
	if h.Certificate != nil {
		// Shown whatever authorities the joiner names: it is for the joiner to refuse.
		options = append(options, piondtls.WithGetClientCertificate(func(*piondtls.CertificateRequestInfo) (*stdtls.Certificate, error) {
			return h.Certificate, nil
		}))
	}
	return options
}

func (h *handshake) server() []piondtls.ServerOption {
	var options []piondtls.ServerOption
	for _, o := range h.common() {
		options = append(options, o)
	}
	auth := piondtls.NoClientCert
	if h.Verify != nil {
		auth = piondtls.RequireAnyClientCert // which of them are good is for verify
	}
	return append(options, piondtls.WithClientAuth(auth))
}

// ErrNoCertificate is a peer that shows none where one is demanded.
var ErrNoCertificate = errors.New("sent no certificate")

// verify runs in each handshake, before the keys are used for anything else.
func (h *handshake) verify(s *piondtls.State) error {
	h.refused = h.judge(s)
	return h.refused
}

func (h *handshake) judge(s *piondtls.State) error {
	if s.NegotiatedProtocol != h.Protocol {
		return fmt.Errorf("speaks %q over DTLS and not %q", s.NegotiatedProtocol, h.Protocol)
	}
	if h.Verify == nil {
		return nil
	}
	certs, err := parseCertificates(s.PeerCertificates)
	if err != nil {
		return err
	}
	if len(certs) == 0 {
		return ErrNoCertificate
	}
	return h.Verify(certs)
}

func parseCertificates(raw [][]byte) (certs []*x509.Certificate, err error) {
	for _, der := range raw {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("sent a certificate that cannot be read: %w", err)
		}
		certs = append(certs, c)
	}
	return certs, nil
}

// stateOf is what a finished handshake came to.
func stateOf(c *piondtls.Conn) (State, error) {
	s, ok := c.ConnectionState()
	if !ok {
		return State{}, errors.New("the DTLS handshake left no state")
	}
	certs, err := parseCertificates(s.PeerCertificates)
	return State{Certificates: certs, Protocol: s.NegotiatedProtocol, Suite: uint16(s.CipherSuiteID)}, err
}

// alerts are the numbers of those of pion's alerts that tell a reason (RFC 5246,
// section 7.2). It keeps its own type to itself.
var alerts = map[string]stdtls.AlertError{
	"HandshakeFailure": 40, "NoCertificate": 116, "BadCertificate": 42, "UnsupportedCertificate": 43,
	"CertificateRevoked": 44, "CertificateExpired": 45, "CertificateUnknown": 46, "UnknownCA": 48,
	"AccessDenied": 49, "DecryptError": 51, "ProtocolVersion": 70, "InsufficientSecurity": 71, "InternalError": 80,
	"NoApplicationProtocol": 120,
}

// explain turns pion's error of a handshake into one that crypto/tls would have, as
// far as the package tls asks.
func (h *handshake) explain(err error) error {
	if h.refused != nil {
		return h.refused
	}
	var alert interface{ IsFatalOrCloseNotify() bool }
	if errors.As(err, &alert) {
		text := alert.(error).Error()
		for name, number := range alerts {
			if strings.HasSuffix(text, name) {
				return &net.OpError{Op: "remote error", Err: number}
			}
		}
		if strings.HasSuffix(text, "CloseNotify") {
			return fmt.Errorf("%w (%w)", err, syscall.ECONNRESET)
		}
	}
	if strings.Contains(err.Error(), "server required client verification, but got none") {
		return ErrNoCertificate
	}
	return err
}
