package e2e

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// With the binary log on, the last of the donor's logs comes along and the joiner's own old ones go. The donor keeps
// its logs in the data directory, the joiner in a directory of its own. The nodes' names come from a CA here, and the
// joiner is known by a host name.
func TestNodeJoinsWithBinaryLogsAndGlobalTransactionIDs(t *testing.T) {
	t.Parallel()
	c := newCluster(t, method())
	c.fromAuthority(t, "localhost", "")
	c.joiner.conf.host = "localhost"
	logs := c.joiner.path("binlogs")
	c.joiner.mkdir(t, logs)
	c.donor.conf.mysqld = binlogOptions("node-bin", 1)
	c.joiner.conf.mysqld = binlogOptions(filepath.Join(logs, "node-bin"), 2)
	c.bootstrap(t)
	c.donor.exec(t, schema...)

	story(t, "an empty data directory gets the donor's last log", func(t *testing.T) {
		c.joins(t)
		c.binlogsArrived(t, logs)
	})
	story(t, "a stale data directory loses its old logs", func(t *testing.T) {
		c.joiner.stop(t)
		c.forgetState(t)
		c.joiner.write(t, filepath.Join(logs, "node-bin.000777"), "no longer true")
		c.joiner.write(t, filepath.Join(logs, "node-bin.index"), filepath.Join(logs, "node-bin.000777")+"\n")
		c.joins(t)
		c.binlogsArrived(t, logs)
		if _, err := os.Stat(filepath.Join(logs, "node-bin.000777")); !os.IsNotExist(err) {
			t.Errorf("the joiner's old log is still there (%v)", err)
		}
	})
	story(t, "after a short absence the node rejoins by IST", func(t *testing.T) {
		current, err := c.joiner.rows(t.Context(), "SHOW MASTER STATUS")
		if err != nil {
			t.Fatal(err)
		}
		c.rejoinsByIST(t)
		if _, err := os.Stat(filepath.Join(logs, strings.Fields(current[0])[0])); err != nil {
			t.Errorf("the log of before the IST: %v", err)
		}
	})
}

func binlogOptions(base string, server int) []string {
	return []string{
		"log_bin=" + base,
		"log_slave_updates=ON",
		fmt.Sprintf("server_id=%d", server),
		"wsrep_gtid_mode=ON",
		"wsrep_gtid_domain_id=100",
		fmt.Sprintf("gtid_domain_id=%d", server),
	}
}

// binlogsArrived checks files, index and contents of the joiner's binary logs, and that it goes on writing them.
func (c *cluster) binlogsArrived(t *testing.T, dir string) {
	t.Helper()
	listed, err := c.joiner.rows(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, row := range listed {
		named[strings.Fields(row)[0]] = true
	}
	files, err := filepath.Glob(filepath.Join(dir, "node-bin.[0-9]*"))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, f := range files {
		there[filepath.Base(f)] = true
	}
	if !maps.Equal(named, there) || len(named) < 2 {
		t.Fatalf("SHOW BINARY LOGS on the joiner lists %v, its directory has %v; want the same, the donor's last one and an own one",
			slices.Sorted(maps.Keys(named)), slices.Sorted(maps.Keys(there)))
	}
	index, err := os.ReadFile(filepath.Join(dir, "node-bin.index"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(index)) {
		if filepath.Dir(strings.TrimSpace(line)) != dir {
			t.Errorf("the joiner's index names %q, which is not in %s", strings.TrimSpace(line), dir)
		}
	}
	c.sameLog(t, dir, slices.Sorted(maps.Keys(named))[0])

	c.donor.exec(t, "INSERT INTO plain.ledger (k, v) VALUES (-2, 'for the log')")
	c.joiner.eventually(t, 10*time.Second, "log what the donor has logged", func(ctx context.Context) (bool, string) {
		const position = "SELECT @@gtid_binlog_pos"
		d, j := c.donor.value(t, position), c.joiner.value(t, position)
		return strings.Contains(d, "100-") && d == j, fmt.Sprintf("gtid_binlog_pos: donor %s, joiner %s", d, j)
	})
}

// sameLog compares a log that came from the donor with the donor's own, which may have grown since.
func (c *cluster) sameLog(t *testing.T, dir, name string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(c.donor.data(name))
	if err != nil {
		t.Fatalf("the joiner's oldest log is none of the donor's: %v", err)
	}
	if len(got) < 100 || len(want) < len(got) {
		t.Fatalf("%s has %d bytes on the joiner, %d on the donor", name, len(got), len(want))
	}
	want = want[:len(got)]
	const inUse = 21 // the flags of the first event: the server notes here that it has the log open
	got[inUse] = want[inUse]
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs between donor and joiner", name)
	}
	if _, err := c.joiner.rows(t.Context(), "SHOW BINLOG EVENTS IN '"+name+"' LIMIT 3"); err != nil {
		t.Errorf("the joiner cannot read the log it was sent: %v", err)
	}
}
