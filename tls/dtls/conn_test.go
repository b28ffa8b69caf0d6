package dtls

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// stream is n bytes that a seed makes.
func stream(seed uint64, n int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), n)
}

// send writes n bytes and closes; the channel has the result, and their sum.
func send(c net.Conn, seed uint64, n int64) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{c}, stream(seed, n), make([]byte, 256<<10))
		out <- errors.Join(err, c.Close())
	}()
	return out
}

func sum(t *testing.T, r io.Reader) [32]byte {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return [32]byte(h.Sum(nil))
}

func TestBytesArriveInOrderInBothDirections(t *testing.T) {
	p := newPair(t, nil)
	donor, joiner := p.connect()
	const n = 8 << 20
	there := send(donor, 1, n)
	if got := sum(t, joiner); got != sum(t, stream(1, n)) {
		t.Error("what arrived at the joiner differs")
	}
	if err := <-there; err != nil {
		t.Error(err)
	}
	donor, joiner = p.connect()
	back := send(joiner, 2, n)
	if got := sum(t, donor); got != sum(t, stream(2, n)) {
		t.Error("what arrived at the donor differs")
	}
	if err := <-back; err != nil {
		t.Error(err)
	}
}

func TestAStreamThatNobodyReadsStopsNoOther(t *testing.T) {
	p := newPair(t, nil)
	stuck, unread := p.connect()
	stuck.SetWriteDeadline(time.Now().Add(time.Second))
	n, err := io.CopyBuffer(struct{ io.Writer }{stuck}, stream(1, 64<<20), make([]byte, 256<<10))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after %d bytes that nobody read: %v", n, err)
	}
	unread.mu.Lock()
	held := unread.inbox.held
	unread.mu.Unlock()
	if held > wideWindow {
		t.Errorf("%d bytes are kept for a reader that does not come", held)
	}
	donor, joiner := p.connect()
	sent := send(donor, 2, 16<<20)
	if sum(t, joiner) != sum(t, stream(2, 16<<20)) {
		t.Error("what arrived differs")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if stuck.assoc != donor.assoc {
		t.Error("two connections at a time have two associations")
	}
}

func TestTheEndOfAStream(t *testing.T) {
	p := newPair(t, nil)
	read := func(c net.Conn) ([]byte, error) {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		return io.ReadAll(c)
	}
	control, _ := p.connect() // keeps the association
	defer control.Close()

	donor, joiner := p.connect()
	donor.Write([]byte("all of it"))
	donor.Close()
	if got, err := read(joiner); string(got) != "all of it" || err != nil {
		t.Errorf("after Close: %q, %v", got, err)
	}
	if _, err := joiner.Write(make([]byte, 10)); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("to who has closed: %v", err)
	}
	if _, err := donor.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after our own Close: %v", err)
	}

	donor, joiner = p.connect()
	donor.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := donor.Write(make([]byte, 3*wideWindow)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a write that nobody reads: %v", err)
	}
	donor.Close()
	if _, err := read(joiner); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("what was cut short ends with %v", err)
	}

	donor, joiner = p.connect()
	done := make(chan error, 1)
	go func() {
		_, err := donor.Write(make([]byte, 3*wideWindow))
		done <- err
	}()
	joiner.Read(make([]byte, 1))
	donor.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a Write under way at Close: %v", err)
	}

	_, joiner = p.connect()
	joiner.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := joiner.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	joiner.SetReadDeadline(time.Time{})
	go func() {
		joiner.SetReadDeadline(time.Unix(1, 0))
	}()
	if _, err := joiner.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a Read whose deadline is moved into the past: %v", err)
	}
}

// A process that ends after Close has nobody who would send the rest.
func TestCloseReturnsWhenAllHasArrived(t *testing.T) {
	p := newPair(t, nil)
	donor, joiner := p.connect()
	const n = 900 << 10 // fits the window: no Read is needed for it
	if _, err := io.Copy(struct{ io.Writer }{donor}, stream(1, n)); err != nil {
		t.Fatal(err)
	}
	donor.Close() // and with it the association
	select {
	case <-donor.assoc.ended:
	default:
		t.Error("the association of a dialer outlives its last connection")
	}
	got, err := io.ReadAll(joiner)
	want, _ := io.ReadAll(stream(1, n))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d arrived, %v", len(got), n, err)
	}
}

func TestWornAssociations(t *testing.T) {
	p := newPair(t, func(donor, _ *side) {
		donor.limits.softBytes, donor.limits.hardBytes = 1<<20, 8<<20
	})
	first, firstJoiner := p.connect()
	go io.Copy(io.Discard, firstJoiner)
	if _, err := first.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	second, secondJoiner := p.connect()
	if first.assoc == second.assoc {
		t.Error("a worn association gets a new connection")
	}
	go io.Copy(io.Discard, secondJoiner)
	for {
		_, err := first.Write(make([]byte, 1<<20))
		if err == nil {
			continue
		}
		if !errors.Is(err, syscall.ECONNRESET) || !errors.Is(err, errWorn) {
			t.Errorf("a worn-out association ends with %v", err)
		}
		break
	}
	if _, err := second.Write([]byte("x")); err != nil {
		t.Errorf("the other association: %v", err)
	}
}

// What closes beside it takes no notice from a Write that waits for its turn, and a write
// deadline that has passed none from the other side's.
func TestAWriteGoesOnWhileOthersClose(t *testing.T) {
	p := newPair(t, nil)
	for range 100 {
		control, _ := p.connect() // keeps the association
		donor, joiner := p.connect()
		joiner.SetWriteDeadline(time.Unix(1, 0))
		sent := send(donor, 1, 3*wideWindow)
		others := make([]<-chan error, 4)
		for i := range others {
			d, j := p.connect()
			others[i] = send(j, 2, 100)
			go func() {
				io.Copy(io.Discard, d)
				d.Close()
			}()
		}
		joiner.SetReadDeadline(time.Now().Add(20 * time.Second))
		if n, err := io.Copy(io.Discard, joiner); n != 3*wideWindow || err != nil {
			t.Fatalf("%d bytes arrived, %v", n, err)
		}
		for _, o := range append(others, sent) {
			if err := <-o; err != nil {
				t.Fatal(err)
			}
		}
		control.Close()
	}
}
