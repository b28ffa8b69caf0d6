package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A node is one mariadbd of a demo's cluster.
type node struct {
	*mariadb
	name  string
	dir   string // data directory, logs
	sock  string
	ports struct{ sql, group, ist, sst int }
	bin   string // where our program is
}

func newNode(f *mariadbd.Folder, m *mariadb, name, bin string) (*node, error) {
	n := &node{mariadb: m, name: name, dir: f.Path(name), sock: f.Path(name, "sock"), bin: bin}
	const most = 107 // bytes of a socket's path (sockaddr_un)
	if len(n.sock) > most {
		return nil, mariadbd.Advise(fmt.Errorf("socket %s: the path is longer than %d bytes", n.sock, most), mariadbd.HintTemp)
	}
	for _, dir := range []string{n.dir, n.path("data"), n.path("tmp")} {
		if err := errors.Join(os.Mkdir(dir, 0o750), m.own(dir)); err != nil {
			return nil, err
		}
	}
	for _, port := range []*int{&n.ports.sql, &n.ports.group, &n.ports.ist, &n.ports.sst} {
		var err error
		if *port, err = mariadbd.FreePort(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// configure writes the option file of a member of the cluster that others make up,
// too.
func (n *node) configure(c *mariadbd.Certificates, weight int, others ...*node) error {
	members := []string{fmt.Sprintf("%s:%d", mariadbd.Host, n.ports.group)}
	for _, o := range others {
		members = append(members, fmt.Sprintf("%s:%d", mariadbd.Host, o.ports.group))
	}
	lines := []string{
		"[mysqld]",
		"datadir=" + n.path("data"), "socket=" + n.sock, "pid_file=" + n.path("pid"), "log_error=" + n.path("error.log"), "tmpdir=" + n.path("tmp"),
		"bind_address=" + mariadbd.Host, "port=" + strconv.Itoa(n.ports.sql), "skip_name_resolve",
		"binlog_format=ROW", "innodb_autoinc_lock_mode=2",
		// Small, and quick to start; what is lost with the power is no loss here.
		"innodb_buffer_pool_size=128M", "innodb_log_file_size=48M", "innodb_flush_log_at_trx_commit=0", "aria_log_file_size=8M", "performance_schema=OFF",
		"wsrep_on=ON", "wsrep_provider=" + n.galera,
		fmt.Sprintf(`wsrep_provider_options="gmcast.listen_addr=tcp://%s:%d;ist.recv_addr=%s:%d;pc.weight=%d;gcache.size=64M"`,
			mariadbd.Host, n.ports.group, mariadbd.Host, n.ports.ist, weight),
		"wsrep_cluster_address=gcomm://" + strings.Join(members, ","), "wsrep_cluster_name=" + filepath.Base(filepath.Dir(n.dir)),
		"wsrep_node_name=" + n.name, "wsrep_node_address=" + mariadbd.Host,
		"wsrep_sst_method=rsync_tunnel", fmt.Sprintf("wsrep_sst_receive_address=%s:%d", mariadbd.Host, n.ports.sst),
		"", "[sst]", "tca=" + c.All, "tcert=" + c.Bundles[n.name], "progress=" + n.path("progress"), "",
	}
	if err := n.own(c.Bundles[n.name]); err != nil {
		return err
	}
	return mariadbd.WriteFile(n.path("my.cnf"), []byte(strings.Join(lines, "\n")), 0o644)
}

// create makes the database of a new server.
func (n *node) create(ctx context.Context) error {
	args := []string{"--no-defaults", "--datadir=" + n.path("data"), "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-log-file-size=48M", "--aria-log-file-size=8M"}
	if n.switched {
		args = append(args, "--user="+n.userName)
	}
	cmd := exec.CommandContext(ctx, n.install, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+n.path("tmp"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		const most = 2000 // its advice comes last, and is long
		err = fmt.Errorf("%s: %w\n%.*s", n.install, err, most, out)
		if n.switched {
			return mariadbd.Advise(err, "if it was not permitted something: the user "+n.userName+" has to be able to enter the temporary directory; else "+mariadbd.HintTemp)
		}
		return err
	}
	return nil
}

// stopLimit is how long a server may take to stop in good order.
const stopLimit = time.Minute

// run starts mariadbd, calls f, and stops mariadbd. The context of f ends when
// mariadbd does. When run returns nothing of the server is left.
func (n *node) run(ctx context.Context, args []string, f func(context.Context) error) error {
	early, err := os.OpenFile(n.path("stderr.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer early.Close()
	cmd := exec.Command(n.server, append([]string{"--defaults-file=" + n.path("my.cnf")}, args...)...)
	cmd.Dir, cmd.SysProcAttr = n.path("data"), n.process()
	cmd.Env = []string{"PATH=" + n.bin + ":" + n.mariadb.path, "TMPDIR=" + n.path("tmp"), "HOME=" + n.dir}
	cmd.Stdout, cmd.Stderr = early, early
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start mariadbd of %s: %w", n.name, err)
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	var ending error
	var waiting sync.WaitGroup
	waiting.Go(func() {
		ending = cmd.Wait()
		close(ended)
		cancel(fmt.Errorf("mariadbd of %s has ended: %s", n.name, cmd.ProcessState))
	})
	err = f(inner)
	if err == nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // one that has ended shows below
		select {
		case <-ended:
		case <-time.After(stopLimit):
			err = fmt.Errorf("mariadbd of %s does not stop within %v", n.name, stopLimit)
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	} else if inner.Err() != nil {
		err = context.Cause(inner)
	}
	// With it goes an SST that still runs.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	waiting.Wait()
	if err == nil && ending != nil {
		err = fmt.Errorf("mariadbd of %s was told to stop: %w", n.name, ending)
	}
	return err
}

// A query is given to the client program, which waits at most so long for a
// connection.
const connectLimit = "5"

// query runs statements and gives the rows, columns separated by tabs.
func (n *node) query(ctx context.Context, statements string) ([]string, error) {
	cmd := exec.CommandContext(ctx, n.client, "--no-defaults", "--socket="+n.sock, "--user=root", "--connect-timeout="+connectLimit,
		"--batch", "--skip-column-names", "--default-character-set=utf8mb4")
	cmd.Stdin = strings.NewReader(statements)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s (in %.100s)", n.name, err, strings.TrimSpace(complaint.String()), statements)
	}
	text := strings.TrimSuffix(string(out), "\n")
	if text == "" {
		return nil, nil
	}
	return strings.Split(text, "\n"), nil
}

// value is the only value of a query.
func (n *node) value(ctx context.Context, statement string) (string, error) {
	rows, err := n.query(ctx, statement)
	if err != nil {
		return "", err
	}
	if len(rows) != 1 {
		return "", fmt.Errorf("%s: %d rows from %.100s", n.name, len(rows), statement)
	}
	return rows[0], nil
}

// eventually asks until the answer is want, at most for limit. An error is an
// answer, too: a server that starts has no socket yet.
func (n *node) eventually(ctx context.Context, limit time.Duration, statement, want string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	last := ""
	for {
		got, err := n.value(ctx, statement)
		if err == nil && got == want {
			return nil
		}
		if ctx.Err() == nil {
			last = got
			if err != nil {
				last = err.Error()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return cause
			}
			return fmt.Errorf("%s: %q after %v, should be %q", n.name, last, limit, want)
		}
	}
}

// joinLimit is how long a node may take to become a member, without what copying
// takes.
const joinLimit = 2 * time.Minute

// synced waits until the node is a full member and serves.
func (n *node) synced(ctx context.Context, megabytes int) error {
	return n.eventually(ctx, joinLimit+limit(megabytes),
		"SELECT GROUP_CONCAT(variable_value ORDER BY variable_name) FROM information_schema.global_status "+
			"WHERE variable_name IN ('wsrep_local_state_comment', 'wsrep_ready')", "Synced,ON")
}

// logged finds the last line of the error log, from byte `from` on, that has a text.
func (n *node) logged(from int64, text string) (string, bool) {
	content, err := os.ReadFile(n.path("error.log"))
	if err != nil || int64(len(content)) < from {
		return "", false
	}
	found := ""
	for line := range strings.Lines(string(content[from:])) {
		if strings.Contains(line, text) {
			found = strings.TrimSpace(line)
		}
	}
	return found, found != ""
}

// logSize marks a place in the error log.
func (n *node) logSize() int64 {
	info, err := os.Stat(n.path("error.log"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// tail is the end of both logs, and what SST programs said before it.
func (n *node) tail(out io.Writer) {
	const lines = 20
	early, _ := os.ReadFile(n.path("stderr.log"))
	log, _ := os.ReadFile(n.path("error.log"))
	text := string(early) + string(log)
	if text == "" {
		return // it never ran
	}
	said := ""
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "WSREP_SST:") {
			said += line
		}
	}
	fmt.Fprintf(out, "\nwhat %s's SST programs said last:\n%s\n", n.name, lastLines(said, lines))
	fmt.Fprintf(out, "\nthe end of %s's error log:\n%s\n", n.name, lastLines(text, lines))
}

// lastLines is the end of a text, indented.
func lastLines(text string, n int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return "    " + strings.Join(all[max(0, len(all)-n):], "\n    ")
}
