package sst

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// door is a connection at a gate.
type door struct{ closed bool }

func (d *door) Close() error { d.closed = true; return nil }

func TestGate(t *testing.T) {
	now := time.Unix(1, 0)
	arrive := func(g *gate, addr string, n int) (doors []*door, refused int) {
		for range n {
			d := &door{}
			if g.enter(d, addr) == nil {
				refused++
			}
			doors = append(doors, d)
		}
		return doors, refused
	}
	closed := func(doors []*door) (n int) {
		for _, d := range doors {
			if d.closed {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		name  string
		story func(t *testing.T, g *gate)
	}{
		{"one address pushes out its own eldest", func(t *testing.T, g *gate) {
			donor, _ := arrive(g, "10.0.0.1:1", 1)
			mine, _ := arrive(g, "10.0.0.2:1", 1000)
			if closed(donor) != 0 || closed(mine) != 1000-maxPerHost || mine[999].closed || !mine[0].closed {
				t.Errorf("closed: %d of the donor's, %d of the flood's", closed(donor), closed(mine))
			}
		}},
		{"many addresses push out the eldest", func(t *testing.T, g *gate) {
			first, _ := arrive(g, "10.0.0.1:1", 1)
			for i := range maxGuests {
				arrive(g, fmt.Sprintf("10.0.1.%d:1", i), 1)
			}
			if closed(first) != 1 || len(g.guests) != maxGuests {
				t.Errorf("%d guests, the first closed: %d", len(g.guests), closed(first))
			}
		}},
		{"a /64 is one address", func(t *testing.T, g *gate) {
			for i := range 100 {
				arrive(g, fmt.Sprintf("[2001:db8::%x]:1", i), 1)
			}
			if len(g.guests) != maxPerHost {
				t.Errorf("%d guests", len(g.guests))
			}
		}},
		{"an IPv4 address is one in either form", func(t *testing.T, g *gate) {
			arrive(g, "[::ffff:10.0.0.1]:1", maxPerHost)
			arrive(g, "10.0.0.1:1", maxPerHost)
			if len(g.guests) != maxPerHost {
				t.Errorf("%d guests", len(g.guests))
			}
		}},
		{"the donor's connections all get in at once, and strangers cannot touch them", func(t *testing.T, g *gate) {
			g.settle("10.0.0.1:7")
			donors, refused := arrive(g, "10.0.0.1:1", maxBackupThreads+10)
			for i := range 200 {
				arrive(g, fmt.Sprintf("10.0.1.%d:1", i), 10)
			}
			if refused != 0 || closed(donors) != 0 || len(g.guests) > maxBackupThreads+10+maxGuests {
				t.Errorf("%d refused, %d closed, %d guests", refused, closed(donors), len(g.guests))
			}
		}},
		{"with an owner strangers come at a fixed rate", func(t *testing.T, g *gate) {
			g.settle("10.0.0.1:7")
			_, refused := arrive(g, "10.0.0.2:1", 100)
			now = now.Add(time.Second)
			_, later := arrive(g, "10.0.0.2:1", maxStranger)
			if refused != 100-maxStranger || later != 0 {
				t.Errorf("refused %d, a second later %d", refused, later)
			}
		}},
		{"who was let in is out of reach", func(t *testing.T, g *gate) {
			d := &door{}
			n := g.enter(d, "10.0.0.2:1")
			if g.leave(n) {
				t.Error("taken for evicted")
			}
			arrive(g, "10.0.0.2:1", 100)
			if d.closed {
				t.Error("closed")
			}
		}},
		{"who was sent away learns it", func(t *testing.T, g *gate) {
			n := g.enter(&door{}, "10.0.0.2:1")
			arrive(g, "10.0.0.2:1", 100)
			if !g.leave(n) {
				t.Error("not told")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGate()
			g.now = func() time.Time { return now }
			c.story(t, g)
		})
	}
}

func TestRefusalsAreToldAsANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var lines []string
		r := refusals{warn: func(s string) { mu.Lock(); lines = append(lines, s); mu.Unlock() }}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { r.run(ctx) })
		for i := range 22 {
			r.say(fmt.Sprintf("10.0.0.%d:1", i), "no")
		}
		time.Sleep(refusalInterval + time.Second)
		r.say("10.0.0.99:1", "no")
		time.Sleep(10 * refusalInterval)
		cancel()
		wg.Wait()
		if len(lines) != refusalsShown+2 || lines[0] != "connection from 10.0.0.0:1 turned away: no" ||
			lines[refusalsShown] != "17 more connections turned away in the last 10 s, the last from 10.0.0.21" ||
			!strings.Contains(lines[refusalsShown+1], "10.0.0.99") {
			t.Errorf("%d lines: %q", len(lines), lines)
		}
	})
}

// Two hundred connections with garbage, half of them silent, before and during an SST: the SST is as if they were not
// there, and the log of the joiner stays readable.
func TestStrangersDoNotDisturbAnSST(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	port := joiner.ready()
	flood(t, "127.0.0.2", port, 200)
	donor.donate(port, "")
	donor.expect("flush tables")
	flood(t, "127.0.0.2", port, 200)
	flood(t, "127.0.0.3", port, 200)
	joiner.modest()
	complete(donor, joiner)
	joiner.says("more connections turned away in the last 10 s")
	if n := strings.Count(joiner.said(), "turned away"); n > 30 {
		t.Errorf("%d lines about them:\n%s", n, joiner.said())
	}
}

// flood opens connections from a loopback address: garbage, the beginning of a handshake, and silence in turn. They stay
// open on this side to the end of the test.
func flood(t *testing.T, from string, port, n int) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for i := range n {
		conn, err := d.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		switch i % 3 {
		case 0:
			conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		case 1:
			conn.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 0xfc})
		}
	}
}

// modest checks that the program has never had more in memory than strangers may make it use.
func (n *node) modest() {
	n.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", readPid(n.dir)))
	if err != nil {
		n.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int
	if _, err := fmt.Sscanf(after, "%d kB", &kib); err != nil {
		n.t.Fatal(err)
	}
	n.t.Logf("%d MiB at most", kib>>10)
	if kib > 64<<10 && !raced {
		n.t.Errorf("%d MiB in memory", kib>>10)
	}
}

// Without TLS anybody gets to the rsync daemon: with lists that do not end, from more addresses than there are places. It
// costs no more memory than elsewhere, and the first that has a whole list gets the SST.
func TestStrangersInTheClear(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.stockNode(), cluster.stockNode()
	database(t, donor.dir)
	port, _ := joiner.stockReady("wsrep_sst_rsync")
	opening := []byte("@RSYNCD: 32.0 md5\nrsync_sst\n--server\x00-qlogDtprIe.LsfxCIvu\x00.\x00rsync_sst/\x00\x00\x06xxh128")
	// A frame of 60000 bytes with entries of a list, nearly as long as names go.
	entry := append([]byte{0x40, 0x8f, 0xa0}, bytes.Repeat([]byte("x"), 4000)...)
	entry = append(entry, 0, 0, 0, 0, 0, 0, 0, 0xa4, 0x81, 0, 0, 0, 0)
	entries := bytes.Repeat(entry, 15)
	frame := append([]byte{byte(len(entries)), byte(len(entries) >> 8), byte(len(entries) >> 16), 7}, entries...)
	var floods sync.WaitGroup
	for i := range 100 {
		conn := clearDial(t, port, fmt.Sprintf("127.0.1.%d", 1+i%40))
		floods.Go(func() {
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			conn.Write(opening)
			for range 200 {
				if _, err := conn.Write(frame); err != nil {
					return
				}
			}
		})
	}
	floods.Wait()
	joiner.modest()
	clearRuns(t, port, "127.0.0.1", donor.dir)
	if err := clearMagic(t, port, "127.0.0.1", testUUID+":42 0\nbypass\n"); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	joiner.says("turned away")
}

// The first certificate that begins owns the SST: another one, of the same authority, is refused while it runs, from the
// same address, too.
func TestAnotherCertificateIsRefusedWhileAnSSTRuns(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	other := cluster.certificate("localhost", true)
	write(t, filepath.Dir(joiner.cnf), "my.cnf", fmt.Sprintf("[mysqld]\ndatadir=%s\n[sst]\ntca=%s\ntcert=%s\n", joiner.dir, cluster.ca, cluster.certificate("localhost", true)))
	port := joiner.ready()
	donor.donate(port, "")
	donor.expect("flush tables")

	pair, err := tls.LoadX509KeyPair(other, other)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if b, err := io.ReadAll(conn); len(b) > 0 || os.IsTimeout(err) {
		t.Errorf("it was told %q, %v", b, err)
	}
	waitFor(t, "the refusal", func() bool { return strings.Contains(joiner.said(), "this SST belongs to") })

	complete(donor, joiner)
}
