package sst

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

func TestWhenTheRoundsEnd(t *testing.T) {
	const mib = 1 << 20
	some := func(size int64) []*counted { return []*counted{{stamp: ext.Stamp{Size: size}, src: &selected{}}} }
	for _, c := range []struct {
		name   string
		rounds int
		t      tally
		before int64
		rest   int64
		gone   bool // from the page cache
		took   time.Duration
		guess  int64 // 0: none can be made
		ends   bool
	}{
		{name: "nothing has changed", rounds: 1, t: tally{sent: 500 * mib}, ends: true},
		{name: "small files have changed", rounds: 1, t: tally{sent: 500 * mib}, rest: 10 * mib, ends: true},
		{name: "a large file has changed, and nobody knows how much of it", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib},
		{name: "a large file has changed a little", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, guess: 12 * mib, ends: true},
		{name: "a large file has changed a lot", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, guess: 300 * mib},
		{name: "a little, but it would come from the disk under the lock", rounds: 1, t: tally{sent: 500 * mib}, rest: 2000 * mib, gone: true, guess: 4 * mib},
		{name: "the second round sent little", rounds: 2, t: tally{read: 2000 * mib, sent: 4 * mib}, before: 500 * mib, rest: 2000 * mib, guess: 300 * mib, ends: true},
		{name: "the second round sent a lot", rounds: 2, t: tally{read: 2000 * mib, sent: 100 * mib}, before: 500 * mib, rest: 2000 * mib, guess: 300 * mib},
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
			if why := co.enough(c.t, c.before, due, c.took, func() (int64, bool) { return c.guess, c.guess > 0 }); (why != "") != c.ends {
				t.Errorf("it ends: %q, want an end: %v", why, c.ends)
			}
		})
	}
}

// A table that is written to all the time is read whole in each round: a sample of it tells
// whether that is worth it.
func TestASampleTellsWhetherAnotherRoundIsWorthIt(t *testing.T) {
	const size, page = 64 << 20, 16 << 10
	for _, c := range []struct {
		name  string
		pages int64 // that are written to again and again
		says  string
	}{
		{"a few pages change", 4, "by a sample, about "},
		{"all pages change", size / page, "round 2 before the lock: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			donor, joiner := newCluster(t).pair("precopy-rlimit=40m")
			f, err := os.Create(filepath.Join(donor.dir, "db1", "big.ibd"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			content := make([]byte, size)
			rand.NewChaCha8([32]byte{}).Read(content)
			if _, err := f.Write(content); err != nil {
				t.Fatal(err)
			}
			var writing sync.WaitGroup
			stop := make(chan struct{})
			writing.Go(func() {
				for i := int64(0); ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					off := i % c.pages * page
					content[off]++
					if _, err := f.WriteAt(content[off:off+page], off); err != nil {
						t.Error(err)
					}
					if i%64 == 0 {
						pause(t.Context(), time.Millisecond)
					}
				}
			})
			donor.donate(joiner.ready(), "")
			donor.expect("flush tables")
			close(stop)
			writing.Wait()
			complete(donor, joiner)
			donor.says(c.says)
			if got, err := os.ReadFile(filepath.Join(joiner.dir, "db1", "big.ibd")); err != nil || !bytes.Equal(got, content) {
				t.Errorf("what arrived differs, %v", err)
			}
		})
	}
}
