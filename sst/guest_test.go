package sst

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// niceSource tells with what priority it was read.
type niceSource struct {
	*bytes.Reader
	nice, io, threads *atomic.Int64
}

func (s niceSource) ReadAt(p []byte, off int64) (int, error) {
	// The system call gives 20 - nice.
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid()); err == nil {
		s.nice.Store(int64(20 - n))
	}
	if n, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioprioWhoProcess, 0, 0); errno == 0 {
		s.io.Store(int64(n))
	}
	return s.Reader.ReadAt(p, off)
}

func (niceSource) Close() error             { return nil }
func (niceSource) Stat() (ext.Stamp, error) { return ext.Stamp{}, nil }

func TestAGuestReadsWithLowPriority(t *testing.T) {
	before, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(0)
	s := niceSource{bytes.NewReader([]byte("content")), new(atomic.Int64), new(atomic.Int64), nil}
	b := make([]byte, 7)
	if n, err := g.wrap(s).ReadAt(b, 0); n != 7 || err != nil || string(b) != "content" {
		t.Fatalf("%q, %d, %v", b, n, err)
	}
	g.close()
	if s.nice.Load() != guestNice || s.io.Load() != guestIO {
		t.Errorf("read with nice %d and I/O priority %#x", s.nice.Load(), s.io.Load())
	}
	if after, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()); err != nil || after != before {
		t.Errorf("the process itself has %d now, it had %d", after, before)
	}
}

func TestTheRateIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := rateLimit{rate: 1000}
		began := time.Now()
		for range 11 {
			if err := l.take(t.Context(), 500); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("5500 bytes at 1000 a second, the last 500 begun after %v", d)
		}
		// What was not used is not saved up.
		time.Sleep(time.Hour)
		began = time.Now()
		for range 3 {
			l.take(t.Context(), 500)
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("after a pause, 1500 bytes took %v", d)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		cancel(stop)
		if err := l.take(ctx, 1); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
}
