package e2e

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// noPosition is what mariadbd says of a data directory that needs an SST.
const noPosition = "00000000-0000-0000-0000-000000000000:-1"

// recovered is the position that Debian's galera_recovery finds, which runs mariadbd --wsrep-recover for it, as the
// unit of the package does before each start. It changes the data directory: without InnoDB there it makes an empty one.
func (n *node) recovered(t *testing.T) string {
	t.Helper()
	position, said := n.tryRecovery(t)
	if position == "" {
		t.Fatalf("%s: galera_recovery finds no position:\n%s", n.name, said)
	}
	return position
}

// tryRecovery is recovered for a directory where that may fail: then the position is empty.
func (n *node) tryRecovery(t *testing.T) (position, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), peers.Need(t, "galera_recovery"), "--defaults-file="+n.path("my.cnf"))
	cmd.Dir, cmd.SysProcAttr = n.datadir, n.owner.process()
	cmd.Env = []string{"PATH=" + peers.Path(), "TMPDIR=" + n.path("tmp"), "HOME=" + n.dir}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	position, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "--wsrep_start_position=")
	if err != nil || !ok {
		return "", stderr.String() + string(out)
	}
	return position, stderr.String()
}

// joinsUnaided does what systemd does when it starts the node again: galera_recovery, and mariadbd with what that says.
func (c *cluster) joinsUnaided(t *testing.T, position string) {
	t.Helper()
	began := time.Now()
	c.joiner.start(t, "--wsrep_start_position="+position)
	c.joiner.synced(t, joinLimit)
	c.samePosition(t)
	t.Logf("joined unaided after %.1f s", time.Since(began).Seconds())
	c.tidy(t)
}

// resetJoiner gives the joiner another data directory: a copy of one, or an empty one.
func (c *cluster) resetJoiner(t *testing.T, from string) {
	t.Helper()
	command(t, "rm", "-rf", c.joiner.datadir)
	if from != "" {
		command(t, "cp", "-a", from, c.joiner.datadir)
		return
	}
	if err := os.Mkdir(c.joiner.datadir, 0o750); err != nil {
		t.Fatal(err)
	}
	c.joiner.owner.own(t, c.joiner.datadir)
}
