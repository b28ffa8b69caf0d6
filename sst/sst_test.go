package sst

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// pair makes a donor with a database and a joiner, both with trusted certificates.
func (c *cluster) pair(extra ...string) (donor, joiner *node) {
	c.t.Helper()
	donor = c.node(c.certificate("localhost", true), extra...)
	joiner = c.node(c.certificate("localhost", true), extra...)
	database(c.t, donor.dir)
	return donor, joiner
}

// ready starts the joiner and returns its port.
func (n *node) ready() int {
	n.t.Helper()
	port := porttest.Free(n.t)
	n.start(fmt.Sprintf("--role 'joiner' --address 'localhost:%d' --parent $PPID --progress 0", port))
	n.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
	return port
}

// donate starts the donor for a joiner at port.
func (n *node) donate(port int, more string) {
	n.t.Helper()
	n.start(donorArgs(port, more))
}

func donorArgs(port int, more string) string {
	return fmt.Sprintf("--role 'donor' --address 'localhost:%d/rsync_tunnel_sst' --local-port 3306 --socket '/tmp/x.sock' --progress 0 "+
		"--gtid '%s:7' --gtid-domain-id 0 %s", port, testUUID, more)
}

// nothingLeft checks that no file of the program's own is left in the directory.
func (n *node) nothingLeft() {
	n.t.Helper()
	for _, name := range names(n.t, n.dir) {
		if strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, oldPrefix) ||
			slices.Contains([]string{pidFile, progressFile, flushedFile, failedFile, "rsync_tunnel_sst_complete"}, name) {
			n.t.Errorf("%s is left", name)
		}
	}
}

// complete is the rest of an SST whose donor has asked for the lock.
func complete(donor, joiner *node) {
	donor.t.Helper()
	donor.flushed(42)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":42 0")
	donor.exit(0)
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
}

// whole runs an SST to its end.
func whole(donor, joiner *node) {
	donor.t.Helper()
	port := joiner.ready()
	for _, name := range []string{pidFile, progressFile} {
		if _, err := os.Stat(filepath.Join(joiner.dir, name)); err != nil {
			joiner.t.Error(err)
		}
	}
	donor.donate(port, "")
	donor.expect("flush tables")
	complete(donor, joiner)
}

func TestSST(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, dir string)
	}{
		{"to an empty directory", func(*testing.T, string) {}},
		{"to a former member", func(t *testing.T, dir string) {
			database(t, dir)
			write(t, dir, grastateFile, grastateText(zeroUUID))
			write(t, dir, "undo003", "is not there on the donor")
			write(t, dir, "dropped/t.ibd", "was dropped meanwhile")
			write(t, dir, "db1/dropped.ibd", "was dropped meanwhile")
			write(t, dir, "aria_log.00000002", "is not there on the donor")
			write(t, dir, "rsync_tunnel_sst_complete", testUUID+":1 0\n") // of a killed SST
			write(t, dir, flushedFile, testUUID+":1 0\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := newCluster(t)
			donor, joiner := cluster.pair()
			c.prepare(t, joiner.dir)
			kept, _ := os.ReadFile(filepath.Join(joiner.dir, "server-key.pem"))
			write(t, donor.dir, flushedFile, testUUID+":1 0\n") // stale
			before := state(t, donor.dir)
			whole(donor, joiner)
			if diff := cmp.Diff(before, state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			os.Remove(filepath.Join(joiner.dir, flushedFile))
			donor.nothingLeft()
			joiner.nothingLeft()
			for _, stale := range []string{"ib_buffer_pool", "ibtmp1"} {
				if _, err := os.Lstat(filepath.Join(joiner.dir, stale)); err == nil {
					t.Errorf("%s meets new data", stale)
				}
			}
			if now, _ := os.ReadFile(filepath.Join(joiner.dir, "server-key.pem")); string(now) != string(kept) {
				t.Error("the joiner's key file was changed")
			}
			donor.says("rsync_tunnel SST started on donor", "Tables flushed at "+testUUID+":42 0 after", "joiner 127.0.0.1 (certificate CN=localhost) connected",
				"under its lock", "Sending continue to donor", "rsync_tunnel SST completed on donor")
			joiner.says("rsync_tunnel SST started on joiner", "listening on", "donor 127.0.0.1 (certificate CN=localhost) connected",
				"Galera co-ords from recovery: "+testUUID+":42 0", "rsync_tunnel SST completed on joiner")
			for _, n := range []*node{donor, joiner} {
				if strings.Contains(n.said(), "[ERROR]") || strings.Contains(n.said(), "[WARNING]") {
					t.Errorf("a good run complains:\n%s", n.said())
				}
			}
		})
	}
}

func TestIST(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	database(t, joiner.dir)
	before := names(t, joiner.dir)
	content := state(t, joiner.dir)
	joiner.ready()
	donor.donate(portOf(joiner), "--bypass")
	donor.expect("continue")
	donor.expect("done " + testUUID + ":7 0")
	donor.exit(0)
	joiner.expect(testUUID + ":7 0")
	joiner.exit(0)
	if diff := cmp.Diff(before, names(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(content, state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	donor.says("Bypassing state dump.", "rsync_tunnel IST completed on donor")
	joiner.says("rsync_tunnel IST completed on joiner")
}

// portOf reads the port from the command line that started the joiner.
func portOf(n *node) int {
	var port int
	_, after, _ := strings.Cut(n.cmd.Args[len(n.cmd.Args)-1], "localhost:")
	fmt.Sscanf(after, "%d", &port)
	return port
}

func TestWhatStaysWithTheDonorIsNamedOnce(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	write(t, donor.dir, "server-key.pem", "secret")
	write(t, donor.dir, "notes.txt", "mine")
	whole(donor, joiner)
	for _, line := range strings.Split(donor.said(), "\n") {
		if strings.Contains(line, "not sent:") && (!strings.Contains(line, "notes.txt") || !strings.Contains(line, "server-key.pem") || strings.Contains(line, pidFile)) {
			t.Errorf("got %s", line)
		}
	}
	if n := strings.Count(donor.said(), "not sent:"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

func TestALongListIsCut(t *testing.T) {
	if got := shortList([]string{"a", "b", "c"}, 2); got != "a, b and 1 more" {
		t.Errorf("got %s", got)
	}
}
