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
	g := newPolite(0)
	s := niceSource{bytes.NewReader([]byte("content")), new(atomic.Int64), new(atomic.Int64), nil}
	b := make([]byte, 7)
	if n, err := g.wrap(s).ReadAt(b, 0); n != 7 || err != nil || string(b) != "content" {
		t.Fatalf("%q, %d, %v", b, n, err)
	}
	g.close()
	if s.nice.Load() != politeNice || s.io.Load() != politeIO {
		t.Errorf("read with nice %d and I/O priority %#x", s.nice.Load(), s.io.Load())
	}
	if after, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid()); err != nil || after != before {
		t.Errorf("the process itself has %d now, it had %d", after, before)
	}
}

func TestAGuestKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newPolite(10 << 10)
		defer g.close()
		began := time.Now()
		for range 20 {
			if err := g.pace(t.Context(), 10<<10); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(began); d < 19*time.Second || d > 21*time.Second {
			t.Errorf("20 seconds' worth took %v", d)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		cancel(stop)
		if err := g.pace(ctx, 10<<20); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
}
