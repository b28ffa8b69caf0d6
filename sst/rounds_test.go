package sst

import (
	"os"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

func TestWhenTheRoundsEnd(t *testing.T) {
	const mib = 1 << 20
	some := func(size int64) []*counted { return []*counted{{stamp: ext.Stamp{Size: size}, src: &selected{}}} }
	for _, c := range []struct {
		name    string
		rounds  int
		t       tally
		before  int64
		rest    int64
		gone    bool // from the page cache
		took    time.Duration
		written int64
		ends    bool
	}{
		{name: "nothing has changed", rounds: 1, t: tally{sent: 500 * mib}, ends: true},
		{name: "small files have changed", rounds: 1, t: tally{sent: 500 * mib}, rest: 10 * mib, ends: true},
		{name: "a large file has changed, who knows how much of it", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib},
		{name: "a large file has changed a little", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, written: 40 * mib, ends: true},
		{name: "a large file has changed a lot", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, written: 300 * mib},
		{name: "a little, but it would come from the disk under the lock", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, gone: true, written: 40 * mib},
		{name: "the second round sent little", rounds: 2, t: tally{read: 2000 * mib, sent: 4 * mib}, before: 500 * mib, rest: 2000 * mib, written: 300 * mib, ends: true},
		{name: "the second round sent a lot", rounds: 2, t: tally{read: 2000 * mib, sent: 100 * mib}, before: 500 * mib, rest: 2000 * mib, written: 300 * mib},
		{name: "as many rounds as are allowed", rounds: 5, t: tally{sent: 500 * mib}, rest: 2000 * mib, ends: true},
		{name: "as much time as is allowed", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, took: time.Hour, ends: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			due := some(c.rest)
			if c.rest == 0 {
				due = nil
			}
			co := &copier{donor: &donor{run: &run{settings: &Settings{PrecopyRounds: 5, PrecopyMaxTime: time.Hour}}}, cache: newPageCache(0), rounds: c.rounds}
			if c.gone {
				co.cache.gave[due[0].path()] = true
			}
			if why := co.enough(c.t, c.before, due, c.took, c.written); (why != "") != c.ends {
				t.Errorf("it ends: %q, want an end: %v", why, c.ends)
			}
		})
	}
}

func TestWhatTheServerWritesIsCounted(t *testing.T) {
	const text = "rchar: 2011\nwchar: 300\nsyscr: 4\nsyscw: 1\nread_bytes: 8192\nwrite_bytes: 123456789012\ncancelled_write_bytes: 4096\n"
	if n, ok := writeBytes(text); n != 123456789012 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	for _, bad := range []string{"", "write_bytes", "write_bytes: much\n", "cancelled_write_bytes: 5\n"} {
		if n, ok := writeBytes(bad); ok {
			t.Errorf("%q: got %d", bad, n)
		}
	}
	var none *serverWrites
	if none.since(0) != 0 || openServerWrites(0) != nil || openServerWrites(1<<30) != nil {
		t.Error("somebody who is not there has written")
	}
	own := openServerWrites(os.Getpid())
	if own == nil {
		t.Skip("the kernel does not count what processes write")
	}
	defer own.close()
	if before, ok := own.total(); !ok || own.since(before+1) != 0 || own.since(0) != before {
		t.Errorf("our own: %d, %v", before, ok)
	}
}
