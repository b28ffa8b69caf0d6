package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// killPoints are the tenths (of eleven) of the copy at which the joiner is killed: all ten with E2E_LONG.
func killPoints() []int64 {
	if os.Getenv("E2E_LONG") != "" {
		return []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	}
	return []int64{1, 5, 10}
}

// The joiner's program is killed in the middle of the copy. What it leaves is no InnoDB at all for mariadbd: the tools
// that run before a start find the zero position, and the start after that joins, with nobody's help.
func TestJoinerKilledAtAnyPointOfTheCopy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.donor.conf.sst = append(c.donor.conf.sst, "sst-reconnect-timeout=1", "sst-reconnect-timeout-locked=1")
	c.bootstrap(t)
	c.donor.exec(t, small...)
	r := c.throughRelay(t)

	whole := c.whatPasses(t, r, "")
	c.joiner.stop(t)
	c.forgetState(t)
	former := c.joiner.path("former")
	command(t, "cp", "-a", c.joiner.datadir, former)
	c.donor.exec(t, "UPDATE plain.ledger SET v = RANDOM_BYTES(500)")
	again := c.whatPasses(t, r, former)
	c.joiner.stop(t)
	t.Logf("%d bytes go to an empty directory, %d to that of a former member", whole, again)

	for _, from := range []struct {
		name, dir string
		bytes     int64
	}{{"an empty directory", "", whole}, {"a former member", former, again}} {
		for _, point := range killPoints() {
			t.Run(fmt.Sprintf("%s at %d of 11", from.name, point), func(t *testing.T) {
				c.resetJoiner(t, from.dir)
				reached := r.hold(from.bytes * point / 11)
				c.joiner.start(t)
				defer c.joiner.kill(t)
				c.await(t, reached, "the copy to be at that point")
				c.joiner.signalProgram(t, syscall.SIGKILL)
				r.release()
				c.joinerIsGone(t)
				c.unlocked(t)
				position := c.joiner.recovered(t)
				if position != noPosition {
					t.Errorf("galera_recovery says %s", position)
				}
				c.joinsUnaided(t, position)
				c.joiner.stop(t)
			})
		}
	}
}

// whatPasses joins node 2 and says how many bytes went to it.
func (c *cluster) whatPasses(t *testing.T, r *relay, from string) int64 {
	t.Helper()
	c.resetJoiner(t, from)
	before := r.count()
	c.join(t)
	return r.count() - before
}

func (c *cluster) await(t *testing.T, reached <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-reached:
	case <-c.joiner.run.ended:
		t.Fatalf("waited for %s, and node 2's mariadbd has ended: %v", what, c.joiner.run.err)
	case <-time.After(joinLimit):
		t.Fatalf("waited %v for %s", joinLimit, what)
	}
}

// joinerIsGone waits for the end of a mariadbd whose SST program was killed. At times it hangs for ever (measured, with
// the stock scripts too): a supervisor would kill it then.
func (c *cluster) joinerIsGone(t *testing.T) {
	t.Helper()
	select {
	case <-c.joiner.run.ended:
	case <-time.After(10 * time.Second):
		c.joiner.kill(t)
	}
	c.joiner.leftovers(t)
}

// The joiner's program is killed between two renames, the first ones or the last ones: the child that makes them goes
// on. Afterwards there is no InnoDB, or the new one with its position; never a part of both.
func TestJoinerKilledBetweenRenames(t *testing.T) {
	t.Parallel()
	strace := peers.Need(t, "strace")
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.donor.conf.sst = append(c.donor.conf.sst, "sst-reconnect-timeout=1", "sst-reconnect-timeout-locked=1")
	c.bootstrap(t)
	c.donor.exec(t, small...)
	c.join(t)
	c.joiner.stop(t)
	c.forgetState(t)
	former := c.joiner.path("former")
	command(t, "cp", "-a", c.joiner.datadir, former)

	for _, at := range []struct {
		name, from string
		between    string // the file that is there then, beside none of the others
		zero       bool
	}{
		{"the first renames, of a former member", former, "ib_logfile0", true},
		{"the last renames, of a former member", former, "ib_logfile0", false},
		{"the last renames, in an empty directory", "", "ib_logfile0", false},
	} {
		t.Run(at.name, func(t *testing.T) {
			c.resetJoiner(t, at.from)
			c.joiner.script(t, fmt.Sprintf("exec '%s' -f -qq -o '%s' -e trace=renameat2 -e inject=renameat2:delay_enter=400000 '%s' \"$@\"",
				strace, c.joiner.path("tmp/trace"), product(t)))
			c.joiner.start(t)
			defer c.joiner.kill(t)
			if !at.zero && at.from != "" {
				c.untilNames(t, "the old files to be aside", nil)
			}
			c.untilNames(t, "a rename to be made, and another one not", []string{at.between})
			c.joiner.signalProgram(t, syscall.SIGKILL)
			if got := c.innoDB(t); !slices.Equal(got, []string{at.between}) {
				t.Fatalf("not killed between two renames: %v are there", got)
			}
			c.joinerIsGone(t)
			c.joiner.install(t, product(t))
			c.unlocked(t)
			position := c.joiner.recovered(t)
			if (position == noPosition) != at.zero {
				t.Errorf("galera_recovery says %s", position)
			}
			c.joinsUnaided(t, position)
			c.joiner.stop(t)
		})
	}
}

// untilNames waits until the files of InnoDB at the top are these.
func (c *cluster) untilNames(t *testing.T, what string, want []string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(joinLimit); !slices.Equal(c.innoDB(t), want); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s; there are %v", joinLimit, what, c.innoDB(t))
		}
	}
}

// innoDB are the files of InnoDB at the top of node 2's data directory, under their own names.
func (c *cluster) innoDB(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, pattern := range []string{"ibdata1", "ib_logfile0", "undo*"} {
		found, _ := filepath.Glob(c.joiner.data(pattern))
		for _, name := range found {
			out = append(out, filepath.Base(name))
		}
	}
	slices.Sort(out)
	return out
}
