package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// outsideACluster makes servers of the nodes that are in no cluster, with binlogs.
func (c *cluster) outsideACluster() {
	for i, n := range []*node{c.donor, c.joiner} {
		n.conf.mysqld = append(n.conf.mysqld, "wsrep_on=OFF", "wsrep_provider=none", "wsrep_cluster_address=",
			"server_id="+strconv.Itoa(i+1), "log_bin=bin", "log_slave_updates=ON")
	}
}

// serving waits until the node answers.
func (n *node) serving(t *testing.T) {
	t.Helper()
	n.eventually(t, joinLimit, "serve", func(ctx context.Context) (bool, string) {
		err := n.db.PingContext(ctx)
		return err == nil, fmt.Sprint(err)
	})
}

// byHand prepares a command of the program that this node's user gives.
func (n *node) byHand(t *testing.T, args ...string) (cmd *exec.Cmd, log *strings.Builder) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), product(t), append(args, "--defaults-file="+n.path("my.cnf"))...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "TMPDIR=" + n.path("tmp")}
	cmd.SysProcAttr = n.owner.process()
	log = &strings.Builder{}
	cmd.Stderr = log
	return cmd, log
}

// receiving starts receive on this node and waits until it listens; address is what send is given, and lines are what
// receive prints from then on.
func (n *node) receiving(t *testing.T) (receive *exec.Cmd, lines *bufio.Reader, address string, said *strings.Builder) {
	t.Helper()
	n.writeOptionFile(t)
	receive, said = n.byHand(t, "receive", "--address", fmt.Sprintf("127.0.0.1:%d", n.ports.sst))
	stdout, err := receive.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receive.Start(); err != nil {
		t.Fatal(err)
	}
	lines = bufio.NewReader(stdout)
	ready, err := lines.ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(ready), "wsrep_sst_rsync_tunnel send ")
	if err != nil || !ok {
		t.Fatalf("receive says %q, %v\n%s", ready, err, said)
	}
	return receive, lines, address, said
}

// The way of docs/by-hand.md: a server is locked, its data goes to a host that has none, and what that
// prints is where it begins to replicate.
func TestAReplicaIsSeededFromALockedServer(t *testing.T) {
	t.Parallel()
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.outsideACluster()
	primary, replica := c.donor, c.joiner
	primary.start(t)
	primary.serving(t)
	primary.exec(t, small...)
	primary.exec(t, "CREATE USER repl@'127.0.0.1' IDENTIFIED BY 'secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'",
		"FLUSH BINARY LOGS", "INSERT INTO plain.ledger (k, v) SELECT seq, 'x' FROM seq_1_to_100")
	session, err := primary.db.Conn(t.Context()) // it stays open
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if _, err := session.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK"); err != nil {
		t.Fatal(err)
	}

	receive, lines, address, said := replica.receiving(t)

	// Nobody is asked to believe that a running server is locked.
	send, log := primary.byHand(t, "send", address)
	if err := send.Run(); err == nil || !strings.Contains(log.String(), "a server runs in it") || !strings.Contains(log.String(), "--locked") {
		t.Errorf("send from a running server: %v\n%s", err, log)
	}
	// A binlog checkpoint may be written even so, when InnoDB has synced: the position before it is as good.
	position := func() string {
		var file, ignored string
		var pos int64
		if err := primary.db.QueryRowContext(t.Context(), "SHOW MASTER STATUS").Scan(&file, &pos, &ignored, &ignored); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("gtid: %s\nbinlog: %s %d\n", primary.value(t, "SELECT @@gtid_binlog_pos"), file, pos)
	}
	before := position()
	send, log = primary.byHand(t, "send", "--locked", address)
	sent, err := send.Output()
	if err != nil {
		t.Fatalf("send: %v\n%s\n%s", err, log, said)
	}
	var got strings.Builder
	if _, err := lines.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if err := receive.Wait(); err != nil {
		t.Fatalf("receive: %v\n%s", err, said)
	}

	after := position()
	if string(sent) != before && string(sent) != after || got.String() != string(sent) {
		t.Errorf("the server is at\n%s, and then\n%s, send says\n%s, receive\n%s", before, after, sent, got.String())
	}
	gtid := primary.value(t, "SELECT @@gtid_binlog_pos")
	if _, err := session.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
		t.Fatal(err)
	}
	primary.exec(t, "INSERT INTO plain.ledger (k, v) SELECT seq, 'later' FROM seq_1_to_500", "CREATE TABLE plain.later (id INT PRIMARY KEY)")

	replica.start(t)
	replica.serving(t)
	replica.exec(t, "SET GLOBAL gtid_slave_pos = '"+gtid+"'",
		fmt.Sprintf("CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=%d, MASTER_USER='repl', MASTER_PASSWORD='secret', MASTER_USE_GTID=slave_pos", primary.ports.sql),
		"START SLAVE")
	target := primary.value(t, "SELECT @@gtid_binlog_pos")
	if got := replica.value(t, "SELECT MASTER_GTID_WAIT('"+target+"', 30)"); got != "0" {
		status, _ := replica.rows(t.Context(), "SHOW SLAVE STATUS")
		t.Fatalf("the replica does not reach %s: %s\n%v", target, got, status)
	}
	sameTables(t, primary, replica)
	replica.exec(t, "STOP SLAVE")
	replica.stop(t)
	primary.stop(t)

	// And what cannot work is refused in words.
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"receive"}, "is not empty: there is "},
		{[]string{"receive", "--datadir", "/nonexistent"}, "no such file or directory"},
	} {
		cmd, log := replica.byHand(t, c.args...)
		cmd.WaitDelay = time.Second
		if err := cmd.Run(); err == nil || !strings.Contains(log.String(), c.want) {
			t.Errorf("%v: %v, want %q\n%s", c.args, err, c.want, log)
		}
	}
}

// garbd takes part in a cluster without having its data, and can have a donor send them to whoever waits: a backup.
func TestGarbdFeedsAReceiver(t *testing.T) {
	t.Parallel()
	peers.Need(t, "garbd")
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.bootstrap(t)
	c.donor.exec(t, schema...)
	backup := c.joiner
	receive, lines, address, said := backup.receiving(t)
	var out strings.Builder
	w := whileWriting(t, c.donor, func() {
		ctx, cancel := context.WithTimeout(t.Context(), joinLimit)
		defer cancel()
		garbd := exec.CommandContext(ctx, "garbd", "--name", "backup", "--group", c.donor.conf.cluster, "--address", fmt.Sprintf("gcomm://127.0.0.1:%d", c.donor.ports.group),
			"--options", fmt.Sprintf("gmcast.listen_addr=tcp://127.0.0.1:%d", backup.ports.group), "--donor", c.donor.name, "--sst", "rsync_tunnel:"+address)
		garbd.Dir = backup.path("tmp")
		log, err := garbd.CombinedOutput()
		if err != nil {
			t.Fatalf("garbd: %v\n%s\n%s", err, log, said)
		}
		if _, err := lines.WriteTo(&out); err != nil {
			t.Fatal(err)
		}
		if err := receive.Wait(); err != nil {
			t.Fatalf("receive: %v\n%s", err, said)
		}
	})
	if w.stall > 5*time.Second {
		t.Errorf("a client of the donor waited for %v", w.stall)
	}
	if !strings.Contains(out.String(), "cluster position: ") {
		t.Errorf("receive does not print the position:\n%s", out.String())
	}
	// What came is a database: a server outside any cluster serves it.
	backup.conf.mysqld = append(backup.conf.mysqld, "wsrep_on=OFF", "wsrep_provider=none", "wsrep_cluster_address=")
	backup.start(t)
	backup.serving(t)
	rows := backup.value(t, "SELECT COUNT(*) FROM plain.ledger")
	backup.stop(t)
	if rows == "0" {
		t.Error("the backup has no rows")
	}
	c.donor.synced(t, joinLimit) // it is no donor any more
}
