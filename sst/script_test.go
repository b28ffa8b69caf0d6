package sst

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// A script at the other side speaks TLS without ALPN, which is what socat does, and
// plain rsync in it. Here the test plays the script; the real ones are in e2e.

func (c *cluster) scriptTLS() *tls.Config {
	c.t.Helper()
	file := c.certificate("localhost", true)
	pair, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		c.t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert}
}

// scriptPush is one rsync run of the tunnel script.
func scriptPush(t *testing.T, c *tls.Config, port int, src transfer.Source, o transfer.PushOptions) error {
	t.Helper()
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = transfer.Push(t.Context(), conn, src, o)
	return err
}

// base are the options of the script's runs.
func base(module, path string, rules *filter.List) transfer.PushOptions {
	return transfer.PushOptions{
		Module: module, Path: path, Rules: rules, Delete: true, WholeFile: true, Inplace: true, IgnoreTimes: true,
		Owner: true, Group: true, Perms: true, Links: true, Specials: true,
	}
}

// scriptRuns are T1 to T3 of script-sessions.md.
func scriptRuns(t *testing.T, c *tls.Config, port int, dir string) {
	t.Helper()
	root := openTestRoot(t, dir)
	run := func(root *os.Root, recursive bool, module, path string, rules ...string) {
		t.Helper()
		list, err := filter.Parse(rules...)
		if err != nil {
			t.Fatal(err)
		}
		src, err := transfer.NewDirSource(root, transfer.DirSourceOptions{Rules: list, Recursive: recursive, Links: true, Specials: true})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		o := base(module, path, list)
		o.Recursive, o.Dirs = recursive, !recursive
		if err := scriptPush(t, c, port, src, o); err != nil {
			t.Fatal(err)
		}
	}
	run(root, false, "rsync_tunnel_sst", "", "- /lost+found", "- /.fseventsd", "- /.Trashes", "+ /wsrep_sst_binlog.tar",
		"+ /ib_lru_dump", "+ /ibdata*", "+ /*/", "- /*")
	run(root, false, "rsync_tunnel_sst-log_dir", "", "+ /ib_logfile[0-9]*", "- **")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			run(openTestRoot(t, filepath.Join(dir, e.Name())), true, "rsync_tunnel_sst", "./"+e.Name()+"/", "- */ib_logfile*")
		}
	}
}

func scriptMagic(t *testing.T, c *tls.Config, port int) error {
	file := transfer.BytesFile([]byte(testUUID+":42 0\n"), 0o660, time.Now())
	return scriptPush(t, c, port, transfer.NewFileSource("rsync_tunnel_sst_complete", file), transfer.PushOptions{
		Module: "rsync_tunnel_sst", Recursive: true, Links: true, Perms: true, Times: true, Group: true, Owner: true,
		Devices: true, Specials: true, Checksum: true,
	})
}

// scriptState is what the tunnel script sends: it knows no undo and Aria logs.
func scriptState(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := state(t, dir)
	for name := range m {
		if strings.HasPrefix(name, "undo0") || strings.HasPrefix(name, "aria_log") {
			delete(m, name)
		}
	}
	return m
}

func TestScriptAsDonor(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	c := cluster.scriptTLS()
	write(t, joiner.dir, "ibdata1", "old")
	write(t, joiner.dir, "dropped/t.ibd", "old")
	port := joiner.ready()
	scriptRuns(t, c, port, donor.dir)
	if err := scriptMagic(t, c, port); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	if diff := cmp.Diff(scriptState(t, donor.dir), scriptState(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	joiner.nothingLeft()
	joiner.says("rsync_tunnel SST completed on joiner")
}

func TestScriptAsDonorOfAnIST(t *testing.T) {
	cluster := newCluster(t)
	_, joiner := cluster.pair()
	database(t, joiner.dir)
	same := untouched(joiner)
	if err := scriptMagic(t, cluster.scriptTLS(), joiner.ready()); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	joiner.says("rsync_tunnel IST completed on joiner")
	same()
}

// Once a donor has begun, nobody else with a valid certificate gets in.
func TestSSTBelongsToItsDonor(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	owner, other := cluster.scriptTLS(), cluster.scriptTLS()
	port := joiner.ready()
	scriptRuns(t, owner, port, donor.dir)
	if err := scriptMagic(t, other, port); err == nil {
		t.Fatal("another certificate completed the SST")
	}
	waitFor(t, "the refusal", func() bool { return strings.Contains(joiner.said(), "this SST belongs to") })
	if err := scriptMagic(t, owner, port); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
}

func TestMagicFileWithoutAState(t *testing.T) {
	for name, c := range map[string]struct {
		rules []string
		says  string
	}{
		"nothing of InnoDB has come": {[]string{"+ /*/", "- /*"}, "ibdata1 has not arrived"},
		"no redo log has come":       {[]string{"+ /ibdata*", "+ /*/", "- /*"}, "ib_logfile0 has not arrived"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donor, joiner := cluster.pair()
			list, err := filter.Parse(c.rules...)
			if err != nil {
				t.Fatal(err)
			}
			src, err := transfer.NewDirSource(openTestRoot(t, donor.dir), transfer.DirSourceOptions{Rules: list})
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			port, script := joiner.ready(), cluster.scriptTLS()
			o := base("rsync_tunnel_sst", "", list)
			o.Dirs = true
			if err := scriptPush(t, script, port, src, o); err != nil {
				t.Fatal(err)
			}
			if err := scriptMagic(t, script, port); err != nil {
				t.Fatal(err)
			}
			joiner.exit(exitPipe)
			joiner.says(c.says, "datadir incomplete")
		})
	}
}

// scriptJoiner is the tunnel script as joiner: two modules, no more. begin is called
// with each session.
type scriptJoiner struct {
	dir   string
	port  int
	begin func(s *transfer.Session)
	wrap  atomic.Pointer[func(net.Conn) net.Conn]
	stop  func()
}

func newScriptJoiner(t *testing.T, c *tls.Config) *scriptJoiner {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", c)
	if err != nil {
		t.Fatal(err)
	}
	j := &scriptJoiner{dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	store, err := transfer.NewDirStore(openTestRoot(t, j.dir), transfer.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := &transfer.Daemon{
		Modules: []transfer.Module{{Name: "rsync_tunnel_sst", Store: store}, {Name: "rsync_tunnel_sst-log_dir", Store: store}},
		Begin: func(_ context.Context, s *transfer.Session) error {
			if j.begin != nil {
				j.begin(s)
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				if wrap := j.wrap.Load(); wrap != nil {
					conn = (*wrap)(conn)
				}
				if _, err := d.Serve(ctx, conn); err != nil {
					t.Logf("script: %v", err)
				}
			})
		}
	})
	j.stop = func() { cancel(); l.Close(); work.Wait(); store.Close() }
	return j
}

func TestScriptAsJoiner(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	write(t, script.dir, "dropped/t.ibd", "old")
	donor.donate(script.port, "")
	donor.expect("flush tables")
	donor.flushed(42)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":42 0")
	donor.exit(0)
	donor.says("a script")
	if b, err := os.ReadFile(filepath.Join(script.dir, "rsync_tunnel_sst_complete")); err != nil || string(b) != testUUID+":42 0\n" {
		t.Errorf("magic file %q, %v", b, err)
	}
	if diff := cmp.Diff(state(t, donor.dir), state(t, script.dir)); diff != "" {
		t.Error(diff)
	}
}

// heard keeps what a connection reads.
type heard struct {
	net.Conn
	mu  *sync.Mutex
	all *bytes.Buffer
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all.Write(p[:n])
	return n, err
}

// Under the lock a script's rsync is told to speak up sooner, so that a joiner that is
// only slow is not taken for one that is gone.
func TestAScriptIsToldToAnswerInTimeUnderTheLock(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair("precopy=off", "sst-timeout=100", "sst-timeout-locked=17")
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	var mu sync.Mutex
	var all bytes.Buffer
	listen := func(c net.Conn) net.Conn { return heard{c, &mu, &all} }
	script.wrap.Store(&listen)
	donor.donate(script.port, "")
	donor.expect("flush tables")
	donor.flushed(42)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":42 0")
	donor.exit(0)
	mu.Lock()
	defer mu.Unlock()
	// The last session is the magic file's, which no lock waits for any more.
	locked, free := []byte("--timeout=17\x00"), []byte("--timeout=100\x00")
	if n := bytes.Count(all.Bytes(), locked); n < 3 || bytes.Count(all.Bytes(), free) != 1 ||
		bytes.Index(all.Bytes(), free) < bytes.LastIndex(all.Bytes(), locked) {
		t.Errorf("told in %d sessions: %q", n, all.Bytes())
	}
}

// badOnce is a disk that fails the first reads of a file.
type badOnce struct {
	transfer.Source
	name string
	left *atomic.Int32
}

func (s badOnce) Open(name string) (transfer.SourceFile, error) {
	f, err := s.Source.Open(name)
	if err == nil && name == s.name {
		f = badFile{f, s.left}
	}
	return f, err
}

type badFile struct {
	transfer.SourceFile
	left *atomic.Int32
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if f.left.Add(-1) >= 0 {
		return 0, unix.EIO
	}
	return f.SourceFile.ReadAt(p, off)
}

// A read that fails under the lock is tried again before it is an error: rsync's own second
// try of the session fails here, too.
func TestAReadErrorTowardsAScriptIsTriedAgain(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	s := realSeams()
	var left atomic.Int32
	left.Store(2)
	s.source = func(src transfer.Source) transfer.Source { return badOnce{src, "db1/t.ibd", &left} }
	from := startRun(t, donor, s, strings.ReplaceAll(donorArgs(script.port, ""), "'", ""))
	from.expect("flush tables")
	donor.flushed(42)
	from.expect("continue")
	from.expect("done " + testUUID + ":42 0")
	from.exit(0)
	donor.says("once more, and whole", "input/output error")
	if diff := cmp.Diff(state(t, donor.dir), state(t, script.dir)); diff != "" {
		t.Error(diff)
	}
}

func TestScriptAsJoinerThatCannotTakeOurPlaces(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	b, err := os.ReadFile(donor.cnf)
	if err != nil {
		t.Fatal(err)
	}
	undo := t.TempDir()
	write(t, undo, "undo001", "x")
	write(t, filepath.Dir(donor.cnf), "my.cnf", string(b)+"[mysqld]\ninnodb_undo_directory="+undo+"\n")
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	donor.donate(script.port, "")
	donor.exit(exitInvalid) // and its tables were never locked
	donor.says("innodb_undo_directory", "hint:")
}

// A transaction that was open before the lock may be rolled back under it.
func TestFilesThatChangeUnderTheLock(t *testing.T) {
	for name, c := range map[string]struct {
		times  int // that a file changes
		large  bool
		status int
		says   string
	}{
		"once":                          {1, false, 0, "databases of DIR (@0023odd db1 empty mysql performance_schema)"},
		"once, in a database by itself": {1, true, 0, "1 files of DIR/db1 changed while the tables were locked, sent again: t.ibd"},
		"a few times":                   {maxRounds - 2, false, 0, "sent again: db1/t.ibd"},
		"without end":                   {1000, false, exitOther, "of InnoDB go on changing while the tables are locked"},
		"never at all":                  {0, false, 0, "Transfer of data done"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donor, _ := cluster.pair("backup-threads=1")
			script := newScriptJoiner(t, cluster.scriptTLS())
			defer script.stop()
			if c.large { // no bundle has room for it
				write(t, donor.dir, "db1/large.ibd", strings.Repeat("large", 5<<20))
			}
			changes := 0
			script.begin = func(s *transfer.Session) {
				// The list of db1 is in: a change now is one that it does not have.
				if brings(s, "db1/t.ibd") && changes < c.times {
					changes++
					write(t, donor.dir, "db1/t.ibd", fmt.Sprintf("rolled back by %d", changes))
				}
			}
			donor.donate(script.port, "")
			donor.expect("flush tables")
			donor.flushed(42)
			if c.status == 0 {
				donor.expect("continue")
				donor.expect("done " + testUUID + ":42 0")
			}
			donor.exit(c.status)
			donor.says(strings.ReplaceAll(c.says, "DIR", donor.dir))
			if c.status != 0 {
				return
			}
			if diff := cmp.Diff(state(t, donor.dir), state(t, script.dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLogTablesMayGrowUnderTheLock(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	lines := 0
	script.begin = func(s *transfer.Session) {
		if brings(s, "mysql/general_log.CSV") {
			lines++
			write(t, donor.dir, "mysql/general_log.CSV", strings.Repeat("a line\n", lines))
		}
	}
	donor.donate(script.port, "")
	donor.expect("flush tables")
	donor.flushed(42)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":42 0")
	donor.exit(0)
	if strings.Contains(donor.said(), "sent again") {
		t.Errorf("a log table is followed:\n%s", donor.said())
	}
	if lines != 1 {
		t.Errorf("the log table came %d times", lines)
	}
}

// The tunnel script sends the system table space to the data directory, wherever
// the joiner keeps its own.
func TestScriptAsDonorFillsAnInnoDBHomeElsewhere(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	home := t.TempDir()
	write(t, home, "ibdata1", "old")
	write(t, home, newPrefix+"ibdata7", "of an attempt before")
	cnf, err := os.ReadFile(joiner.cnf)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(joiner.cnf), "my.cnf", string(cnf)+"\n[mysqld]\ninnodb_data_home_dir="+home+"\n")
	port, c := joiner.ready(), cluster.scriptTLS()
	scriptRuns(t, c, port, donor.dir)
	if err := scriptMagic(t, c, port); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	want, err := os.ReadFile(filepath.Join(donor.dir, "ibdata1"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(home, "ibdata1")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("ibdata1 in the InnoDB home: %d bytes, %v", len(got), err)
	}
	for _, name := range names(t, home) {
		if name == newPrefix+"ibdata7" || strings.HasPrefix(name, oldPrefix) {
			t.Errorf("%s is left in the InnoDB home", name)
		}
	}
	if _, err := os.Lstat(filepath.Join(joiner.dir, "ibdata1")); err == nil {
		t.Error("there is an ibdata1 in the data directory")
	}
	joiner.nothingLeft()
}
