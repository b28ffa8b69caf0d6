package sst

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
)

// This binary is also the program under test, and the mariadbd that starts it: the
// name decides.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "wsrep_sst_rsync_tunnel", "wsrep_sst_rsync", "wsrep_sst_rsync_wan":
		refuseCalls(os.Getenv(refuseEnv))
		os.Exit(Main(os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	case "mariadbd":
		cmd := exec.Command("sh", "-c", os.Args[1])
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		_ = cmd.Run() // the test looks at what the program leaves
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A cluster is what two nodes share: certificates, and a directory of the PATH.
type cluster struct {
	t    *testing.T
	path string
	ca   string
}

// sideBySide are the tests that run beside others.
var sideBySide sync.Map

// besideOthers lets tests with a cluster of their own run side by side: they mostly wait. Rows
// of a table take turns.
func besideOthers(t *testing.T) {
	if _, already := sideBySide.LoadOrStore(t.Name(), true); !already && !strings.Contains(t.Name(), "/") {
		t.Parallel()
	}
}

// firstRow is the subtest of each test that runs with -short.
var firstRow sync.Map

// oneRowOfATable skips all rows of a table but the first with -short. The race detector
// makes each process start slow, and the rows of a table run the same code; without it
// all of them run.
func oneRowOfATable(t *testing.T) {
	t.Helper()
	table, row, isRow := strings.Cut(t.Name(), "/")
	if !testing.Short() || !isRow {
		return
	}
	if first, _ := firstRow.LoadOrStore(table, row); first != row {
		t.Skipf("-short: only %s runs of %s", first, table)
	}
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	oneRowOfATable(t)
	besideOthers(t)
	c := &cluster{t: t, path: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"wsrep_sst_rsync_tunnel", "wsrep_sst_rsync", "wsrep_sst_rsync_wan", "mariadbd"} {
		if err := os.Symlink(self, filepath.Join(c.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	c.ca = filepath.Join(c.path, "all.crt")
	return c
}

// certificate makes a self-signed one and its key in one file; trusted adds it to
// what all nodes trust.
func (c *cluster) certificate(cn string, trusted bool) string {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	both := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), crt...)
	file := filepath.Join(c.path, serial.Text(16)+".pem")
	if err := os.WriteFile(file, both, 0o600); err != nil {
		c.t.Fatal(err)
	}
	old, _ := os.ReadFile(c.ca)
	if trusted || old == nil {
		if !trusted {
			crt = nil
		}
		if err := os.WriteFile(c.ca, append(old, crt...), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return file
}

// A node is a data directory with an option file, and the program while it runs.
type node struct {
	*cluster
	dir  string
	cnf  string
	cmd  *exec.Cmd
	env  []string            // besides ours
	user *syscall.Credential // nil: ours
	line chan string         // of stdout; closed at its end

	stderr *os.File // in place of the log, for the next run; nil: the log

	mu  sync.Mutex
	log bytes.Buffer
}

// node makes a node with a certificate. extra is put into [sst].
func (c *cluster) node(cert string, extra ...string) *node {
	c.t.Helper()
	n := &node{cluster: c, dir: c.t.TempDir()}
	n.cnf = filepath.Join(c.t.TempDir(), "my.cnf")
	write(c.t, filepath.Dir(n.cnf), "my.cnf", fmt.Sprintf("[mysqld]\ndatadir=%s\n[sst]\ntca=%s\ntcert=%s\n%s\n",
		n.dir, c.ca, cert, strings.Join(extra, "\n")))
	return n
}

func (n *node) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(p)
}

// said is what the program has written to the error log so far.
func (n *node) said() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// start runs the program as mariadbd does: below a mariadbd that can be killed, by a
// shell, with stdout a pipe. The shell tells the status, since mariadbd may be dead
// by then.
func (n *node) start(args string) {
	n.t.Helper()
	n.startAs("wsrep_sst_rsync_tunnel", args)
}

func (n *node) startAs(program, args string) {
	n.t.Helper()
	n.run(fmt.Sprintf("%s %s --datadir '%s/' --defaults-file '%s' --mysqld-args --wsrep-x=y; echo exit status $? >&2",
		program, args, n.dir, n.cnf))
}

func (n *node) run(command string) {
	n.t.Helper()
	n.mu.Lock()
	n.log.Reset()
	n.mu.Unlock()
	cmd := exec.Command(filepath.Join(n.path, "mariadbd"), command)
	cmd.Env = append(append(os.Environ(), "PATH="+n.path+":"+os.Getenv("PATH"), "TMPDIR="+n.path), n.env...)
	cmd.Dir = n.dir
	cmd.Stderr = n
	if n.stderr != nil {
		cmd.Stderr = n.stderr
	}
	// A process that outlives the test must not keep its pipes open for ever.
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: n.user}
	out, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.line = cmd, make(chan string, 100)
	go func() {
		defer close(n.line)
		for s := bufio.NewScanner(out); s.Scan(); {
			n.line <- s.Text()
		}
	}()
	n.t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		if n.t.Failed() {
			n.t.Logf("log of %s:\n%s", command, n.said())
		}
	})
}

// expect reads the next line of stdout.
func (n *node) expect(want string) {
	n.t.Helper()
	select {
	case got, ok := <-n.line:
		if !ok || got != want {
			n.t.Fatalf("stdout: %q (open: %t), want %q\n%s", got, ok, want, n.said())
		}
	case <-time.After(30 * time.Second):
		n.t.Fatalf("stdout: nothing for 30 s, want %q\n%s", want, n.said())
	}
}

// exit waits for the end and checks the status.
func (n *node) exit(want int) {
	n.t.Helper()
	n.end()
	if !strings.HasSuffix(n.said(), fmt.Sprintf("\nexit status %d\n", want)) {
		n.t.Fatalf("want exit status %d\n%s", want, n.said())
	}
}

// fails is exit for a joiner that leaves it to its mariadbd to end first.
func (n *node) fails(want int) {
	n.t.Helper()
	waitFor(n.t, "the joiner to wait for its mariadbd", func() bool { return strings.Contains(n.said(), "waiting for mariadbd to end") })
	n.cmd.Process.Kill()
	n.exit(want)
}

// end waits for the end; nothing more may come on stdout.
func (n *node) end() {
	n.t.Helper()
	select {
	case line, ok := <-n.line:
		if ok {
			n.t.Fatalf("stdout: %q, where nothing should come\n%s", line, n.said())
		}
	case <-time.After(30 * time.Second):
		n.t.Fatalf("does not end\n%s", n.said())
	}
	n.cmd.Wait()
}

// says checks that the log has each of the texts.
func (n *node) says(texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if !strings.Contains(n.said(), text) {
			n.t.Errorf("%q is not in the log:\n%s", text, n.said())
		}
	}
}

// flushed answers "flush tables" as mariadbd does, twice.
func (n *node) flushed(seqno int) {
	n.t.Helper()
	for range 2 {
		write(n.t, n.dir, flushedFile+".tmp", fmt.Sprintf("%s:%d 0\n", testUUID, seqno))
		if err := os.Rename(filepath.Join(n.dir, flushedFile+".tmp"), filepath.Join(n.dir, flushedFile)); err != nil {
			n.t.Fatal(err)
		}
	}
}

// database fills a data directory with what a donor has.
func database(t *testing.T, dir string) {
	t.Helper()
	for name, size := range map[string]int{
		"ibdata1": 3 << 20, "ib_logfile0": 2 << 20, "undo001": 1 << 20, "undo002": 1 << 20,
		"aria_log_control": 52, "aria_log.00000001": 8192, "ib_buffer_pool": 100, "ibtmp1": 1000,
		"server.err": 500, "server-key.pem": 500, "auto.cnf": 50,
		"mysql/user.frm": 900, "mysql/db.MYI": 2048, "mysql/general_log.CSV": 0,
		"db1/t.ibd": 5 << 20, "db1/t#P#p0.ibd": 1 << 20, "db1/with blank.ibd": 200_000, "db1/\xff\xfe.ibd": 100_000, "db1/db.opt": 65,
		"@0023odd/x.ibd": 300_000, "performance_schema/db.opt": 65,
	} {
		b := make([]byte, size)
		rand.Read(b)
		write(t, dir, name, string(b))
	}
	write(t, dir, grastateFile, grastateText(testUUID))
	if err := os.Mkdir(filepath.Join(dir, "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// state describes what an SST moves: name, type, permissions, content.
func state(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if !strings.Contains(name, "/") && !e.IsDir() {
			switch (plan.Places{}).KindOf(name) {
			case plan.System, plan.Undo, plan.Redo, plan.Aria:
			default:
				return nil
			}
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		out[name] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return err
			}
			out[name] += fmt.Sprintf(" %d bytes %x", len(b), sha256.Sum256(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// waitFor looks until something is so. It is for what another process does to the
// file system, which tells nobody.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-limit:
			t.Fatalf("waited 30 s for %s", what)
		case <-tick.C:
		}
	}
}
