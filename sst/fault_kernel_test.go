package sst

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// Errors that only a kernel gives: strace makes them, in a real run of the program.

// refusing is a command that runs the program with some system calls answered by an
// error. what is in strace's words; path, if it is not empty, limits it to a file.
func refusing(t *testing.T, what, path string) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("NOT TESTED: strace is not installed")
	}
	call, _, _ := strings.Cut(what, ":")
	command := fmt.Sprintf("%s -f -qq -o /dev/null -e trace=%s -e inject=%s", strace, call, what)
	if path != "" {
		command += fmt.Sprintf(" -P '%s'", path)
	}
	return command + " wsrep_sst_rsync_tunnel"
}

// readyAs is ready for a program of another name.
func (n *node) readyAs(program string) int {
	n.t.Helper()
	port := porttest.Free(n.t)
	n.startAs(program, fmt.Sprintf("--role 'joiner' --address 'localhost:%d' --parent $PPID --progress 0", port))
	n.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
	return port
}

// Whatever the joiner's file system answers, both sides say what and for which file, and
// mariadbd finds no InnoDB.
func TestTheJoinersDiskFails(t *testing.T) {
	for _, c := range []struct {
		name, what string
		file       string // that it happens to; "": any
		cause      string
	}{
		{"quota", "pwrite64:error=EDQUOT:when=2+", "db1/t.ibd", "disk quota exceeded"},
		{"EIO while writing", "pwrite64:error=EIO:when=2+", "db1/t.ibd", "input/output error"},
		{"EIO when all is written to the disk", "syncfs:error=EIO", "", "input/output error"},
		{"EIO at the last renames", "renameat2:error=EIO", "", "input/output error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			path := ""
			if c.file != "" {
				path = filepath.Join(joiner.dir, c.file)
			}
			port := joiner.readyAs(refusing(t, c.what, path))
			donor.donate(port, "")
			if path == "" { // the donor does not notice any more
				donor.expect("flush tables")
				donor.flushed(42)
				donor.expect("continue")
				donor.expect("done " + testUUID + ":42 0")
				donor.exit(0)
				joiner.end()
				joiner.isFailed()
			} else {
				donor.end()
				donor.isFailed()
				donor.says("[ERROR]", c.cause, filepath.Base(c.file))
				joiner.fails(exitPipe)
				joiner.says(filepath.Base(c.file))
			}
			joiner.says("[ERROR]", c.cause, "datadir incomplete")
			joiner.noInnoDB()
			theNextOneSucceeds(donor, joiner)
		})
	}
}

// A donor's file that cannot be read: once is no more than a line, always ends the SST
// with its name on both sides.
func TestTheDonorsDiskFails(t *testing.T) {
	t.Run("once", func(t *testing.T) {
		donor, joiner := newCluster(t).pair()
		port := joiner.ready()
		donor.startAs(refusing(t, "pread64:error=EIO:when=3", filepath.Join(donor.dir, "db1/t.ibd")), donorArgs(port, ""))
		donor.expect("flush tables")
		complete(donor, joiner)
		if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
			t.Error(diff)
		}
		donor.says("db1/t.ibd")
	})
	t.Run("always", func(t *testing.T) {
		donor, joiner := newCluster(t).pair()
		port := joiner.ready()
		donor.startAs(refusing(t, "pread64:error=EIO:when=3+", filepath.Join(donor.dir, "db1/t.ibd")), donorArgs(port, ""))
		donor.expect("flush tables")
		donor.flushed(42)
		donor.end()
		donor.isFailed()
		donor.says("[ERROR]", "db1/t.ibd", "input/output error")
		joiner.fails(exitPipe)
		joiner.says("gave up", "db1/t.ibd", "input/output error", "datadir incomplete")
		theNextOneSucceeds(donor, joiner)
	})
}

// A file of the donor's vanishes while it is copied: dropped before the lock, or a
// temporary table under it.
func TestAFileOfTheDonorsVanishes(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	w := newWire(t, joiner.ready())
	reached, release := w.holdAt(databaseBytes / 3)
	donor.donate(w.port(), "")
	reach(t, reached)
	for _, name := range []string{"db1/t.ibd", "db1/t#P#p0.ibd", "@0023odd/x.ibd"} {
		if err := os.Remove(filepath.Join(donor.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	release()
	donor.expect("flush tables")
	complete(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	donor.nothingLeft()
	joiner.nothingLeft()
}

// Container profiles answer EPERM where an old kernel says ENOSYS.
// The same towards a script, which is never told that all has come.
func TestTheDonorsDiskFailsTowardsAScript(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	donor.startAs(refusing(t, "pread64:error=EIO:when=3+", filepath.Join(donor.dir, "db1/t.ibd")), donorArgs(script.port, ""))
	donor.expect("flush tables")
	donor.flushed(42)
	donor.end()
	donor.isFailed()
	donor.says("[ERROR]", "t.ibd", "input/output error")
	if _, err := os.Stat(filepath.Join(script.dir, "rsync_tunnel_sst_complete")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the script was told that all has come: %v", err)
	}
}

func TestSystemCallsThatAreNotAllowed(t *testing.T) {
	for _, what := range []string{"pidfd_open:error=EPERM", "pidfd_open:error=ENOSYS", "landlock_create_ruleset:error=EPERM", "openat2:error=EPERM"} {
		t.Run(what, func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			port := joiner.readyAs(refusing(t, what, ""))
			donor.startAs(refusing(t, what, ""), donorArgs(port, ""))
			donor.expect("flush tables")
			complete(donor, joiner)
			if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			for _, n := range []*node{donor, joiner} {
				if strings.Contains(n.said(), "[ERROR]") || strings.Contains(strings.ToLower(n.said()), "[warning]") {
					t.Errorf("said\n%s", n.said())
				}
			}
		})
	}
}
