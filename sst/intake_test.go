package sst

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

var (
	alice = tls.Peer{CommonName: "alice", Fingerprint: "aa", Addr: "10.0.0.1:1000"}
	bob   = tls.Peer{CommonName: "bob", Fingerprint: "bb", Addr: "10.0.0.1:1001"}
)

// again is the same peer on another connection.
func again(p tls.Peer) tls.Peer {
	p.Addr = "10.0.0.9:9999"
	return p
}

func isWhole(i *intake) bool {
	select {
	case <-i.whole:
		return true
	default:
		return false
	}
}

func noGivingUp(t *testing.T) func(error) {
	return func(err error) { t.Errorf("gave up: %v", err) }
}

func TestIntakeBelongsToWhoeverBegins(t *testing.T) {
	i := newIntake(time.Hour, 0, "", noGivingUp(t))
	defer i.stop()
	for _, p := range []tls.Peer{alice, bob} { // looking costs nothing
		if err := i.enter(p); err != nil {
			t.Fatal(err)
		}
		i.leave()
	}
	if i.begun() || i.donor() != "nobody" {
		t.Errorf("begun by %s", i.donor())
	}
	if err := i.claim(bob); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"enters": i.enter(alice), "claims": i.claim(alice)} {
		if err == nil || !strings.Contains(err.Error(), "bob") {
			t.Errorf("alice %s: %v", name, err)
		}
	}
	if err := i.claim(again(bob)); err != nil {
		t.Error(err)
	}
	if err := i.enter(again(bob)); err != nil {
		t.Error(err)
	}
}

func TestIntakeWithoutCertificatesGoesByAddress(t *testing.T) {
	i := newIntake(time.Hour, 0, "", noGivingUp(t))
	defer i.stop()
	if err := i.claim(tls.Peer{Addr: "[fd00::1]:1000"}); err != nil {
		t.Fatal(err)
	}
	if err := i.enter(tls.Peer{Addr: "[fd00::1]:2000"}); err != nil {
		t.Error(err)
	}
	if err := i.enter(tls.Peer{Addr: "[fd00::2]:1000"}); err == nil {
		t.Error("another address got in")
	}
}

func TestIntakeHasAnEnd(t *testing.T) {
	i := newIntake(time.Hour, 0, "", noGivingUp(t))
	defer i.stop()
	for range maxSessions {
		if err := i.enter(alice); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.enter(alice); err == nil || !strings.Contains(err.Error(), "open already") {
		t.Errorf("one more: %v", err)
	}
	i.leave()
	if err := i.enter(alice); err != nil {
		t.Error(err)
	}
}

func TestIntakeIsWholeWhenTheMagicFileIsThereAndAllSessionsEnded(t *testing.T) {
	i := newIntake(time.Hour, 0, "", noGivingUp(t))
	defer i.stop()
	i.begin()
	i.begin()
	i.end("a", nil)
	i.beginMagic()
	if isWhole(i) || !i.closing() {
		t.Error("too early, or not seen to close")
	}
	i.endMagic(errors.New("broken"))
	if isWhole(i) || i.closing() {
		t.Error("a magic file that did not come")
	}
	i.beginMagic()
	i.endMagic(nil)
	if isWhole(i) {
		t.Error("whole while a session runs")
	}
	if err := i.enter(alice); err == nil {
		t.Error("a connection after the magic file")
	}
	i.end("b", nil)
	if !isWhole(i) || i.verdict() != nil {
		t.Errorf("whole: %t, %v", isWhole(i), i.verdict())
	}
}

func TestIntakeRemembersWhatFailed(t *testing.T) {
	i := newIntake(time.Hour, 0, "", noGivingUp(t))
	defer i.stop()
	for _, err := range []error{errors.New("disk full"), nil} {
		i.begin()
		i.end("db1", err)
		if (i.verdict() == nil) != (err == nil) {
			t.Errorf("after %v: %v", err, i.verdict())
		}
	}
	i.begin()
	i.end("db2", errors.New("disk full"))
	i.begin()
	i.end("db1", nil)
	if err := i.verdict(); err == nil || !strings.Contains(err.Error(), "db2") {
		t.Errorf("got %v", err)
	}
}

func TestIntakeTimeLimits(t *testing.T) {
	for _, c := range []struct {
		name           string
		silence, first time.Duration
		story          func(i *intake)
		want           time.Duration // 0: never
	}{
		{"nobody comes", time.Minute, time.Hour, func(*intake) {}, time.Hour},
		{"nobody comes, and there is no limit", time.Minute, 0, func(*intake) {}, 0},
		{"somebody looks and goes", time.Minute, time.Hour, func(i *intake) { i.enter(alice); i.leave() }, time.Hour},
		{"the donor comes and goes", time.Minute, time.Hour, func(i *intake) { i.enter(alice); i.claim(alice); i.leave() }, time.Minute},
		{"the donor stays", time.Minute, time.Hour, func(i *intake) { i.enter(alice); i.claim(alice) }, 0},
		{"one of two connections stays", time.Minute, time.Hour,
			func(i *intake) { i.enter(alice); i.enter(alice); i.claim(alice); i.leave() }, 0},
		{"the donor comes again", time.Minute, 0,
			func(i *intake) {
				i.enter(alice)
				i.claim(alice)
				i.leave()
				time.Sleep(50 * time.Second)
				i.enter(alice)
			}, 0},
		{"the donor comes again and goes", time.Minute, 0, func(i *intake) {
			i.enter(alice)
			i.claim(alice)
			i.leave()
			time.Sleep(50 * time.Second)
			i.enter(alice)
			i.leave()
		}, 110 * time.Second},
		{"all has come", time.Minute, 0,
			func(i *intake) { i.enter(alice); i.claim(alice); i.beginMagic(); i.endMagic(nil); i.leave() }, 0},
		{"there is no limit to silence", 0, 0, func(i *intake) { i.enter(alice); i.claim(alice); i.leave() }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var after atomic.Int64
				i := newIntake(c.silence, c.first, "", func(error) { after.Add(int64(time.Since(began))) })
				defer i.stop()
				c.story(i)
				time.Sleep(24 * time.Hour)
				if got := time.Duration(after.Load()); got != c.want {
					t.Errorf("gave up after %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestInParallel(t *testing.T) {
	items := make([]int, 100)
	for i := range items {
		items[i] = i
	}
	t.Run("does everything, so many at a time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var now, most, done atomic.Int64
			err := inParallel(t.Context(), 7, items, func(context.Context, int) error {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				done.Add(1)
				return nil
			})
			if err != nil || done.Load() != 100 || most.Load() != 7 {
				t.Errorf("%d done, %d at a time, %v", done.Load(), most.Load(), err)
			}
		})
	})
	t.Run("ends with the first error", func(t *testing.T) {
		broken := errors.New("broken")
		var started atomic.Int64
		err := inParallel(t.Context(), 4, items, func(ctx context.Context, n int) error {
			started.Add(1)
			if n == 2 {
				return broken
			}
			<-ctx.Done() // the others are under way and must be told
			return context.Cause(ctx)
		})
		if !errors.Is(err, broken) || started.Load() > 5 {
			t.Errorf("%v after %d", err, started.Load())
		}
	})
	t.Run("ends with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		err := inParallel(ctx, 2, items, func(ctx context.Context, n int) error {
			cancel(errServerGone)
			<-ctx.Done()
			return nil
		})
		if !errors.Is(err, errServerGone) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nothing to do", func(t *testing.T) {
		if err := inParallel(t.Context(), 4, []int(nil), nil); err != nil {
			t.Error(err)
		}
	})
}

func TestOwners(t *testing.T) {
	o := owners{uid: 4711, gid: 4712}
	for _, c := range []struct {
		name string
		id   uint32
		want uint32
	}{
		{"root", 77, 0}, // by name
		{"", 0, 4711},   // no name was sent
		{"nobody-has-this-name-here", 1000, 4711},    // a stranger
		{strings.Repeat("x", 300) + ":", 1000, 4711}, // nonsense
	} {
		if got := o.UID(c.id, c.name); got != c.want {
			t.Errorf("%q: uid %d", c.name, got)
		}
		if got := o.GID(c.id, c.name); got != c.want && got != c.want+1 {
			t.Errorf("%q: gid %d", c.name, got)
		}
	}
	dir := t.TempDir()
	if os.Getuid() == 0 {
		if err := os.Chown(dir, 123, 456); err != nil {
			t.Fatal(err)
		}
		if o, err := newOwners(openTestRoot(t, dir)); err != nil || o != (owners{123, 456}) {
			t.Errorf("%+v, %v", o, err)
		}
	}
}

func TestMoved(t *testing.T) {
	one := ext.Stamp{Dev: 1, Ino: 2, Size: 3, MtimeNs: 4, CtimeNs: 5}
	before := map[string]ext.Stamp{"same": one, "grown": one, "touched": one, "changed": one, "replaced": one, "gone": one}
	grown, touched, changed, replaced := one, one, one, one
	grown.Size, touched.MtimeNs, changed.CtimeNs, replaced.Ino = 4, 5, 6, 3
	now := map[string]ext.Stamp{"same": one, "grown": grown, "touched": touched, "changed": changed, "replaced": replaced, "new": {}}
	got := moved(before, now)
	if want := []string{"changed", "grown", "new", "replaced", "touched"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := some([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a b c d e and 2 more" {
		t.Errorf("got %q", got)
	}
}

func TestAmounts(t *testing.T) {
	for got, want := range map[string]string{
		bytesText(0): "0 bytes", bytesText(1023): "1023 bytes", bytesText(1536): "1.5 KiB", bytesText(5 << 40): "5.0 TiB",
		bytesText(1 << 62):                 "4.0 EiB",
		amount(300_000_000, 2*time.Second): fmt.Sprintf("%s in 2.0 s (150 MB/s)", bytesText(300_000_000)),
		rateText(1, 0):                     "1000000000000000 MB/s"[:4] + " MB/s",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
