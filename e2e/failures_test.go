package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A failure is something that ends a transfer in the middle, on real nodes, and what has to be so afterwards.
type failure struct {
	name string
	// inject makes it happen while the transfer is held; with held it stays so.
	inject func(t *testing.T, c *cluster)
	held   bool
	// supervised: a program or server hangs afterwards, and a supervisor kills it.
	supervised func(t *testing.T, c *cluster)
	// donorEnds: the donor's mariadbd ends too, and is made the cluster again.
	donorEnds bool
	// arrives: the copy goes on without the one that was hit, and may be complete.
	arrives           bool
	onJoiner, onDonor []string // patterns that one line of the SST program's has to fit
}

var failures = []failure{
	{
		name:   "the donor's program is killed",
		inject: func(t *testing.T, c *cluster) { c.donor.signalProgram(t, syscall.SIGKILL) },
		// The donor's server tells the cluster, and the joiner's aborts, at times before its program has given up.
		onJoiner: []string{`\[ERROR\]`, `without giving a reason|has not come again|mariadbd, which started this SST, is gone`},
	},
	{
		name:     "the donor's program is asked to end",
		inject:   func(t *testing.T, c *cluster) { c.donor.signalProgram(t, syscall.SIGTERM) },
		onJoiner: []string{`\[ERROR\]`, `donor 127\.0\.0\.1.* gave up: ended by the signal terminated`},
		onDonor:  []string{`\[ERROR\]`, `ended by the signal terminated`},
	},
	{
		name:       "the donor's program is stopped",
		inject:     func(t *testing.T, c *cluster) { c.donor.signalProgram(t, syscall.SIGSTOP) },
		supervised: func(t *testing.T, c *cluster) { c.donor.signalProgram(t, syscall.SIGKILL) },
		onJoiner:   []string{`\[ERROR\]`, `donor 127\.0\.0\.1`},
	},
	{
		name:    "the joiner's program is asked to end",
		inject:  func(t *testing.T, c *cluster) { c.joiner.signalProgram(t, syscall.SIGTERM) },
		onDonor: []string{`\[ERROR\]`, `joiner 127\.0\.0\.1.* gave up: ended by the signal terminated`},
	},
	{
		name:       "the joiner's program is stopped",
		inject:     func(t *testing.T, c *cluster) { c.joiner.signalProgram(t, syscall.SIGSTOP) },
		supervised: func(t *testing.T, c *cluster) { c.joiner.kill(t) },
		onDonor:    []string{`\[ERROR\]`, `joiner 127\.0\.0\.1`},
	},
	{
		name:    "the joiner's mariadbd is killed",
		inject:  func(t *testing.T, c *cluster) { c.joiner.signalServer(t, syscall.SIGKILL) },
		onDonor: []string{`\[ERROR\]`, `joiner 127\.0\.0\.1.* gave up: mariadbd, which started this SST, is gone`},
	},
	{
		name:    "the joiner's mariadbd is asked to end",
		inject:  func(t *testing.T, c *cluster) { c.joiner.signalServer(t, syscall.SIGTERM) },
		arrives: true, // it waits for the SST first
	},
	{
		name:    "the joiner's mariadbd is stopped",
		inject:  func(t *testing.T, c *cluster) { c.joiner.signalServer(t, syscall.SIGSTOP) },
		arrives: true,
	},
	{
		name:    "the link is dead, without a word",
		inject:  func(*testing.T, *cluster) {},
		held:    true,
		onDonor: []string{`\[ERROR\]`, `joiner 127\.0\.0\.1`},
		// Both give up after the same time, and the joiner's server may hear from the cluster first that the donor has.
		onJoiner: []string{`\[ERROR\]`, `donor 127\.0\.0\.1|mariadbd, which started this SST, is gone`},
	},
	{
		name:      "the donor's mariadbd is killed",
		inject:    func(t *testing.T, c *cluster) { c.donor.signalServer(t, syscall.SIGKILL) },
		donorEnds: true,
		onJoiner:  []string{`\[ERROR\]`, `donor 127\.0\.0\.1.* gave up: mariadbd, which started this SST, is gone`},
	},
	{
		name:      "the donor's mariadbd is asked to end",
		inject:    func(t *testing.T, c *cluster) { c.donor.signalServer(t, syscall.SIGTERM) },
		donorEnds: true,
		onJoiner:  []string{`\[ERROR\]`, `donor 127\.0\.0\.1`},
	},
}

// impatient are time limits that a test can wait for.
var impatient = []string{"sst-timeout=3", "sst-timeout-locked=3", "sst-reconnect-timeout=1", "sst-reconnect-timeout-locked=1"}

// After each failure the tools that operators and systemd use are run, galera_recovery with mariadbd --wsrep-recover in
// it and an ordinary start, and join the node with nobody's help.
func TestAfterEachFailureTheNodeJoinsUnaided(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.sst = append(n.conf.sst, impatient...)
	}
	c.bootstrap(t)
	c.donor.exec(t, small...)
	r := c.throughRelay(t)
	whole := c.whatPasses(t, r, "")
	c.joiner.stop(t)
	t.Logf("%d bytes go to an empty directory", whole)

	for _, f := range failures {
		story(t, f.name, func(t *testing.T) {
			c.resetJoiner(t, "")
			marks := c.marks()
			reached := r.hold(whole / 2)
			c.joiner.start(t)
			defer c.joiner.kill(t)
			c.await(t, reached, "the copy to be half done")
			f.inject(t, c)
			if !f.held {
				r.release()
			}
			c.after(t, f, marks)
			r.release()
			position := c.joiner.recovered(t)
			if position != noPosition && !f.arrives {
				t.Errorf("galera_recovery says %s", position)
			}
			c.joinsUnaided(t, position)
			c.joiner.stop(t)
		})
	}
}

// after waits until the failure is over on both sides, and looks at what is said and left.
func (c *cluster) after(t *testing.T, f failure, m marks) {
	t.Helper()
	if f.supervised != nil { // the other side does not depend on that
		if f.onJoiner != nil {
			expectLine(t, c.joiner, m.joiner, []string{`\[ERROR\]`})
		} else {
			expectLine(t, c.donor, m.donor, []string{`\[ERROR\]`})
		}
		f.supervised(t, c)
	}
	if f.donorEnds {
		select {
		case <-c.donor.run.ended:
		case <-time.After(30 * time.Second):
			t.Log("the donor's mariadbd hangs in its shutdown, though its SST program has ended: killed, as a supervisor would") // seen with 10.11
			c.donor.kill(t)
		}
		c.donor.leftovers(t)
	}
	c.joinerIsGone(t)
	if !f.arrives {
		for _, name := range []string{"ibdata1", "ib_logfile0"} {
			if _, err := os.Lstat(c.joiner.data(name)); !os.IsNotExist(err) {
				t.Errorf("%s is in the joiner's data directory after a broken transfer (%v)", name, err)
			}
		}
	}
	expectLine(t, c.joiner, m.joiner, f.onJoiner)
	expectLine(t, c.donor, m.donor, f.onDonor)
	if f.donorEnds {
		c.bootstrapAgain(t)
	}
	c.unlocked(t)
}

// bootstrapAgain makes the donor the cluster again, as an operator does when all nodes are down.
func (c *cluster) bootstrapAgain(t *testing.T) {
	t.Helper()
	state, err := os.ReadFile(c.donor.data("grastate.dat"))
	if err != nil {
		t.Fatal(err)
	}
	c.donor.write(t, c.donor.data("grastate.dat"), strings.Replace(string(state), "safe_to_bootstrap: 0", "safe_to_bootstrap: 1", 1))
	c.bootstrap(t)
}

// signalServer sends a signal to a node's mariadbd alone.
func (n *node) signalServer(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := n.run.cmd.Process.Signal(s); err != nil {
		t.Fatalf("signal %s: %v", n.name, err)
	}
}

// The joiner's disk is a small one that somebody else fills up in the middle: the file and the cause are in both logs,
// and when there is room again the node joins.
func TestTheDiskOfARealJoinerIsFull(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.sst = append(n.conf.sst, impatient...)
	}
	c.joiner.conf.mysqld = []string{"innodb_log_file_size=4M"}
	c.bootstrap(t)
	c.donor.exec(t, small...)
	c.donor.exec(t, "CREATE TABLE plain.large (id INT PRIMARY KEY, v VARBINARY(1000))", "INSERT INTO plain.large SELECT seq, RANDOM_BYTES(900) FROM seq_1_to_20000")
	if err := unix.Mount("tmpfs", c.joiner.datadir, "tmpfs", 0, "size=260M"); err != nil {
		t.Skipf("NOT TESTED: mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		c.joiner.kill(t)
		if err := unix.Unmount(c.joiner.datadir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	c.joiner.owner.own(t, c.joiner.datadir)
	r := c.throughRelay(t)
	marks := c.marks()
	reached := r.hold(8 << 20)
	c.joiner.start(t)
	defer c.joiner.kill(t)
	c.await(t, reached, "the copy to have begun")
	filler := c.joiner.data("filler")
	exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=1M").Run() // until the disk is full, which is an error
	r.release()
	c.joinerIsGone(t)
	expectLine(t, c.joiner, marks.joiner, []string{`\[ERROR\]`, `no space left on device`, `\.ibd|ibdata1|ib_logfile0|undo|aria|\.frm|\.MA`})
	expectLine(t, c.donor, marks.donor, []string{`\[ERROR\]`, `no space left on device`, `\.ibd|ibdata1|ib_logfile0|undo|aria|\.frm|\.MA`})
	c.unlocked(t)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	position := c.joiner.recovered(t)
	if position != noPosition {
		t.Errorf("galera_recovery says %s", position)
	}
	c.joinsUnaided(t, position)
	c.joiner.stop(t)
	if left, _ := filepath.Glob(c.joiner.data(".wsrep_sst_*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
