package tls

import (
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"wsrep_sst_rsync_tunnel/tls/dtls"
)

// explain says in words why a handshake failed.
func (e ends) explain(v verifier, err error) error {
	peer := e.role.peer()
	if unverified, ok := errors.AsType[*stdtls.CertificateVerificationError](err); ok {
		hint, text := v.explain(unverified.UnverifiedCertificates, unverified.Err)
		return e.fault(hint, "%w", text)
	}
	if name, ok := errors.AsType[*nameError](err); ok {
		return e.fault(nameHint(name, e.role), "%w", err)
	}
	if identity, ok := errors.AsType[*identityError](err); ok {
		return e.fault(identity.hint, "%w", err)
	}
	if header, ok := errors.AsType[stdtls.RecordHeaderError](err); ok {
		return e.fault(plainHint(e.role), "%s: %w", plainText(header.RecordHeader[:]), err)
	}
	if told := e.alert(err); told != err {
		return told
	}
	text := err.Error()
	switch {
	case errors.Is(err, errNoPeerCertificate) || strings.Contains(text, "client didn't provide a certificate"):
		return e.fault(fmt.Sprintf("set tcert (and tkey) in the [sst] group of the %s", peer),
			"sent no certificate, and one is required: %w", err)
	case OtherProtocol(err):
		return e.fault("check --peer of another node does that, and another program may: no harm is done", "does not want an SST: %w", err)
	case strings.Contains(text, "no cipher suite supported"):
		return e.fault("compare cipher in the sockopt of both nodes, and whether the certificates are RSA or ECDSA",
			"has no cipher in common with this node for TLS 1.2: %w", err)
	case strings.Contains(text, "unsupported versions") || strings.Contains(text, "unsupported protocol version"):
		return e.fault("TLS 1.2 is the lowest version here; compare min-version and max-version in the sockopt of both nodes",
			"has no TLS version in common with this node: %w", err)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return e.fault(fmt.Sprintf("look at the log of the %s", peer), "broke off the TLS handshake: %w", err)
	}
	if errors.Is(err, dtls.ErrHandshake) {
		return e.fault("", "%w", err)
	}
	return e.fault("", "TLS handshake failed: %w", err)
}

func nameHint(n *nameError, role Role) string {
	if role == Joiner {
		return "sockopt commonname of this node decides which name the donor must bear"
	}
	hint := "the joiner's certificate needs that name as CN or SAN, or its wsrep_node_address (else bind_address) a name that the certificate bears"
	if _, isIP := wantedIP(n.want); isIP {
		hint += "; the address is an IP address now, and for one of those a SAN of the kind IP will do"
	}
	return hint
}

// plainText guesses from its first bytes what a peer that speaks no TLS speaks.
func plainText(first []byte) string {
	switch s := string(first); {
	case strings.HasPrefix(s, "@RSYN"):
		return "speaks plain rsync and no TLS"
	case strings.HasPrefix(s, "GET ") || strings.HasPrefix(s, "HEAD") || strings.HasPrefix(s, "HTTP") || strings.HasPrefix(s, "POST"):
		return "speaks HTTP and no TLS"
	case strings.HasPrefix(s, "SSH-"):
		return "speaks SSH and no TLS"
	}
	return "speaks no TLS"
}

func plainHint(role Role) string {
	if role == Donor {
		return "another program holds the port, or the joiner runs an SST method without TLS: wsrep_sst_method must be the same on all nodes"
	}
	return "a donor with an SST method without TLS, or no donor at all: wsrep_sst_method must be the same on all nodes"
}

// refusal is what an alert of the peer means. certificate: it is about ours.
type refusal struct {
	text        string
	certificate bool
	hint        string
}

// refusals by alert number (RFC 8446, section 6).
var refusals = map[stdtls.AlertError]refusal{
	40:  {text: "found no common cipher, curve or signature", hint: "compare cipher, min-version and max-version in the sockopt of both nodes, and see that this node sends a certificate"},
	42:  {text: "refused our certificate", certificate: true, hint: "its log tells the reason"},
	43:  {text: "refused the kind or purpose of our certificate", certificate: true, hint: "extendedKeyUsage must allow serverAuth and clientAuth"},
	44:  {text: "says our certificate was revoked", certificate: true, hint: "renew it"},
	45:  {text: "says our certificate has expired or is not valid yet", certificate: true, hint: "renew it, or correct the clocks"},
	46:  {text: "refused our certificate", certificate: true, hint: "its log tells the reason"},
	48:  {text: "does not know the authority that signed our certificate", certificate: true, hint: "the authority, or a self-signed certificate itself, must be in its tca; an intermediate belongs behind our certificate in our tcert"},
	49:  {text: "denied us access", certificate: true, hint: "its log tells the reason"},
	51:  {text: "could not check our signature", certificate: true, hint: "its log tells the reason"},
	70:  {text: "does not speak our TLS versions", hint: "TLS 1.2 is the lowest version here; compare min-version and max-version in the sockopt of both nodes"},
	71:  {text: "holds our ciphers for too weak", hint: "compare cipher in the sockopt of both nodes"},
	80:  {text: "failed by itself (internal error)", hint: "its log tells the reason"},
	112: {text: "does not know the name we asked for", hint: "its log tells the reason"},
	116: {text: "demands a certificate and got none", certificate: true, hint: "set tcert and tkey on this node"},
	120: {text: "speaks another protocol over TLS", hint: "check --listen may still run there; another program may hold the port"},
}

// alert puts an alert of the peer into words; other errors come back as they are.
func (e ends) alert(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "remote error" {
		return err
	}
	if _, told := errors.AsType[*Error](err); told {
		return err
	}
	for number, r := range refusals {
		// crypto/tls keeps its alert type to itself; the texts are the same.
		if op.Err.Error() != number.Error() {
			continue
		}
		text := r.text
		if r.certificate && e.ownFile != "" {
			text += " (" + e.ownFile + ")"
		}
		return e.fault(r.hint, "%s: %w", text, err)
	}
	return e.fault("its log tells the reason", "broke off the connection: %w", err)
}

// Explain turns a TLS alert of the peer, which often comes with the first Read
// only, into words with a hint. Other errors come back unchanged. What a [Conn]
// returns has been through this already.
func Explain(err error) error {
	return ends{peer: "the other node"}.alert(err)
}

// dialFault says why no connection came about.
func (c *Channel) dialFault(joiner string, err error) error {
	object := "joiner " + joiner
	if told, ok := errors.AsType[*Error](err); ok { // by configure
		return told
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok && call.Syscall == "bind" && c.set.bind != nil {
		return fault("sockopt bind="+c.set.bind.text, "name an address of this host", "no connection can be made from there: %w", unwrapOp(err))
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return fault(object, "the name comes from wsrep_node_address or bind_address of the joiner; add it to the DNS or to /etc/hosts of this node",
			"the name %s cannot be resolved: %w", dns.Name, err)
	}
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fault(object, "nothing listens there: see the joiner's log; a firewall may refuse the port too, and with transport=dtls the joiner listens by UDP only", "connection refused: %w", err)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return fault(object, "check routes and firewall, and that the joiner's address is the one this node should use", "cannot be reached: %w", err)
	case isNet && netErr.Timeout():
		return fault(object, "a firewall may drop the port; the joiner's address may be one that this node cannot reach", "no answer within %v: %w", c.connectTimeout(), err)
	}
	return &Error{Object: object, Err: err}
}
