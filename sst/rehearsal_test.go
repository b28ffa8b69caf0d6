package sst

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// The torture towards joiners that take rsync's sessions only: rsync's own daemon, as
// both scripts start it, and this program in the clear, which speaks to whom it cannot
// know as a script does.
func TestTortureOfTheFilesWhileTheyAreCopiedToAScript(t *testing.T) {
	c := newCluster(t)
	first, n := tortures()
	var mu sync.Mutex
	skipped := 0
	t.Run("seeds", func(t *testing.T) {
		slots := make(chan struct{}, 8)
		for seed := first; seed < first+(n+3)/4; seed++ {
			for _, joiner := range []string{"rsync", "ours"} {
				t.Run(fmt.Sprintf("%s %d", joiner, seed), func(t *testing.T) {
					t.Parallel()
					if _, err := exec.LookPath("rsync"); err != nil && joiner == "rsync" {
						t.Skip("rsync is not installed")
					}
					slots <- struct{}{}
					defer func() { <-slots }()
					c := *c
					c.t = t
					n := scriptTorture(t, uint64(seed), &c, joiner)
					mu.Lock()
					defer mu.Unlock()
					skipped += n
				})
			}
		}
	})
	if n > 1 && skipped == 0 && !t.Failed() {
		t.Error("no file was ever skipped under the lock: the rules for that were not tried")
	}
}

// scriptTorture is [torture] for such a joiner.
func scriptTorture(t *testing.T, seed uint64, c *cluster, kind string) (skipped int) {
	t.Helper()
	donor, joiner := c.stockNode(), c.stockNode()
	h := &hand{t: t, dir: donor.dir, rnd: rand.New(rand.NewPCG(seed, 3)), next: map[string]int{}}
	h.make()
	locked, stopped := make(chan struct{}), make(chan struct{})
	seams := h.seams(stopped)
	program := []string{"wsrep_sst_rsync", "wsrep_sst_rsync_wan"}[h.rnd.IntN(2)]
	h.wait.Go(func() { h.keepWorking(locked, stopped) })
	port := porttest.Free(t)
	var into *tortured
	if kind == "rsync" {
		rsyncDaemon(t, joiner.dir, port)
	} else {
		into = startRunAs(t, joiner, realSeams(), program, fmt.Sprintf("--role joiner --address localhost:%d", port))
		into.expect(fmt.Sprintf("ready localhost:%d/rsync_sst", port))
	}
	from := startRunAs(t, donor, seams, program, strings.ReplaceAll(strings.ReplaceAll(donorArgs(port, ""), "'", ""), "rsync_tunnel_sst", "rsync_sst"))
	from.expect("flush tables")
	close(locked)
	<-h.quiet()
	donor.flushed(42)
	from.expect("continue")
	from.expect("done " + testUUID + ":42 0")
	from.exit(0)
	if into != nil {
		into.expect(testUUID + ":42 0")
		into.exit(0)
	} else if b, err := os.ReadFile(filepath.Join(joiner.dir, "rsync_sst_complete")); err != nil || !strings.HasPrefix(string(b), testUUID+":42 0\n") {
		t.Errorf("the magic file: %q, %v", b, err)
	}
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Errorf("seed %d: what the donor has (-), what the joiner has (+):\n%s\ndone meanwhile:\n%s\ndonor:\n%s", seed, diff, strings.Join(h.done, "\n"), donor.said())
	}
	if said := donor.said(); !strings.Contains(said, "round 1 before the lock: ") {
		t.Errorf("nothing was copied before the lock:\n%s", said)
	}
	return skippedBy(donor.said())
}

// rsyncDaemon starts rsync's daemon with the modules of the stock script.
func rsyncDaemon(t *testing.T, dir string, port int) {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "rsyncd.conf")
	text := "use chroot = no\nread only = no\ntimeout = 300\n"
	if os.Geteuid() == 0 {
		text += "uid = 0\ngid = 0\n"
	}
	for _, suffix := range []string{"", "-data_dir", "-log_dir", "-undo_dir", "-aria_log"} {
		text += fmt.Sprintf("[rsync_sst%s]\n    path = %s\n", suffix, dir)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("rsync", "--daemon", "--no-detach", "--address=127.0.0.1", fmt.Sprintf("--port=%d", port), "--config="+conf)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(unix.SIGTERM)
		daemon.Wait()
	})
	table := func() string { b, _ := os.ReadFile("/proc/net/tcp"); return string(b) }
	waitFor(t, "rsync to listen", func() bool { return strings.Contains(table(), fmt.Sprintf("0100007F:%04X 00000000:0000 0A", port)) })
}

// What the rules say of a copy made before the lock holds for a script's joiner, too: a
// file that rests is listed, and not sent; one that was changed, or is of a kind that may
// be mapped, is compared.
func TestUnderTheLockAScriptGetsWhatMayHaveChanged(t *testing.T) {
	c := newCluster(t)
	donor, joiner := c.stockNode(), c.stockNode()
	database(t, donor.dir)
	write(t, donor.dir, "db1/m.MYD", strings.Repeat("mapped", 1000))
	margin := 100 * time.Millisecond
	time.Sleep(2 * margin) // ages cannot be faked: the kernel sets ctime
	s := realSeams()
	s.tiny = 0
	s.skipping = func() skipping {
		s := newSkipping()
		s.margin = margin
		s.disks.kind = func(string) (int64, error) { return unix.EXT4_SUPER_MAGIC, nil }
		return s
	}
	port := porttest.Free(t)
	into := startRunAs(t, joiner, realSeams(), "wsrep_sst_rsync", fmt.Sprintf("--role joiner --address localhost:%d", port))
	into.expect(fmt.Sprintf("ready localhost:%d/rsync_sst", port))
	from := startRunAs(t, donor, s, "wsrep_sst_rsync", strings.ReplaceAll(strings.ReplaceAll(donorArgs(port, ""), "'", ""), "rsync_tunnel_sst", "rsync_sst"))
	from.expect("flush tables")
	write(t, donor.dir, "db1/t.ibd", strings.Repeat("changed", 1000))
	write(t, donor.dir, "new/t.ibd", "made after the copy")
	if err := os.RemoveAll(filepath.Join(donor.dir, "@0023odd")); err != nil {
		t.Fatal(err)
	}
	donor.flushed(42)
	from.expect("continue")
	from.expect("done " + testUUID + ":42 0")
	from.exit(0)
	into.expect(testUUID + ":42 0")
	into.exit(0)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	// In db1 p0, "with blank", the odd name and db.opt; user.frm, db.MYI and the empty log
	// of mysql; and db.opt of performance_schema.
	if n := skippedBy(donor.said()); n != 8 {
		t.Errorf("%d files were skipped under the lock:\n%s", n, donor.said())
	}
}

// Where it gains nothing, nothing is copied before the lock, and that is said.
func TestNothingIsRehearsedWhereItGainsNothing(t *testing.T) {
	for _, tt := range []struct{ name, program, setting, says string }{
		{"a small database that goes in whole files", "wsrep_sst_rsync", "", "nothing is copied before the lock: the database is small"},
		{"the same as a delta", "wsrep_sst_rsync_wan", "", "round 1 before the lock"},
		{"switched off", "wsrep_sst_rsync_wan", "precopy=off", "nothing is copied before the lock: precopy=off"},
		{"nobody is served", "wsrep_sst_rsync_wan", "[mysqld]\nwsrep_sst_donor_rejects_queries=ON", "nothing is copied before the lock: wsrep_sst_donor_rejects_queries is on"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			donor, joiner := c.stockNode(strings.Split(tt.setting, "\n")...), c.stockNode()
			database(t, donor.dir)
			stockWhole(donor, joiner, tt.program, inEnvironment)
			donor.saysOnce(tt.says)
			if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// mariadbd may take longer for its lock than a joiner waits for a donor that has begun: the
// donor shows itself meanwhile.
func TestAJoinerIsShownThatTheDonorWaits(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	for name, tt := range map[string]struct {
		show time.Duration
		ends bool
	}{"shown": {patience / 10, false}, "not shown": {time.Hour, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			donor, joiner := c.stockNode(), c.stockNode("sst-timeout=1")
			database(t, donor.dir)
			s := realSeams()
			s.tiny, s.show = 0, tt.show
			port := porttest.Free(t)
			into := startRunAs(t, joiner, realSeams(), "wsrep_sst_rsync", fmt.Sprintf("--role joiner --address localhost:%d", port))
			into.expect(fmt.Sprintf("ready localhost:%d/rsync_sst", port))
			from := startRunAs(t, donor, s, "wsrep_sst_rsync", strings.ReplaceAll(strings.ReplaceAll(donorArgs(port, ""), "'", ""), "rsync_tunnel_sst", "rsync_sst"))
			from.expect("flush tables")
			if tt.ends {
				into.exit(exitPipe)
				joiner.says("no connection from the donor", "for 1s")
				donor.flushed(42)
				from.exit(exitOther)
				return
			}
			<-time.After(3 * patience) // it is the time that is tested
			donor.flushed(42)
			from.expect("continue")
			from.expect("done " + testUUID + ":42 0")
			from.exit(0)
			into.expect(testUUID + ":42 0")
			into.exit(0)
		})
	}
}
