package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"net/netip"
	"strings"
	"unicode"
)

// bears tells whether a certificate bears the wanted name, by socat's rule
// (sockopt.md section 3): any SAN entry, or else the first CN, even beside SANs.
// want is as socat has it: an IPv6 host in brackets.
//
// Two oddities of socat are not copied: a wildcard never stands for a part of an
// IP address, and a name with a NUL byte is compared whole.
func bears(leaf *x509.Certificate, want string) bool {
	ip, isIP := wantedIP(want)
	for _, entry := range leaf.DNSNames {
		if sameName(entry, want, isIP) {
			return true
		}
	}
	for _, entry := range leaf.IPAddresses {
		addr, ok := netip.AddrFromSlice(entry)
		switch {
		case !ok:
		case addr.Is4() && addr.String() == want:
			return true
		case addr.Is6() && isIP && addr == ip:
			return true
		}
	}
	cn, ok := firstCN(leaf)
	return ok && sameName(cn, want, isIP)
}

// sameName compares byte by byte. "*.d" stands for d itself and for one label before it.
func sameName(entry, want string, isIP bool) bool {
	if entry == want {
		return true
	}
	domain, wild := strings.CutPrefix(entry, "*.")
	if !wild || domain == "" || isIP {
		return false
	}
	_, parent, dotted := strings.Cut(want, ".")
	return want == domain || dotted && parent == domain
}

// wantedIP is the address in a wanted name; brackets and zone do not belong to it.
func wantedIP(want string) (netip.Addr, bool) {
	if s, ok := strings.CutPrefix(want, "["); ok {
		want = strings.TrimSuffix(s, "]")
	}
	ip, err := netip.ParseAddr(want)
	return ip.WithZone(""), err == nil
}

var commonNameOID = asn1.ObjectIdentifier{2, 5, 4, 3}

// firstCN is the first CN of the subject; later ones are not looked at (A11), and
// pkix.Name.CommonName is the last.
func firstCN(leaf *x509.Certificate) (string, bool) {
	for _, attr := range leaf.Subject.Names {
		if attr.Type.Equal(commonNameOID) {
			cn, ok := attr.Value.(string)
			return cn, ok
		}
	}
	return "", false
}

// names lists all that bears looks at, for messages.
func names(leaf *x509.Certificate) string {
	var all []string
	if cn, ok := firstCN(leaf); ok {
		all = append(all, "CN="+cn)
	}
	for _, n := range leaf.DNSNames {
		all = append(all, "DNS:"+n)
	}
	for _, ip := range leaf.IPAddresses {
		all = append(all, "IP:"+ip.String())
	}
	const most = 10
	if len(all) > most {
		all = append(all[:most], "…")
	}
	if len(all) == 0 {
		return "no name at all"
	}
	return printable(strings.Join(all, ", "))
}

// title names a certificate for messages.
func title(leaf *x509.Certificate) string {
	if cn, ok := firstCN(leaf); ok {
		return printable("CN=" + cn)
	}
	if s := leaf.Subject.String(); s != "" {
		return printable(s)
	}
	return names(leaf)
}

// printable makes what a peer wrote fit for one log line.
func printable(s string) string {
	const most = 400
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
