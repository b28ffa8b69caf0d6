package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// node is one mariadbd: its directory, its option file, and the process while it runs.
type node struct {
	name     string
	dir      string // holds all the rest; its path is short, since it holds a socket
	datadir  string
	programs string // folder that its PATH begins with: where its SST program is
	lastPath string // folder at the end of its PATH, if any
	owner    owner
	server   server
	ports    struct{ sql, group, ist, sst int }
	conf     conf
	run      *running
	db       *sql.DB
}

// conf is what tests vary in a node's option file.
type conf struct {
	cluster string   // name of the cluster
	peers   []int    // group ports of all nodes
	method  string   // wsrep_sst_method
	weight  int      // of this node in quorum votes
	host    string   // wsrep_sst_receive_address without its port; 127.0.0.1 if empty
	mysqld  []string // further lines of [mysqld]
	sst     []string // lines of [sst]
}

// running is one run of mariadbd.
type running struct {
	cmd   *exec.Cmd
	pid   int
	ended chan struct{} // closed when the process is gone
	err   error         // of Wait, valid once ended is closed
}

func newNode(t *testing.T, dir, name string) *node {
	t.Helper()
	n := &node{name: name, dir: filepath.Join(dir, name), owner: serverUser(t)}
	n.datadir = filepath.Join(n.dir, "data")
	for _, d := range []string{n.dir, n.datadir, n.path("tmp")} {
		n.mkdir(t, d)
	}
	n.ports.sql, n.ports.group, n.ports.ist, n.ports.sst = porttest.Free(t), porttest.Free(t), porttest.Free(t), porttest.Free(t)
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "unix", n.path("sock"), "mysql"
	cfg.InterpolateParams = true
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = 5*time.Second, time.Minute, time.Minute
	cfg.Logger = silent{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.db = sql.OpenDB(connector)
	t.Cleanup(func() {
		n.db.Close()
		n.kill(t)
		if t.Failed() {
			t.Logf("the end of %s's error log:\n%s", n.name, n.logTail(80))
		}
	})
	return n
}

// silent keeps the driver from printing each connection that a stopping server drops.
type silent struct{}

func (silent) Print(...any) {}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// data is a path in the data directory.
func (n *node) data(name string) string { return filepath.Join(n.datadir, name) }

func (n *node) mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	n.owner.own(t, dir)
}

// write puts a file there as mariadbd's user would have.
func (n *node) write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o660); err != nil {
		t.Fatal(err)
	}
	n.owner.own(t, path)
}

func (n *node) writeOptionFile(t *testing.T) {
	t.Helper()
	var members []string
	for _, p := range n.conf.peers {
		members = append(members, fmt.Sprintf("127.0.0.1:%d", p))
	}
	host := n.conf.host
	if host == "" {
		host = "127.0.0.1"
	}
	provider := []string{
		fmt.Sprintf("gmcast.listen_addr=tcp://127.0.0.1:%d", n.ports.group),
		fmt.Sprintf("ist.recv_addr=127.0.0.1:%d", n.ports.ist),
		fmt.Sprintf("pc.weight=%d", n.conf.weight),
		"gcache.size=64M",
	}
	lines := []string{
		"[mysqld]",
		"datadir=" + n.datadir,
		"socket=" + n.path("sock"),
		"pid_file=" + n.path("pid"),
		"log_error=" + n.path("error.log"),
		"tmpdir=" + n.path("tmp"),
		"bind_address=127.0.0.1",
		"port=" + strconv.Itoa(n.ports.sql),
		"skip_name_resolve",
		"character_set_server=utf8mb4",
		"performance_schema=OFF",
		"binlog_format=ROW",
		"innodb_autoinc_lock_mode=2",
		"innodb_buffer_pool_size=64M",
		"innodb_log_file_size=16M",
		"innodb_flush_log_at_trx_commit=0",
		"aria_log_file_size=8M",
		"wsrep_on=ON",
		"wsrep_provider=" + n.server.galera(t),
		"wsrep_provider_options=\"" + strings.Join(provider, ";") + "\"",
		"wsrep_cluster_address=gcomm://" + strings.Join(members, ","),
		"wsrep_cluster_name=" + n.conf.cluster,
		"wsrep_node_name=" + n.name,
		"wsrep_node_address=127.0.0.1",
		"wsrep_slave_threads=2",
		"wsrep_sst_method=" + n.conf.method,
		fmt.Sprintf("wsrep_sst_receive_address=%s:%d", host, n.ports.sst),
	}
	lines = append(lines, n.server.settings()...)
	lines = append(lines, n.conf.mysqld...)
	lines = append(lines, "", "[sst]")
	lines = append(lines, n.conf.sst...)
	n.write(t, n.path("my.cnf"), strings.Join(lines, "\n")+"\n")
}

// start runs mariadbd and returns at once.
func (n *node) start(t *testing.T, args ...string) {
	t.Helper()
	if n.run != nil {
		n.kill(t) // two servers in one directory would prove nothing
	}
	n.writeOptionFile(t)
	cmd := exec.Command(n.server.program(t, "mariadbd"), append([]string{"--defaults-file=" + n.path("my.cnf")}, args...)...)
	cmd.Dir = n.datadir
	cmd.Env = []string{"PATH=" + n.programs + ":" + peers.Path() + ":" + n.lastPath, "TMPDIR=" + n.path("tmp"), "HOME=" + n.dir, "LANG=C.UTF-8"}
	cmd.SysProcAttr = n.owner.process()
	cmd.SysProcAttr.Chroot = n.server.root
	early, err := os.OpenFile(n.path("stderr.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	cmd.Stdout, cmd.Stderr = early, early
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", n.name, err)
	}
	r := &running{cmd: cmd, pid: cmd.Process.Pid, ended: make(chan struct{})}
	go func() { // waited for in kill, which every node's cleanup calls
		r.err = cmd.Wait()
		close(r.ended)
	}()
	n.run = r
}

// stop ends mariadbd in good order.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop %s: %v", n.name, err)
	}
	n.awaitEnd(t, time.Minute)
	if n.run.err != nil {
		t.Errorf("%s was asked to stop and ended with: %v", n.name, n.run.err)
	}
	n.leftovers(t)
}

// awaitEnd waits for the process to end by itself.
func (n *node) awaitEnd(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case <-n.run.ended:
	case <-time.After(limit):
		t.Fatalf("%s still runs after %v", n.name, limit)
	}
}

// kill ends mariadbd and whatever it started, if it still runs.
func (n *node) kill(t *testing.T) {
	if n.run == nil {
		return
	}
	if err := syscall.Kill(-n.run.pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Errorf("kill %s: %v", n.name, err)
	}
	<-n.run.ended
}

// leftovers fails the test if a process of the ended node's group outlives it by more than a few seconds: an SST
// program has to end when its mariadbd does.
func (n *node) leftovers(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		left := groupMembers(n.run.pid)
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s has ended but left processes behind:\n%s", n.name, left)
			return
		}
	}
}

// synced waits until the node is a full member and serves.
func (n *node) synced(t *testing.T, limit time.Duration) {
	t.Helper()
	n.eventually(t, limit, "become a synced member", func(ctx context.Context) (bool, string) {
		state, err := n.status(ctx, "wsrep_local_state_comment")
		if err != nil {
			return false, err.Error()
		}
		ready, err := n.status(ctx, "wsrep_ready")
		if err != nil {
			return false, err.Error()
		}
		return state == "Synced" && ready == "ON", fmt.Sprintf("state %s, wsrep_ready %s", state, ready)
	})
}

// status is one row of SHOW GLOBAL STATUS.
func (n *node) status(ctx context.Context, name string) (string, error) {
	var key, value string
	err := n.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE '"+name+"'").Scan(&key, &value)
	return value, err
}

const poll = 50 * time.Millisecond

// eventually asks again and again until the answer is yes. It fails the test at the limit, when mariadbd ends, or
// shortly before the whole test run would be cut off, always with the last state seen.
func (n *node) eventually(t *testing.T, limit time.Duration, what string, ask func(context.Context) (bool, string)) {
	t.Helper()
	if end, ok := t.Deadline(); ok {
		limit = min(limit, time.Until(end)-20*time.Second)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for {
		done, state := ask(ctx)
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-n.run.ended:
			t.Fatalf("%s should %s but its mariadbd has ended: %v", n.name, what, n.run.err)
		case <-ctx.Done():
			t.Fatalf("%s did not %s within %v; last: %s", n.name, what, limit, state)
		}
	}
}

// log is the error log from byte `from` on.
func (n *node) log(from int64) string {
	content, err := os.ReadFile(n.path("error.log"))
	if err != nil || int64(len(content)) < from {
		return ""
	}
	return string(content[from:])
}

// logSize marks a place in the error log, for log.
func (n *node) logSize() int64 {
	info, err := os.Stat(n.path("error.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

func (n *node) logTail(lines int) string {
	early, _ := os.ReadFile(n.path("stderr.log"))
	all := strings.Split(string(early)+n.log(0), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
