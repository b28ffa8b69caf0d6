package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A transfer that breaks in the middle leaves a data directory in which mariadbd sees no InnoDB at all: the next start
// takes a new SST. Each cut here starts from what the one before has left.
func TestBrokenTransferLeavesADirectoryThatTheNextStartRefills(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.bootstrap(t)
	c.donor.exec(t, schema...)
	c.join(t)
	c.joiner.stop(t)
	c.donor.exec(t, laterChanges...)
	c.makeStale(t)

	for _, cut := range []struct {
		name string
		cut  func(t *testing.T)
		// Whether node 2's mariadbd must end in good order. It aborts for two reasons: its SST program has ended, or the
		// donor has reported a failure. Both at the same moment crash it or hang it for ever, so a program that lives
		// through the failure has to leave the abort to the report, and wait for its mariadbd to end.
		orderly bool
	}{
		{"the donor's program is killed", func(t *testing.T) { c.donor.signalProgram(t, syscall.SIGKILL) }, true},
		{"the donor's program is asked to end", func(t *testing.T) { c.donor.signalProgram(t, syscall.SIGTERM) }, true},
		{"the joiner's program is killed", func(t *testing.T) { c.joiner.signalProgram(t, syscall.SIGKILL) }, false},
		{"the joiner's mariadbd is killed", func(t *testing.T) {
			if err := c.joiner.run.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}, false},
	} {
		story(t, cut.name, func(t *testing.T) {
			before := c.arrivals(t)
			c.joiner.start(t)
			defer c.joiner.kill(t)
			c.untilArriving(t, before)
			mark := c.joiner.logSize()
			cut.cut(t)
			if cut.orderly {
				c.joiner.awaitEnd(t, 25*time.Second)
				if strings.Contains(c.joiner.log(mark), "got signal 11") {
					t.Error("node 2's mariadbd crashed while it gave up: its SST program ended before it")
				}
			} else {
				select {
				case <-c.joiner.run.ended:
				case <-time.After(10 * time.Second):
					c.joiner.kill(t)
				}
			}
			c.joiner.leftovers(t)
			for _, name := range []string{"ibdata1", "ib_logfile0"} {
				if _, err := os.Lstat(c.joiner.data(name)); !os.IsNotExist(err) {
					t.Errorf("%s is in the joiner's data directory after a broken transfer (%v)", name, err)
				}
			}
			c.unlocked(t)
		})
	}
	story(t, "the next start refills it", func(t *testing.T) {
		c.joins(t)
		c.staleIsGone(t)
	})
}

// arrivals describes the files that are there under foreign names: they keep those until the transfer is whole.
func (c *cluster) arrivals(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(c.joiner.data(".wsrep_sst_new.*"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, f := range found {
		if info, err := os.Stat(f); err == nil {
			fmt.Fprintln(&out, f, info.Size(), info.ModTime())
		}
	}
	return out.String()
}

// untilArriving waits until such a file appears or changes.
func (c *cluster) untilArriving(t *testing.T, before string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if now := c.arrivals(t); now != "" && now != before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no file has arrived within 30 s, or the transfer was over too soon to be seen")
		}
	}
}

// signalProgram sends a signal to the node's SST program.
func (n *node) signalProgram(t *testing.T, s syscall.Signal) {
	t.Helper()
	text, err := os.ReadFile(n.data("wsrep_sst.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatalf("signal the SST program of %s: %v", n.name, err)
	}
}
