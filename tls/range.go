package tls

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// peerRange is a value of range: who may connect. Unlike a prefix its mask may
// have holes, as in socat.
type peerRange struct {
	text string
	name string // to be resolved, else ""
	net  []byte // 4 or 16 bytes; nil as long as name is not resolved
	mask []byte // as long as net; for a name with a number of bits nil until then
	bits int    // of a name whose family is not known yet, else -1
}

// setRange reads NET/BITS, NET:MASK, [IPV6]/BITS or [IPV6]:[MASK]; NET may be a name.
func (s *settings) setRange(value string) (err error) {
	s.peers, err = parseRange(value)
	return err
}

func parseRange(value string) (*peerRange, error) {
	r := &peerRange{text: value, bits: -1}
	host, rest, err := rangeHost(value)
	if err != nil {
		return nil, err
	}
	if len(rest) < 2 || rest[0] != '/' && rest[0] != ':' {
		return nil, fault("", "write NETWORK/BITS, such as 10.0.0.0/24 or [2001:db8::]/64", "has no mask")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil:
		r.net = ip.AsSlice()
	case host == "" || strings.ContainsAny(host, "[]: "):
		return nil, fmt.Errorf("%q is not an address or a name", host)
	default:
		r.name = host
	}
	if rest[0] == ':' {
		mask, err := netip.ParseAddr(strings.Trim(rest[1:], "[]"))
		if err != nil {
			return nil, fmt.Errorf("%q is not a mask", rest[1:])
		}
		r.mask = mask.AsSlice()
		if r.net != nil && len(r.net) != len(r.mask) {
			return nil, fmt.Errorf("network and mask are not of one kind")
		}
		return r, nil
	}
	n, err := strconv.ParseUint(rest[1:], 10, 8)
	if err != nil || n > 128 || len(r.net) == 4 && n > 32 {
		return nil, fmt.Errorf("%q is not a number of bits", rest[1:])
	}
	r.bits = int(n)
	if r.net != nil {
		r.mask = maskOf(r.bits, len(r.net))
	}
	return r, nil
}

// rangeHost cuts what stands before the mask; an IPv6 address needs its brackets.
func rangeHost(value string) (host, rest string, err error) {
	if inner, ok := strings.CutPrefix(value, "["); ok {
		host, rest, ok = strings.Cut(inner, "]")
		if ip, err := netip.ParseAddr(host); !ok || err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", "", fmt.Errorf("%q is not an IPv6 address in brackets", value)
		}
		return host, rest, nil
	}
	i := strings.IndexAny(value, "/:")
	if i < 0 {
		return value, "", nil
	}
	return value[:i], value[i:], nil
}

func maskOf(bits, size int) []byte {
	mask := make([]byte, size)
	for i := range mask {
		if n := min(max(bits-8*i, 0), 8); n > 0 {
			mask[i] = byte(0xff << (8 - n))
		}
	}
	return mask
}

// resolve finds the address of a range that is given by a name.
func (r *peerRange) resolve(ctx context.Context, c *Channel) error {
	if r == nil || r.name == "" || r.net != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, c.connectTimeout())
	defer cancel()
	object := "sockopt range=" + r.text
	addrs, err := c.lookup(limited, c.set.network("ip"), r.name)
	if err != nil {
		return fault(object, "use an address in the place of the name", "cannot be resolved: %w", err)
	}
	for _, a := range addrs { // IPv4 first, as socat's listener
		a = a.Unmap()
		fits := r.mask == nil && r.bits <= a.BitLen() || len(r.mask) == a.BitLen()/8
		if fits && (r.net == nil || a.Is4()) {
			r.net = a.AsSlice()
		}
	}
	if r.net == nil {
		return fault(object, "use an address in the place of the name", "its mask fits no address of %s", r.name)
	}
	if r.mask == nil {
		r.mask = maskOf(r.bits, len(r.net))
	}
	return nil
}

// contains is false as long as a name is not resolved.
func (r *peerRange) contains(ip netip.Addr) bool {
	bytes := ip.Unmap().WithZone("").AsSlice()
	if r.net == nil || len(bytes) != len(r.net) {
		return false
	}
	for i, b := range bytes {
		if (b^r.net[i])&r.mask[i] != 0 {
			return false
		}
	}
	return true
}

// connectTimeout is the limit for one connect, resolving included.
func (c *Channel) connectTimeout() time.Duration {
	if c.set.connectTimeout > 0 {
		return c.set.connectTimeout
	}
	return c.cfg.ConnectTimeout
}
