package sst

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Limits for connections that have not shown a certificate, or where none is demanded
// have not become the donor's. What one of them takes (a buffer of 260 KiB during the
// handshake, another half a MiB of rsync's in the clear) times maxGuests is the fixed
// memory that strangers can make us use.
const (
	maxGuests   = 16              // at a time, from all addresses but the donor's
	maxPerHost  = 4               // of them from one address, or one /64 of IPv6
	maxDonors   = 512             // at a time from the donor's address: twice what backup-threads allows
	maxStranger = 20              // per second, once there is a donor: each may cost a signature
	maxSessions = 300             // connections that were let in: more than backup-threads allows
	strangerFor = 1 * time.Second // what maxStranger is counted in
	maxLeaving  = 4               // guests that were sent away and still have their buffers

	// What the collector keeps the whole process to as long as there is no donor: what
	// strangers leave behind would otherwise double before it goes.
	guestMemory = 40 << 20
)

// A gate is where a connection waits until it has shown that it may come in. It never
// makes anybody wait for a place: who has been there longest without getting on goes,
// first of the same address, so that strangers push out each other and not the donor,
// whose handshake takes milliseconds. Once the SST has an owner, connections from his
// address have places of their own, and others come in at a fixed rate only.
type gate struct {
	now  func() time.Time
	room chan struct{} // holds one for each guest, those that are on their way out included
	// settled is called when there is a donor. nil: nobody wants to know.
	settled func()

	mu     sync.Mutex
	guests []*guest // in order of arrival
	owner  string   // address of the donor; "" before there is one
	second time.Time
	count  int // strangers in this second
}

// A guest is a connection at the gate.
type guest struct {
	conn    io.Closer
	host    string
	evicted bool
	gone    func() // gives its room back; once
}

func newGate() *gate {
	return &gate{now: time.Now, room: make(chan struct{}, maxGuests+maxLeaving)}
}

// admit waits until the guest may take memory. Those before it that were sent away are
// quick to go, their connections being closed; the donor's own need not wait.
func (g *gate) admit(ctx context.Context, n *guest) error {
	g.mu.Lock()
	donors := g.owner == n.host
	g.mu.Unlock()
	if donors {
		return nil
	}
	select {
	case g.room <- struct{}{}:
		n.gone = sync.OnceFunc(func() { <-g.room })
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter makes room for a connection from addr. It is nil when there is none for a
// stranger in this second: the caller closes the connection.
func (g *gate) enter(conn io.Closer, addr string) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := &guest{conn: conn, host: hostKey(addr), gone: func() {}}
	if g.owner == "" || g.owner == n.host {
		most := maxPerHost
		if g.owner != "" {
			most = maxDonors
		}
		g.evict(most, func(o *guest) bool { return o.host == n.host })
	} else if g.hasty() {
		return nil
	} else {
		g.evict(maxPerHost, func(o *guest) bool { return o.host == n.host })
	}
	if g.owner != n.host {
		g.evict(maxGuests, func(o *guest) bool { return o.host != g.owner })
	}
	g.guests = append(g.guests, n)
	return n
}

// hasty says whether this second has had its strangers.
func (g *gate) hasty() bool {
	if now := g.now(); now.Sub(g.second) >= strangerFor || now.Before(g.second) {
		g.second, g.count = now, 0
	}
	g.count++
	return g.count > maxStranger
}

// evict closes the eldest of a class until one more has room in it.
func (g *gate) evict(most int, class func(*guest) bool) {
	n := 0
	for _, o := range g.guests {
		if class(o) {
			n++
		}
	}
	for ; n >= most; n-- {
		i := slices.IndexFunc(g.guests, class)
		g.guests[i].evicted = true
		g.guests[i].conn.Close()
		g.guests = slices.Delete(g.guests, i, i+1)
	}
}

// leave takes a guest off the list: it was let in, or is gone. It says whether the
// guest had been sent away for want of room.
func (g *gate) leave(n *guest) (evicted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.guests, n); i >= 0 {
		g.guests = slices.Delete(g.guests, i, i+1)
	}
	return n.evicted
}

// settle says where the donor is.
func (g *gate) settle(addr string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.owner = hostKey(addr)
	if g.settled != nil {
		g.settled()
	}
}

// thrifty keeps the process to guestMemory until there is a donor, or until the
// function it returns is called.
func (g *gate) thrifty() (end func()) {
	before := debug.SetMemoryLimit(-1)
	if before <= guestMemory {
		return func() {}
	}
	debug.SetMemoryLimit(guestMemory)
	g.settled = sync.OnceFunc(func() { debug.SetMemoryLimit(before) })
	return g.settled
}

// hostKey is what counts as one address: of IPv6 a /64, which one host may have whole.
func hostKey(addr string) string {
	h := host(addr)
	ip, err := netip.ParseAddr(h)
	if err != nil {
		return h
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		p, err := ip.Prefix(64)
		if err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// host is the address without its port.
func host(addr string) string {
	if h, _, err := net.SplitHostPort(addr); err == nil {
		return h
	}
	return addr
}
