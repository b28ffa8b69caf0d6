package dtls

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls/dtls/udplink"
)

// through puts a network between the two ends.
func (p *pair) through(o udplink.Options) *udplink.Link {
	p.t.Helper()
	link, err := udplink.New(p.listener.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort(), o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(link.Close)
	p.to(link.Addr())
	return link
}

// bad is the network of the issue.
var bad = udplink.Options{Lost: 0.01, Reordered: 0.02, Duplicated: 0.01, Corrupted: 0.005, Seed: 7}

func TestThroughABadNetworkBytesArriveEqual(t *testing.T) {
	size := int64(2 << 20)
	if os.Getenv("E2E_LONG") != "" {
		size = 256 << 20
	}
	p := newPair(t, nil)
	p.through(bad)
	donor, joiner := p.connect()
	began := time.Now()
	sent := send(donor, 3, size)
	if sum(t, joiner) != sum(t, stream(3, size)) {
		t.Error("what arrived differs")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	t.Logf("%d MiB in %v", size>>20, time.Since(began))
}

func TestNobodyAnswers(t *testing.T) {
	p := newPair(t, nil)
	link := p.through(udplink.Options{})
	link.Die(true)
	p.route.KnockLimit = 300 * time.Millisecond
	if _, err := p.dialer.Dial(t.Context(), p.route); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a network that loses everything: %v", err)
	}
	link.Close()
	p.route.KnockLimit = 10 * time.Second
	if _, err := p.dialer.Dial(t.Context(), p.route); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a port that nobody has: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.dialer.Dial(ctx, p.route); err == nil {
		t.Error("dialled after the end of the context")
	}
}

// What keeps a connection from coming back to life is told by the next one that is made.
func TestAfterACutANewAssociationIsMade(t *testing.T) {
	p := newPair(t, nil)
	link := p.through(udplink.Options{})
	before, _ := p.connect()
	link.Cut()
	after, joiner := p.connect()
	if before.assoc == after.assoc {
		t.Error("an association that is cut gets a new connection")
	}
	if _, err := after.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := joiner.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestAPortThatIsClosedEndsTheAssociation(t *testing.T) {
	p := newPair(t, nil)
	link := p.through(udplink.Options{})
	donor, _ := p.connect()
	link.Close()
	donor.SetDeadline(time.Now().Add(15 * time.Second))
	for {
		if _, err := donor.Write(make([]byte, 1<<20)); err != nil {
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v", err)
			}
			break
		}
	}
}
