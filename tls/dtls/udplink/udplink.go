// Package udplink is a network between two ends that speak UDP: a port that passes
// datagrams on to another one, with a rate and a delay, and with whatever a bad network
// does to them. bench measures through it, and tests do.
package udplink

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what the network does. Shares are of 1 and independent of each other.
type Options struct {
	Delay time.Duration // one way
	Rate  int64         // bytes a second each way, all senders together; 0: no limit

	Lost, Reordered, Duplicated, Corrupted float64
	Seed                                   uint64 // of what chance decides
}

const (
	// behind is how much later one that is reordered comes.
	behind = 3 * time.Millisecond
	// maxQueue is what the network keeps for a sender that is faster than Rate; more is
	// lost, as in a router.
	maxQueue = 100 * time.Millisecond
	// maxUnderway datagrams are on their way in one direction at most.
	maxUnderway = 1 << 16
	bufferSize  = 4 << 20
)

// A Link is the network at work.
type Link struct {
	options Options
	to      *net.UDPAddr
	front   *net.UDPConn
	passed  atomic.Int64 // bytes towards to
	dead    atomic.Bool
	done    chan struct{}
	work    sync.WaitGroup

	mu       sync.Mutex
	chance   *rand.Rand
	flows    map[netip.AddrPort]*flow
	onPassed func(total int64)
	free     [2]time.Time // when the next datagram may go, by direction
	closed   bool
}

// A flow is what comes from one address.
type flow struct {
	back        *net.UDPConn
	there, home chan datagram
	cut         atomic.Bool
}

type datagram struct {
	bytes []byte
	due   time.Time
}

// New makes one in front of to, on a free port of the loopback.
func New(to netip.AddrPort, o Options) (*Link, error) {
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	front.SetReadBuffer(bufferSize)
	front.SetWriteBuffer(bufferSize)
	l := &Link{
		options: o, to: net.UDPAddrFromAddrPort(to), front: front, done: make(chan struct{}),
		chance: rand.New(rand.NewPCG(o.Seed, 1)), flows: map[netip.AddrPort]*flow{},
	}
	l.work.Go(l.run)
	return l, nil
}

// Addr is where to send.
func (l *Link) Addr() *net.UDPAddr { return l.front.LocalAddr().(*net.UDPAddr) }

// Passed is how many bytes have come for the other end.
func (l *Link) Passed() int64 { return l.passed.Load() }

// OnPassed calls f before each datagram towards the other end, with the bytes so far.
func (l *Link) OnPassed(f func(total int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.onPassed = f
}

// Cut makes the network forget who has sent until now: all of that is lost from here
// on, both ways. Who sends from another port is carried.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flows {
		f.cut.Store(true)
	}
}

// Die makes the network lose everything, or carry again.
func (l *Link) Die(dead bool) { l.dead.Store(dead) }

// Close ends it; what is sent to its port is refused then.
func (l *Link) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.done)
		l.front.Close()
		for _, f := range l.flows {
			f.back.Close()
		}
	}
	l.mu.Unlock()
	l.work.Wait()
}

func (l *Link) run() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := l.front.ReadFromUDPAddrPort(buffer)
		if err != nil {
			select {
			case <-l.done:
				return
			default:
				continue
			}
		}
		f := l.flow(from)
		if f == nil {
			return
		}
		total := l.passed.Add(int64(n))
		l.mu.Lock()
		on := l.onPassed
		l.mu.Unlock()
		if on != nil {
			on(total)
		}
		l.carry(f, f.there, 0, buffer[:n])
	}
}

// flow is that of an address; nil at the end.
func (l *Link) flow(from netip.AddrPort) *flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flows[from]; f != nil || l.closed {
		return f
	}
	back, err := net.DialUDP("udp", nil, l.to)
	if err != nil {
		return nil
	}
	back.SetReadBuffer(bufferSize)
	back.SetWriteBuffer(bufferSize)
	f := &flow{back: back, there: make(chan datagram, maxUnderway), home: make(chan datagram, maxUnderway)}
	l.flows[from] = f
	l.work.Go(func() { l.deliver(f.there, func(p []byte) { back.Write(p) }) })
	l.work.Go(func() { l.deliver(f.home, func(p []byte) { l.front.WriteToUDPAddrPort(p, from) }) })
	l.work.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			n, err := back.Read(buffer)
			if err == nil {
				l.carry(f, f.home, 1, buffer[:n])
				continue
			}
			select {
			case <-l.done:
				return
			default: // refused by the other end: lost
			}
		}
	})
	return f
}

// carry decides what becomes of a datagram.
func (l *Link) carry(f *flow, queue chan datagram, direction int, p []byte) {
	if l.dead.Load() || f.cut.Load() {
		return
	}
	d := datagram{bytes: append([]byte(nil), p...), due: time.Now().Add(l.options.Delay)}
	l.mu.Lock()
	o, chance := l.options, l.chance
	lost := chance.Float64() < o.Lost
	copies, later := 1, chance.Float64() < o.Reordered
	if chance.Float64() < o.Duplicated {
		copies = 2
	}
	if chance.Float64() < o.Corrupted && len(p) > 0 {
		d.bytes[chance.IntN(len(p))] ^= byte(1 + chance.IntN(255))
	}
	if o.Rate > 0 {
		now := time.Now()
		start := now
		if l.free[direction].After(now) {
			start = l.free[direction]
		}
		lost = lost || start.Sub(now) > maxQueue
		if !lost {
			l.free[direction] = start.Add(time.Duration(int64(len(p)) * int64(time.Second) / o.Rate))
			d.due = l.free[direction].Add(o.Delay)
		}
	}
	l.mu.Unlock()
	if lost {
		return
	}
	for range copies {
		l.send(queue, d, later)
		later = false
	}
}

func (l *Link) send(queue chan datagram, d datagram, later bool) {
	put := func() {
		select {
		case queue <- d:
		default: // lost
		}
	}
	if !later {
		put()
		return
	}
	l.work.Add(1)
	time.AfterFunc(behind, func() {
		defer l.work.Done()
		put()
	})
}

// deliver hands datagrams over when they are due.
func (l *Link) deliver(queue chan datagram, to func([]byte)) {
	for {
		select {
		case <-l.done:
			return
		case d := <-queue:
			if wait := time.Until(d.due); wait > 0 {
				select {
				case <-l.done:
					return
				case <-time.After(wait):
				}
			}
			to(d.bytes)
		}
	}
}
