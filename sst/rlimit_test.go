package sst

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// A sink takes what is written to it, at once, and counts.
type sink struct {
	net.Conn // nil: nothing else of it is used
	mu       sync.Mutex
	bytes    int
	writes   int
	largest  int
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += len(p)
	s.writes++
	s.largest = max(s.largest, len(p))
	return len(p), nil
}

func (*sink) Own() bool                        { return true }
func (*sink) Flow() tls.Flow                   { return tls.Flow{} }
func (*sink) Peer() tls.Peer                   { return tls.Peer{} }
func (*sink) Explain(err error) error          { return err }
func (*sink) Close() error                     { return nil }
func (*sink) SetDeadline(time.Time) error      { return nil }
func (*sink) SetWriteDeadline(time.Time) error { return nil }

// off is how far a is from b, as a part of b.
func off(a, b float64) float64 { return math.Abs(a-b) / b }

func TestTheRateHoldsForWritesOfAnySize(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  int64
		write int
		total int
	}{
		{"writes of the engine", 10 << 20, 256 << 10, 40 << 20},
		{"tiny writes", 10 << 20, 128, 10 << 20},
		{"fast", 1 << 30, 256 << 10, 4 << 30},
		{"writes larger than what goes in a second", 100 << 10, 1 << 20, 2 << 20},
		{"the slowest that is allowed", minRate, 256 << 10, 256 << 10},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s sink
				l := newLimitedLink(&s, newRateLimit(c.rate))
				buf := make([]byte, c.write)
				began := time.Now()
				for sent := 0; sent < c.total; sent += c.write {
					if n, err := l.Write(buf); n != len(buf) || err != nil {
						t.Fatal(n, err)
					}
				}
				took := time.Since(began).Seconds()
				if want := float64(c.total) / float64(c.rate); off(took, want) > 0.01 {
					t.Errorf("%d bytes took %g s, want %g", c.total, took, want)
				}
				if s.bytes != c.total {
					t.Errorf("%d of %d bytes arrived", s.bytes, c.total)
				}
				if limit := max(minPiece, int(float64(c.rate)*ratePiece.Seconds())); s.largest > limit {
					t.Errorf("a piece of %d bytes: the other connections wait too long", s.largest)
				}
			})
		})
	}
}

func TestSmallWritesDoNotSleepEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newRateLimit(10 << 20)
		sleeps := 0
		for range 10_000 { // a second's worth, a hundred in a slack
			if d := limit.take(1048); d > 0 {
				sleeps++
				time.Sleep(d)
			}
		}
		if sleeps == 0 || sleeps > 101 {
			t.Errorf("%d sleeps", sleeps)
		}
	})
}

func TestSleepsThatAreTooLongComeOffTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newRateLimit(1 << 20)
		began := time.Now()
		for range 200 {
			if d := limit.take(64 << 10); d > 0 {
				time.Sleep(d + 7*time.Millisecond) // a loaded machine
			}
		}
		if took := time.Since(began).Seconds(); off(took, 12.5) > 0.01 {
			t.Errorf("took %g s", took)
		}
	})
}

func TestConnectionsShareTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newRateLimit(10 << 20)
		sinks := make([]sink, 4)
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for i := range sinks {
			wg.Go(func() {
				l := newLimitedLink(&sinks[i], limit)
				for buf := make([]byte, 256<<10); ctx.Err() == nil; {
					l.Write(buf)
				}
			})
		}
		wg.Wait()
		sum := 0
		for i := range sinks {
			sum += sinks[i].bytes
			if off(float64(sinks[i].bytes), 20<<20) > 0.05 {
				t.Errorf("connection %d sent %d bytes of %d", i, sinks[i].bytes, 20<<20)
			}
		}
		// Each may be in the middle of a write when the time is over.
		if off(float64(sum), 80<<20) > 0.03 {
			t.Errorf("all sent %d bytes in 8 s", sum)
		}
	})
}

func TestAPauseIsNotMadeUpForInABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newRateLimit(1 << 20)
		time.Sleep(time.Hour)
		if d := limit.take(1 << 20); d < time.Second-rateCredit {
			t.Errorf("a second's worth may go after %v", d)
		}
	})
}

// What ends a write ends a sleep before it: the engine relies on deadlines in the past,
// also set by another goroutine.
func TestWhatEndsASleep(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*limitedLink)
		want error
	}{
		{"a deadline in the past", func(l *limitedLink) { l.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"one for writes", func(l *limitedLink) { l.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"one that will come", func(l *limitedLink) { l.SetDeadline(time.Now().Add(time.Second)) }, os.ErrDeadlineExceeded},
		{"the end of the connection", func(l *limitedLink) { l.Close() }, net.ErrClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s sink
				l := newLimitedLink(&s, newRateLimit(minRate))
				var n int
				var err error
				ended := make(chan struct{})
				began := time.Now()
				go func() {
					defer close(ended)
					n, err = l.Write(make([]byte, 1<<20))
				}()
				time.Sleep(time.Second)
				c.do(l)
				<-ended
				if !errors.Is(err, c.want) || n != s.bytes || n > 3<<10 || time.Since(began) > 3*time.Second {
					t.Errorf("after %v: %d bytes, %v", time.Since(began), n, err)
				}
			})
		})
	}
}

func TestADeadlineThatIsTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s sink
		l := newLimitedLink(&s, newRateLimit(minRate))
		l.SetDeadline(time.Now().Add(time.Second))
		go func() {
			time.Sleep(time.Second / 2)
			l.SetDeadline(time.Time{})
		}()
		if n, err := l.Write(make([]byte, 4<<10)); n != 4<<10 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

// Over a real connection, with the real clock: 10 MiB/s within 3 %. It is never faster;
// where the machine stops for longer than the credit it is slower, so the best counts.
func TestTheRateOverLoopback(t *testing.T) {
	const rate, tries = 10 << 20, 4
	for try := 1; ; try++ {
		got := overLoopback(t, rate, 20<<20)
		t.Logf("%.3f MiB/s, %+.2f %%", got/(1<<20), 100*(got/rate-1))
		switch {
		case off(got, rate) <= 0.03:
			return
		case got > rate || try == tries:
			t.Fatalf("the rate is %g", got)
		}
	}
}

// overLoopback sends through a connection of a donor and gives the rate.
func overLoopback(t *testing.T, rate int64, total int) float64 {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	received := make(chan int64, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			received <- 0
			return
		}
		defer conn.Close()
		n, _ := io.Copy(io.Discard, conn)
		received <- n
	}()
	clear := clearChannel{tls.LoadClear(tls.Config{Role: tls.Donor})}
	conn, err := clear.Dial(t.Context(), "127.0.0.1", listener.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	l := newLimitedLink(conn, newRateLimit(rate))
	defer l.Close()
	buf := make([]byte, 256<<10)
	began := time.Now()
	for sent := 0; sent < total; sent += len(buf) {
		if _, err := l.Write(buf); err != nil {
			t.Fatal(err)
		}
	}
	l.Close()
	n := <-received
	if n != int64(total) {
		t.Fatalf("%d of %d bytes arrived", n, total)
	}
	return float64(n) / time.Since(began).Seconds()
}

// What pv -L takes is taken; the last ones newer versions of it take.
func TestRates(t *testing.T) {
	for text, want := range map[string]int64{
		"2048": 2048, "1k": 1 << 10, "1K": 1 << 10, "40m": 40 << 20, "1G": 1 << 30, "2t": 2 << 40, "2 k": 2 << 10, "0": 0, "0m": 0, "1024t": maxRate,
		"1.5m": 3 << 19, ".5k": -1, "0.001m": 1048,
		"": -1, "k": -1, "m10": -1, "-5m": -1, "+5m": -1, "5x": -1, "2kb": -1, "0x100": -1, "1e9": -1, "1_000k": -1, "inf": -1, "nan": -1, "5mm": -1, "10": -1, "1025t": -1,
		"99999999999999999999999t": -1, "1.2.3m": -1, "5%": -1,
	} {
		got, err := parseRate(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

// What a limit is told to have cost is the time in which anybody waited for it, with one connection or many, and
// none while there is less to send than it allows.
func TestTheTimeThatIsWaitedForARateIsKnown(t *testing.T) {
	for _, c := range []struct {
		name  string
		links int
		idle  time.Duration // of each link, after each write
		want  float64       // part of the time
	}{
		{"one connection", 1, 0, 1},
		{"ten at once", 10, 0, 1},
		{"one that has less to send than may go", 1, 110 * time.Millisecond, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := newRateLimit(10 << 20)
				began := time.Now()
				var links sync.WaitGroup
				for range c.links {
					links.Go(func() {
						l := newLimitedLink(&sink{}, limit)
						for range 20 {
							if _, err := l.Write(make([]byte, 1<<20)); err != nil {
								t.Error(err)
							}
							time.Sleep(c.idle)
						}
					})
				}
				links.Wait()
				if part := float64(limit.waited.Load()) / float64(time.Since(began)); math.Abs(part-c.want) > 0.06 {
					t.Errorf("waited for %g of the time, want %g", part, c.want)
				}
			})
		})
	}
}
