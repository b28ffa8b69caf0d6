package sst

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// defaultPort is where a joiner listens that was told no port.
const defaultPort = 4444

// maxAddress is longer than what fits the server's line for a joiner's answer.
const maxAddress = 1024

// maxHost is the longest name that DNS knows (RFC 1035, section 2.3.4).
const maxHost = 253

// An Address is where the joiner listens, as it travels through the cluster
// (sst-options.md, section 5):
//
//	[CN:SECRET@]HOST[:PORT][/MODULE[/LSN[/VERSION]]]
type Address struct {
	User   string // CN of the joiner's certificate; only the stock method puts one
	Secret string // goes with User
	Host   string // a name, an IPv4 or an IPv6 address without brackets
	Port   int
	Module string // what follows the first slash, up to the next; "" if none
	Raw    string // as it was given
}

// ParseAddress reads an address as mariadbd, an operator or another script wrote
// it. An IPv6 address may come without brackets, as older servers have it, and
// then has no port.
func ParseAddress(s string) (Address, error) {
	a := Address{Port: defaultPort, Raw: s}
	if len(s) > maxAddress {
		return Address{}, fmt.Errorf("address of %d bytes, at most %d make sense", len(s), maxAddress)
	}
	rest := s
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		a.User, a.Secret, _ = strings.Cut(rest[:at], ":")
		rest = rest[at+1:]
	}
	rest, path, _ := strings.Cut(rest, "/")
	a.Module, _, _ = strings.Cut(path, "/")
	host, port, err := splitHostPort(rest)
	if err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	if err := checkHost(host); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", s, err)
	}
	a.Host = host
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Address{}, fmt.Errorf("address %q: port %q is not a number from 1 to 65535", s, port)
		}
		a.Port = int(n)
	}
	return a, nil
}

// hasPort says whether the port was in the address, and is not the default.
func (a Address) hasPort() bool {
	rest := a.Raw[strings.LastIndexByte(a.Raw, '@')+1:]
	rest, _, _ = strings.Cut(rest, "/")
	_, port, err := splitHostPort(rest)
	return err == nil && port != ""
}

// splitHostPort finds the port: after the bracket, or after the only colon.
func splitHostPort(s string) (host, port string, err error) {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok := strings.Cut(inner, "]")
		if !ok {
			return "", "", fmt.Errorf("bracket of %q is not closed", s)
		}
		if ip, err := netip.ParseAddr(host); err != nil || !ip.Is6() {
			return "", "", fmt.Errorf("%q in brackets is not an IPv6 address", host)
		}
		port, ok := strings.CutPrefix(rest, ":")
		if !ok && rest != "" {
			return "", "", fmt.Errorf("%q follows the bracket where a port should", rest)
		}
		return host, port, nil
	}
	if strings.Count(s, ":") > 1 {
		if _, err := netip.ParseAddr(s); err != nil {
			return "", "", fmt.Errorf("%q is neither host and port nor an IPv6 address", s)
		}
		return s, "", nil
	}
	host, port, _ = strings.Cut(s, ":")
	return host, port, nil
}

// checkHost takes what can be a name or an address, and nothing with a meaning to
// a shell, a certificate check or a log.
func checkHost(host string) error {
	if host == "" {
		return fmt.Errorf("there is no host in it")
	}
	if len(host) > maxHost {
		return fmt.Errorf("host of %d bytes, a name has at most %d", len(host), maxHost)
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if !ip.Is6() || ip.Zone() == "" {
			return nil
		}
		host = ip.Zone()
	} else if strings.ContainsRune(host, ':') {
		return fmt.Errorf("%q is not an IPv6 address", host)
	}
	for _, c := range []byte(host) {
		if !isAddressByte(c) {
			return fmt.Errorf("host %q has a character %q that no host name has", host, c)
		}
	}
	return nil
}

// isAddressByte says whether mariadbd lets c through in a host.
func isAddressByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.", c) >= 0
}

// HostPort is the address to dial or to listen on, IPv6 in brackets.
func (a Address) HostPort() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// String is the address without what it says of certificates: for logs.
func (a Address) String() string {
	if a.Module == "" {
		return a.HostPort()
	}
	return a.HostPort() + "/" + a.Module
}

// Ready is what a joiner tells the cluster: where to send which module. The
// donor's server refuses the zone of a link-local address, so we do first.
func (a Address) Ready(module string) (string, error) {
	if strings.ContainsRune(a.Host, '%') {
		return "", advise(failf(exitInvalid, "address %q: %q is of use on this host only", a.Raw, a.Host),
			"set wsrep_sst_receive_address to an address that the other nodes can reach")
	}
	return a.HostPort() + "/" + module, nil
}
