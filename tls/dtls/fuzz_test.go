package dtls

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/sctp"
)

func TestCookies(t *testing.T) {
	b := newBaker()
	now := time.Unix(1_000_000_000, 0)
	b.now = func() time.Time { return now }
	from := netip.MustParseAddrPort("192.0.2.1:1000")
	ask := knock{kind: knockAsk, number: 7}
	cookie := b.cookie(from, ask)
	if !b.knows(from, cookie) {
		t.Error("its own cookie is not known")
	}
	other := cookie
	other.number++
	for name, known := range map[string]bool{
		"of another port":     b.knows(netip.MustParseAddrPort("192.0.2.1:1001"), cookie),
		"of another address":  b.knows(netip.MustParseAddrPort("192.0.2.2:1000"), cookie),
		"of another number":   b.knows(from, other),
		"of another listener": newBaker().knows(from, cookie),
	} {
		if known {
			t.Errorf("a cookie %s is taken", name)
		}
	}
	now = now.Add((cookieMinutes + 1) * time.Minute)
	if b.knows(from, cookie) {
		t.Error("an old cookie is taken")
	}
}

func FuzzKnock(f *testing.F) {
	f.Add(knock{kind: knockEnter, number: 1, stamp: 2, mac: [knockMAC]byte{3}}.append(nil))
	f.Add([]byte(knockMagic))
	f.Fuzz(func(t *testing.T, p []byte) {
		if k, ok := parseKnock(p); ok && !bytes.Equal(k.append(nil), p) {
			t.Errorf("%x is read as %+v", p, k)
		}
	})
}

// FuzzMessages gives a stream's messages to a connection: kind, length, bytes. Whatever
// comes, no more is kept than the window, and no credit is more than the largest one.
func FuzzMessages(f *testing.F) {
	open := append([]byte{0, 5}, binary.BigEndian.AppendUint32([]byte{openVersion}, wideWindow)...)
	f.Add(true, open)
	f.Add(true, append(open, 2, 3, 'a', 'b', 'c', 3, 1, 0))
	f.Add(false, []byte{1, 4, 0, 1, 0, 0, 2, 1, 'x', 3, 1, 1})
	f.Fuzz(func(t *testing.T, accepting bool, p []byte) {
		a := &association{ended: make(chan struct{}), owes: make(chan struct{}, 1), conns: map[uint16]*Conn{}}
		c := &Conn{assoc: a, window: narrowWindow, dialed: !accepting}
		c.cond.L = &c.mu
		if c.dialed {
			c.granted = c.window
		}
		for len(p) >= 2 {
			kind, n := kindOpen+sctp.PayloadProtocolIdentifier(p[0]), min(int(p[1]), len(p)-2)
			message := p[2 : 2+n]
			p = p[2+n:]
			done, err := c.receive(kind, message)
			if c.inbox.held > narrowWindow || c.credit > wideWindow || c.credit < 0 {
				t.Fatalf("%d bytes held, credit %d", c.inbox.held, c.credit)
			}
			if err != nil || done {
				return
			}
		}
	})
}

func FuzzRing(f *testing.F) {
	f.Add([]byte{200, 10, 255, 255, 3})
	f.Fuzz(func(t *testing.T, steps []byte) {
		var r ring
		var want []byte
		for i, s := range steps {
			if i%2 == 0 {
				p := bytes.Repeat([]byte{byte(i)}, int(s)*20)
				r.put(p)
				want = append(want, p...)
				continue
			}
			p := make([]byte, int(s)*17)
			n := r.take(p)
			if n != min(len(p), len(want)) || !bytes.Equal(p[:n], want[:n]) {
				t.Fatal("other bytes come out than went in")
			}
			want = want[n:]
		}
	})
}
