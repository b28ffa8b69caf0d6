package tls

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// minInterval keeps retry with interval=0 from spinning.
const minInterval = 10 * time.Millisecond

func (s *settings) setInterval(d time.Duration) error {
	s.interval = max(d, minInterval)
	return nil
}

func (s *settings) setConnectTimeout(d time.Duration) error {
	s.connectTimeout = d
	return nil
}

func (s *settings) setAcceptTimeout(d time.Duration) error {
	s.acceptTimeout = d
	return nil
}

// localAddr is a value of bind: a host, a port, or both.
type localAddr struct {
	text string
	host string // "": any
	port int    // 0: any
}

// setBind reads HOST, HOST:PORT, :PORT, with an IPv6 address in brackets or alone.
func (s *settings) setBind(value string) error {
	if s.role == Joiner {
		s.warn("bind=%s has no effect on a joiner: it listens on wsrep_sst_receive_address or wsrep_node_address", value)
	}
	b := &localAddr{text: value, host: value}
	if _, err := netip.ParseAddr(value); err != nil {
		host, port, cut := lastCut(value, ":")
		if cut && !strings.HasSuffix(value, "]") {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return fmt.Errorf("%q is not a port number", port)
			}
			b.host, b.port = host, int(n)
		}
	}
	if inner, ok := strings.CutPrefix(b.host, "["); ok {
		b.host = strings.TrimSuffix(inner, "]")
		if ip, err := netip.ParseAddr(b.host); err != nil || !ip.Is6() {
			return fmt.Errorf("%q is not an IPv6 address", b.host)
		}
	}
	if b.host == "" && b.port == 0 {
		return fmt.Errorf("an address or a port is required")
	}
	s.bind = b
	return nil
}

func lastCut(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// resolve finds the address to bind to for a connection to host: of the family of
// host if that is an address, else IPv4 first.
func (b *localAddr) resolve(ctx context.Context, c *Channel, host string) (netip.Addr, error) {
	if b == nil || b.host == "" {
		return netip.Addr{}, nil
	}
	if ip, err := netip.ParseAddr(b.host); err == nil {
		return ip, nil
	}
	addrs, err := c.lookup(ctx, c.set.network("ip"), b.host)
	if err != nil || len(addrs) == 0 {
		return netip.Addr{}, fault("sockopt bind="+b.text, "name an address of this host", "cannot be resolved: %w", err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	if to, err := netip.ParseAddr(host); err == nil {
		if i := slices.IndexFunc(addrs, func(a netip.Addr) bool { return a.Is4() == to.Unmap().Is4() }); i >= 0 {
			return addrs[i], nil
		}
	}
	return addrs[0], nil
}

// localPorts are the ports to connect from, in the order to try them; 0 is any.
// One port can serve one connection at a time, and an SST has several: any port is
// better than none.
func (s *settings) localPorts() []int {
	port := s.sourcePort
	if port == 0 && s.bind != nil {
		port = s.bind.port
	}
	switch {
	case port != 0:
		return []int{port, 0}
	case !s.lowPort:
		return []int{0}
	}
	var ports []int
	for p := highestLow; p >= lowestLow; p-- {
		ports = append(ports, p)
	}
	return append(ports, 0)
}

// lowestLow to highestLow are what lowport gives a donor, as rresvport has it.
const (
	lowestLow  = 640
	highestLow = 1023
)

// admits says whether a joiner lets a peer come as far as the handshake: by range,
// sourceport and lowport.
func (c *Channel) admits(addr net.Addr) error {
	s := c.set
	if s.peers == nil && s.sourcePort == 0 && !s.lowPort {
		return nil
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return fmt.Errorf("has no address to compare with sockopt: %w", err)
	}
	ip, port := ap.Addr().Unmap().WithZone(""), int(ap.Port())
	object := fmt.Sprintf("%s %s", c.cfg.Role.peer(), addr)
	switch {
	case s.peers != nil && !s.peers.contains(ip):
		return fault(object, "if it may connect, widen the range", "is outside of sockopt range=%s", s.peers.text)
	case s.sourcePort != 0 && port != s.sourcePort && !c.knows(ip):
		return fault(object, "remove sourceport from the sockopt of this node", "does not come from sockopt sourceport=%d", s.sourcePort)
	case s.lowPort && port > highestLow:
		return fault(object, "a donor needs CAP_NET_BIND_SERVICE for a low port; remove lowport from the sockopt of this node", "does not come from a port below 1024, as sockopt lowport demands")
	}
	return nil
}

// knows says whether a peer at this address has been authenticated: its further
// connections cannot come from the same port, see localPorts.
func (c *Channel) knows(ip netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.donor.IsValid() && c.donor == ip
}

// remember notes where the first authenticated donor is.
func (c *Channel) remember(addr net.Addr) {
	ap, err := netip.ParseAddrPort(addr.String())
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && !c.donor.IsValid() {
		c.donor = ap.Addr().Unmap().WithZone("")
	}
}

// describeNet says for the log what sockopt makes of connections on this side.
func (s *settings) describeNet() (parts []string) {
	add := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	if s.family != "" {
		add("IPv%s only", s.family)
	}
	switch {
	case s.forever:
		add("tries again every %v, forever", s.interval)
	case s.retry > 0:
		add("tries again %d times, every %v", s.retry, s.interval)
	}
	if s.role == Donor {
		if s.connectTimeout > 0 {
			add("%v to connect", s.connectTimeout)
		}
		if s.bind != nil {
			add("from %s", s.bind.text)
		}
		if s.sourcePort != 0 {
			add("from port %d", s.sourcePort)
		}
		if s.lowPort {
			add("from a port below 1024")
		}
	} else {
		if s.peers != nil {
			add("peers in %s only", s.peers.text)
		}
		if s.sourcePort != 0 {
			add("peers from port %d only", s.sourcePort)
		}
		if s.lowPort {
			add("peers from ports below 1024 only")
		}
		if s.acceptTimeout > 0 {
			add("%v for the donor to come", s.acceptTimeout)
		}
		if s.maxChildren > 0 {
			add("%d sessions at a time", s.maxChildren)
		}
		if s.backlog != nil {
			add("backlog %d", *s.backlog)
		}
	}
	for _, o := range s.socket {
		add("%s", o)
	}
	return parts
}
