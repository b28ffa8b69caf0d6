package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/tls/dtls/udplink"
)

// A Link is a slow network between two ends: a proxy on this host that lets so many
// bytes through each second, in each direction, over all connections together, and
// holds each of them back for half of the delay. The zero value is no link at all.
type Link struct {
	Rate  int64         // bytes a second; 0: no limit
	Delay time.Duration // of a round trip
}

func (l Link) on() bool { return l != Link{} }

// String is the form that UnmarshalText reads.
func (l Link) String() string {
	var parts []string
	if l.Rate > 0 {
		parts = append(parts, strconv.FormatFloat(float64(l.Rate)/1e6, 'f', -1, 64)+"MB/s")
	}
	if l.Delay > 0 {
		parts = append(parts, l.Delay.String())
	}
	return strings.Join(parts, ",")
}

var units = []struct {
	suffix string
	bytes  float64
}{{"kB/s", 1e3}, {"MB/s", 1e6}, {"GB/s", 1e9}}

// Bounds of a link.
const (
	minLinkRate  = 10e3
	maxLinkRate  = 100e9
	maxLinkDelay = 10 * time.Second
)

// UnmarshalText reads "20MB/s", "40ms" or both with a comma. kB, MB and GB are powers
// of 1000.
func (l *Link) UnmarshalText(text []byte) error {
	var out Link
	for word := range strings.SplitSeq(string(text), ",") {
		if rate, ok := parseRate(word); ok && out.Rate == 0 {
			out.Rate = rate
		} else if delay, err := time.ParseDuration(word); err == nil && delay > 0 && delay <= maxLinkDelay && out.Delay == 0 {
			out.Delay = delay
		} else {
			return fmt.Errorf("%q is no link: it should be like 20MB/s,40ms (10kB/s to 100GB/s, at most %v)", text, maxLinkDelay)
		}
	}
	*l = out
	return nil
}

func parseRate(word string) (int64, bool) {
	for _, u := range units {
		number, ok := strings.CutSuffix(word, u.suffix)
		if !ok {
			continue
		}
		f, err := strconv.ParseFloat(number, 64)
		n := f * u.bytes
		return int64(n), err == nil && !math.IsNaN(n) && n >= minLinkRate && n <= maxLinkRate
	}
	return 0, false
}

// A proxy is a Link at work.
type proxy struct {
	link     Link
	target   string
	listener net.Listener
	there    pacer
	back     pacer

	cancel  context.CancelFunc
	running sync.WaitGroup
}

// proxy listens on a port of its own and leads to target, until it is closed.
func (l Link) proxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the link: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	p := &proxy{link: l, target: target, listener: listener, cancel: cancel, there: pacer{rate: l.Rate}, back: pacer{rate: l.Rate}}
	p.running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.running.Go(func() { p.serve(ctx, conn) })
		}
	})
	return p, nil
}

// port is where it listens.
func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// close ends it and its connections.
func (p *proxy) close() {
	p.listener.Close()
	p.cancel()
	p.running.Wait()
}

func (p *proxy) serve(ctx context.Context, a net.Conn) {
	defer a.Close()
	var d net.Dialer
	b, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // as if nobody listened
	}
	defer b.Close()
	defer context.AfterFunc(ctx, func() { a.Close(); b.Close() })()
	var both sync.WaitGroup
	both.Go(func() { p.carry(ctx, a, b, &p.there) })
	both.Go(func() { p.carry(ctx, b, a, &p.back) })
	both.Wait()
}

// A packet is on its way.
type packet struct {
	bytes []byte
	due   time.Time
}

const packetSize = 16 << 10

// held is for how long a router would hold bytes back before it drops some: so the link
// is not idle when a sender is late by less.
const held = 50 * time.Millisecond

// carry takes bytes from one end to the other. As many are on their way as fit into the
// link, and what a router would hold.
func (p *proxy) carry(ctx context.Context, from, to net.Conn, pace *pacer) {
	inFlight := int(min(float64(p.link.Rate)*(p.link.Delay+held).Seconds(), 64<<20))/packetSize + 16
	queue := make(chan packet, inFlight)
	var delivering sync.WaitGroup
	delivering.Go(func() { deliver(ctx, queue, to) })
	for {
		b := make([]byte, packetSize)
		n, err := from.Read(b)
		if n > 0 {
			queue <- packet{b[:n], pace.take(n).Add(p.link.Delay / 2)}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				to.Close()
			}
			break
		}
	}
	close(queue)
	delivering.Wait()
}

// deliver writes packets when they are due, and ends the direction after the last. It
// takes all, so that nobody waits to bring one.
func deliver(ctx context.Context, queue <-chan packet, to net.Conn) {
	for p := range queue {
		if wait := time.Until(p.due); wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
		}
		if _, err := to.Write(p.bytes); err != nil {
			to.Close()
		}
	}
	if c, ok := to.(*net.TCPConn); ok {
		c.CloseWrite()
	}
}

// A pacer says when bytes have left the sender's end of a link.
type pacer struct {
	rate int64

	mu   sync.Mutex
	free time.Time // when the link has sent all so far
}

func (p *pacer) take(n int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.free.Before(now) {
		p.free = now
	}
	if p.rate > 0 {
		p.free = p.free.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	}
	return p.free
}

// A datagramLink is a Link for UDP.
type datagramLink struct{ *udplink.Link }

func (l datagramLink) port() int { return l.Addr().Port }
func (l datagramLink) close()    { l.Close() }

// datagrams leads to the UDP port of target, an address and a port.
func (l Link) datagrams(target string) (datagramLink, error) {
	host, port, err := net.SplitHostPort(target)
	if err != nil {
		return datagramLink{}, err
	}
	if host == mariadbd.Host {
		host = "127.0.0.1"
	}
	to, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil {
		return datagramLink{}, err
	}
	u, err := udplink.New(to, udplink.Options{Delay: l.Delay / 2, Rate: l.Rate})
	return datagramLink{u}, err
}
