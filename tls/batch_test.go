package tls

import (
	"bytes"
	"crypto/rand"
	stdtls "crypto/tls"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts the calls that reach the connection below.
type counted struct {
	net.Conn
	reads, writes atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// below slips a counting connection under the batch of a Conn.
func below(c *Conn) *counted {
	n := &counted{Conn: c.batch.Conn}
	c.batch.Conn = n
	return n
}

func random(n int) []byte {
	p := make([]byte, n)
	rand.Read(p)
	return p
}

func TestAWholeWriteIsOneSystemCall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		size  int
		calls int64
	}{
		{"nothing", 0, 1}, // an empty record, as crypto/tls sends it
		{"one byte", 1, 1},
		{"one record", recordSize, 1},
		{"a little more than a record", recordSize + 1, 1},
		{"what the engine writes at once", 256 << 10, 1},
		{"more than the buffer", 1 << 20, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := ownPair(t)
			n := below(o.donor)
			sent := random(tt.size)
			got := make([]byte, tt.size)
			done := make(chan error)
			go func() {
				_, err := io.ReadFull(o.joiner, got)
				done <- err
			}()
			if k, err := o.donor.Write(sent); k != tt.size || err != nil {
				t.Fatalf("Write: %d, %v", k, err)
			}
			if err := <-done; err != nil || !bytes.Equal(got, sent) {
				t.Errorf("received something else (%v)", err)
			}
			if calls := n.writes.Load(); calls > tt.calls {
				t.Errorf("%d writes on the connection, want %d", calls, tt.calls)
			}
		})
	}
}

func TestAReadTakesAllThatHasArrived(t *testing.T) {
	o := ownPair(t)
	const size = 64 << 10
	if _, err := o.donor.Write(random(size)); err != nil {
		t.Fatal(err)
	}
	n := below(o.joiner)
	if _, err := io.ReadFull(o.joiner, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	// Alone, crypto/tls needs a read for each of the 4 records at least. How much
	// has arrived at the first read is the system's affair.
	if reads := n.reads.Load(); reads > 3 {
		t.Errorf("%d reads of the connection for %d bytes", reads, size)
	}
}

// TestBothDirectionsAtOnceArriveWhole is for the race detector too.
func TestBothDirectionsAtOnceArriveWhole(t *testing.T) {
	o := ownPair(t)
	var wg sync.WaitGroup
	send := func(from, to *Conn, seed uint64) {
		data := random(8 << 20)
		wg.Add(2)
		go func() {
			defer wg.Done()
			r := mathrand.New(mathrand.NewPCG(seed, 0))
			for rest := data; len(rest) > 0; {
				n := min(len(rest), 1+r.IntN([]int{100, 40 << 10, 600 << 10}[r.IntN(3)]))
				if _, err := from.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
			if err := from.Conn.(*stdtls.Conn).CloseWrite(); err != nil {
				t.Error(err)
			}
		}()
		go func() {
			defer wg.Done()
			got, err := io.ReadAll(to)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived of %d, equal or not: %v", len(got), len(data), err)
			}
		}()
	}
	send(o.donor, o.joiner, 1)
	send(o.joiner, o.donor, 2)
	wg.Wait()
}

func TestWritersAtOnceDoNotTearEachOthersWrites(t *testing.T) {
	o := ownPair(t)
	const size, writers, rounds = 50 << 10, 4, 20
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range rounds {
				if _, err := o.donor.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := map[byte]int{}
	p := make([]byte, size)
	for range writers * rounds {
		if _, err := io.ReadFull(o.joiner, p); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(p, bytes.Repeat(p[:1], size)) {
			t.Fatal("two writes were mixed")
		}
		seen[p[0]]++
	}
	wg.Wait()
	for i := range writers {
		if seen[byte(i)] != rounds {
			t.Errorf("writer %d: %d writes arrived, want %d", i, seen[byte(i)], rounds)
		}
	}
}

func TestAfterCloseWriteTheOtherDirectionGoesOn(t *testing.T) {
	o := ownPair(t)
	sent := random(100 << 10)
	if _, err := o.donor.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := o.donor.Conn.(*stdtls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(o.joiner)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if _, err := o.joiner.Write([]byte("done")); err != nil {
		t.Fatal(err)
	}
	o.joiner.Close()
	if got, err := io.ReadAll(o.donor); string(got) != "done" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// pipePair is a pair over net.Pipe, where a write waits for its reader: in a
// synctest bubble both time and waiting are under control.
func pipePair(t *testing.T) outcome {
	t.Helper()
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	joiner, donor := load(t, Config{Role: Joiner, CA: tca, Cert: cert}), load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost"})
	here, there := net.Pipe()
	var o outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.joiner, o.joinerErr = joiner.Server(t.Context(), there)
	}()
	p := donor.current()
	cfg, v := donor.connection(p, "localhost")
	o.donor, o.donorErr = donor.handshake(t.Context(), here, p, stdtls.Client, cfg, v)
	if o.donorErr == nil { // takes the ticket, which the joiner's handshake waits to get rid of
		go o.donor.Read(make([]byte, 1))
	}
	<-done
	if o.donorErr != nil || o.joinerErr != nil {
		t.Fatal(o.donorErr, o.joinerErr)
	}
	return o
}

func TestAWriteEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := pipePair(t)
		defer o.joiner.batch.Close()
		defer o.donor.batch.Close()
		start := time.Now()
		o.donor.SetWriteDeadline(start.Add(time.Minute))
		_, err := o.donor.Write(make([]byte, 256<<10)) // nobody reads
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("error %v, want a deadline", err)
		}
		if netErr, ok := errors.AsType[net.Error](err); !ok || !netErr.Timeout() {
			t.Errorf("%v is no timeout of the net package", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("it ended after %v", d)
		}
		// A record may be half out: nothing may follow it, even with time again.
		o.donor.SetWriteDeadline(time.Time{})
		if _, err := o.donor.Write([]byte("x")); err == nil {
			t.Error("a write after a lost one succeeded")
		}
	})
}

func TestAReadEndsAtItsDeadline(t *testing.T) {
	o := ownPair(t)
	o.donor.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := o.donor.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("error %v, want a deadline", err)
	}
	o.donor.SetReadDeadline(time.Time{})
	if _, err := o.joiner.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := o.donor.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("after the deadline was taken back: %d, %v", n, err)
	}
}

func TestCloseBreaksOffAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := pipePair(t)
		defer o.joiner.batch.Close()
		done := make(chan error)
		go func() {
			_, err := o.donor.Write(make([]byte, 256<<10))
			done <- err
		}()
		synctest.Wait() // the write stands still: nobody reads
		start := time.Now()
		o.donor.Close()
		if err := <-done; err == nil {
			t.Error("the write ended without an error")
		}
		// crypto/tls would wait up to 5 s to say goodbye.
		if d := time.Since(start); d != 0 {
			t.Errorf("Close waited for %v", d)
		}
	})
}

func TestCloseBreaksOffARead(t *testing.T) {
	o := ownPair(t)
	done := make(chan error)
	go func() {
		_, err := o.donor.Read(make([]byte, 1))
		done <- err
	}()
	o.donor.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v, want net.ErrClosed", err)
	}
}

func TestWhatCryptoTLSWritesByItselfKeepsItsPlace(t *testing.T) {
	var out bytes.Buffer
	b := newBatch(sink{&out}, &sync.Pool{New: func() any { return new([bufferSize]byte) }})
	b.Write([]byte("handshake "))
	if out.String() != "handshake " {
		t.Fatalf("%q: what comes outside a batch goes out at once", out.String())
	}
	b.begin()
	b.Write([]byte("data1 "))
	b.Write([]byte("alert "))
	b.begin()
	b.Write([]byte("data2 "))
	if out.String() != "handshake " {
		t.Fatalf("%q went out before the end of the batch", out.String())
	}
	b.end()
	b.Write([]byte("data3 "))
	b.end()
	b.Write([]byte("late"))
	if want := "handshake data1 alert data2 data3 late"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	big := bytes.Repeat([]byte("x"), bufferSize+1)
	b.begin()
	b.Write([]byte("y"))
	b.Write(big)
	b.end()
	if !bytes.HasSuffix(out.Bytes(), append([]byte("y"), big...)) {
		t.Error("more than the buffer holds went out in another order")
	}
}

func TestALostWriteIsNotFollowedByOthers(t *testing.T) {
	broken := errors.New("cable cut")
	f := &failing{err: broken}
	b := newBatch(f, &sync.Pool{New: func() any { return new([bufferSize]byte) }})
	b.begin()
	if _, err := b.Write([]byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := b.end(); !errors.Is(err, broken) {
		t.Fatalf("end: %v", err)
	}
	f.err = nil
	if _, err := b.Write([]byte("b")); !errors.Is(err, broken) {
		t.Errorf("a later write: %v", err)
	}
	b.begin()
	if _, err := b.Write([]byte("c")); !errors.Is(err, broken) {
		t.Errorf("a later write in a batch: %v", err)
	}
	if err := b.end(); !errors.Is(err, broken) {
		t.Errorf("a later end: %v", err)
	}
	if f.calls != 1 {
		t.Errorf("%d writes reached the connection, want the lost one alone", f.calls)
	}
}

func TestClosedBuffersGoBackOnce(t *testing.T) {
	made := 0
	pool := &sync.Pool{New: func() any { made++; return new([bufferSize]byte) }}
	for range 3 {
		client, server := net.Pipe()
		b := newBatch(client, pool)
		go server.Write([]byte("x"))
		if _, err := b.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		b.Close()
		b.Close()
		server.Close()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after Close: %v", err)
		}
		b.begin()
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
		b.end()
		if b.readBuffer != nil || b.writeBuffer != nil {
			t.Error("a buffer was kept")
		}
	}
	if made > 3 {
		t.Errorf("%d buffers made for 3 connections", made)
	}
}

// sink is a connection that keeps what is written.
type sink struct{ io.Writer }

func (sink) Read([]byte) (int, error)         { return 0, io.EOF }
func (sink) Close() error                     { return nil }
func (sink) LocalAddr() net.Addr              { return nil }
func (sink) RemoteAddr() net.Addr             { return nil }
func (sink) SetDeadline(time.Time) error      { return nil }
func (sink) SetReadDeadline(time.Time) error  { return nil }
func (sink) SetWriteDeadline(time.Time) error { return nil }

type failing struct {
	sink
	err   error
	calls int
}

func (f *failing) Write(p []byte) (int, error) {
	f.calls++
	return len(p), f.err
}
