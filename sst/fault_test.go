package sst

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// lockFirst makes the donor ask for the lock before it copies, and neither side wait for
// long for the other to come again.
var lockFirst = []string{"precopy=off", "sst-reconnect-timeout=0.5", "sst-reconnect-timeout-locked=0.5"}

// signal sends a signal to the program itself (or the shell that became it).
func (n *node) signal(s syscall.Signal) {
	n.t.Helper()
	if err := syscall.Kill(readPid(n.dir), s); err != nil {
		n.t.Fatal(err)
	}
}

// isFailed checks that the program has ended, and not with status 0.
func (n *node) isFailed() {
	n.t.Helper()
	if strings.Contains(n.said(), "exit status 0\n") || !strings.Contains(n.said(), "exit status ") {
		n.t.Errorf("no failure:\n%s", n.said())
	}
}

// untouched gives what to compare after a failure that must change nothing.
func untouched(n *node) (check func()) {
	n.t.Helper()
	before, content := names(n.t, n.dir), state(n.t, n.dir)
	return func() {
		n.t.Helper()
		if diff := cmp.Diff(before, names(n.t, n.dir)); diff != "" {
			n.t.Error(diff)
		}
		if diff := cmp.Diff(content, state(n.t, n.dir)); diff != "" {
			n.t.Error(diff)
		}
	}
}

// Whatever is wrong with certificates shows before the donor's tables are locked,
// on both sides, and costs the joiner nothing.
func TestCertificatesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name                  string
		donor, joiner         func(c *cluster) string
		donorSays, joinerSays string
	}{
		{
			name:      "the joiner does not trust the donor's",
			donor:     func(c *cluster) string { return c.certificate("localhost", false) },
			joiner:    func(c *cluster) string { return c.certificate("localhost", true) },
			donorSays: "does not know the authority that signed our certificate", joinerSays: "turned away",
		},
		{
			name:      "the joiner's bears another name",
			donor:     func(c *cluster) string { return c.certificate("localhost", true) },
			joiner:    func(c *cluster) string { return c.certificate("elsewhere", true) },
			donorSays: "elsewhere", joinerSays: "turned away",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := newCluster(t)
			joiner := cluster.node(c.joiner(cluster))
			donor := cluster.node(c.donor(cluster))
			database(t, donor.dir)
			database(t, joiner.dir)
			same := untouched(joiner)
			donor.donate(joiner.ready(), "")
			donor.end() // without a line on stdout
			donor.isFailed()
			donor.says("[ERROR]", c.donorSays)
			joiner.says(c.joinerSays)
			joiner.signal(syscall.SIGTERM)
			joiner.exit(exitSignal)
			joiner.says("datadir untouched")
			same()
			donor.nothingLeft()
		})
	}
}

func TestWrongFilesEndTheJoinerBeforeReady(t *testing.T) {
	cluster := newCluster(t)
	cluster.certificate("localhost", true)
	joiner := cluster.node("/nowhere/node.pem")
	joiner.start(fmt.Sprintf("--role joiner --address localhost:%d --parent $PPID", porttest.Free(t)))
	joiner.exit(exitInvalid)
	joiner.says("/nowhere/node.pem", "datadir untouched")
	joiner.nothingLeft()
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, joiner := newCluster(t).pair()
	joiner.start(fmt.Sprintf("--role joiner --address %s --parent $PPID", l.Addr()))
	joiner.exit(exitBusy)
	joiner.says("taken", "datadir untouched")
}

func TestSecondRunOnOneDirectory(t *testing.T) {
	cluster := newCluster(t)
	_, joiner := cluster.pair("sst-previous-timeout=0.2")
	joiner.ready()
	second := cluster.node(cluster.certificate("localhost", true), "sst-previous-timeout=0.2")
	second.dir = joiner.dir
	second.start(fmt.Sprintf("--role joiner --address localhost:%d --parent $PPID", porttest.Free(t)))
	second.exit(exitRunning)
	second.says("Previous SST is not completed", "hint:")
	if readPid(joiner.dir) == 0 {
		t.Error("the second run took the first one's pid file away")
	}
	joiner.signal(syscall.SIGHUP)
	joiner.exit(exitPipe)
	joiner.nothingLeft()
}

func TestJoinerThatWillNotTakeTheState(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	b, err := os.ReadFile(joiner.cnf)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(joiner.cnf), "my.cnf", string(b)+"[mysqld]\ninnodb_page_size=8k\n")
	database(t, joiner.dir)
	same := untouched(joiner)
	donor.donate(joiner.ready(), "")
	donor.end()
	donor.isFailed()
	donor.says("will not take this SST", "innodb_page_size")
	joiner.fails(exitPipe)
	joiner.says("innodb_page_size", "datadir untouched")
	same()
}

func TestMariadbdThatCannotLock(t *testing.T) {
	donor, joiner := newCluster(t).pair(lockFirst...)
	database(t, joiner.dir)
	write(t, joiner.dir, grastateFile, "")
	same := untouched(joiner)
	donor.donate(joiner.ready(), "")
	donor.expect("flush tables")
	write(t, donor.dir, failedFile, "")
	donor.exit(exitOther)
	donor.nothingLeft()
	joiner.fails(exitPipe)
	joiner.says("gave up: mariadbd could not flush", "datadir untouched")
	same()
}

func TestEndByASignalWhileTheDonorWaits(t *testing.T) {
	for s, status := range map[syscall.Signal]int{
		syscall.SIGTERM: exitSignal, syscall.SIGINT: exitSignal, syscall.SIGQUIT: exitSignal, syscall.SIGHUP: exitPipe,
	} {
		t.Run(s.String(), func(t *testing.T) {
			donor, joiner := newCluster(t).pair(lockFirst...)
			donor.donate(joiner.ready(), "")
			donor.expect("flush tables")
			donor.signal(s)
			donor.exit(status)
			donor.says("ended by the signal " + s.String())
			donor.nothingLeft()
			joiner.fails(exitPipe)
			joiner.says("gave up: ended by the signal "+s.String(), "datadir untouched")
			joiner.nothingLeft()
		})
	}
}

// mariadbd killed: nobody tells us, no pipe breaks, and an orphan that goes on
// would take the answer meant for the next SST.
func TestMariadbdKilled(t *testing.T) {
	t.Run("at the donor, while it waits for the lock", func(t *testing.T) {
		donor, joiner := newCluster(t).pair(lockFirst...)
		port := joiner.ready()
		donor.start(donorArgs(port, ""))
		donor.expect("flush tables")
		donor.cmd.Process.Kill()
		donor.exit(exitPipe)
		donor.says("mariadbd, which started this SST, is gone")
		donor.nothingLeft()
		joiner.fails(exitPipe)
		joiner.says("gave up: mariadbd, which started this SST, is gone", "datadir untouched")
	})
	t.Run("at the joiner, before anybody comes", func(t *testing.T) {
		_, joiner := newCluster(t).pair(lockFirst...)
		port := porttest.Free(t)
		joiner.start(fmt.Sprintf("--role joiner --address localhost:%d", port))
		joiner.expect(fmt.Sprintf("ready localhost:%d/rsync_tunnel_sst", port))
		joiner.cmd.Process.Kill()
		joiner.exit(exitPipe)
		joiner.says("mariadbd, which started this SST, is gone", "datadir untouched")
		joiner.nothingLeft()
	})
}

// slow makes a database whose copy does not end while a test looks.
func (n *node) slow() (file string) {
	n.t.Helper()
	f, err := os.Create(filepath.Join(n.dir, "db1/huge.ibd"))
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(200 << 30); err != nil { // a hole: it takes no room
		n.t.Fatal(err)
	}
	return f.Name()
}

// inTheMiddle brings both to where the data comes.
func inTheMiddle(donor, joiner *node) {
	donor.t.Helper()
	donor.slow()
	donor.donate(joiner.ready(), "")
	donor.expect("flush tables")
	donor.flushed(42)
	waitFor(donor.t, "the slow file", func() bool {
		_, err := os.Stat(filepath.Join(joiner.dir, "db1/huge.ibd"))
		return err == nil
	})
}

// noInnoDB checks that mariadbd finds no database at all in the directory.
func (n *node) noInnoDB() {
	n.t.Helper()
	for _, name := range []string{"ibdata1", "ib_logfile0", "undo001"} {
		if _, err := os.Lstat(filepath.Join(n.dir, name)); err == nil {
			n.t.Errorf("%s is there: mariadbd may take it for a good node", name)
		}
	}
}

// What a donor killed in the middle leaves must be no InnoDB for mariadbd, and a
// second attempt must not stumble over it.
func TestDonorKilledInTheMiddle(t *testing.T) {
	donor, joiner := newCluster(t).pair(lockFirst...)
	database(t, joiner.dir)
	write(t, joiner.dir, grastateFile, "")
	inTheMiddle(donor, joiner)
	donor.signal(syscall.SIGKILL)
	joiner.fails(exitPipe)
	joiner.says("SST failed on joiner: datadir incomplete: the next start takes a new SST")
	joiner.noInnoDB()
	for _, name := range []string{"ibdata1", "ib_logfile0", "undo001"} {
		if _, err := os.Lstat(filepath.Join(joiner.dir, oldPrefix+name)); err != nil {
			t.Error(err)
		}
	}
	if left := names(t, joiner.dir); slices.Contains(left, pidFile) || slices.Contains(left, progressFile) {
		t.Errorf("left: %q", left)
	}

	if err := os.Remove(filepath.Join(donor.dir, "db1/huge.ibd")); err != nil {
		t.Fatal(err)
	}
	write(t, joiner.dir, "ibdata1", "fresh, by mariadbd's recovery")
	whole(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	joiner.nothingLeft()
	donor.nothingLeft()
}

func TestJoinerKilledInTheMiddle(t *testing.T) {
	donor, joiner := newCluster(t).pair(lockFirst...)
	database(t, joiner.dir)
	write(t, joiner.dir, grastateFile, "")
	inTheMiddle(donor, joiner)
	joiner.signal(syscall.SIGKILL)
	donor.end() // no continue, no done
	donor.isFailed()
	donor.says("[ERROR]", "joiner 127.0.0.1")
	donor.nothingLeft()
	joiner.noInnoDB()
	joiner.end()

	// Nothing was cleaned up: the next run meets a pid file and a flag file.
	if err := os.Remove(filepath.Join(donor.dir, "db1/huge.ibd")); err != nil {
		t.Fatal(err)
	}
	whole(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	joiner.nothingLeft()
}

func TestSignalInTheMiddleIsToldToTheOtherSide(t *testing.T) {
	t.Run("from the donor", func(t *testing.T) {
		donor, joiner := newCluster(t).pair(lockFirst...)
		inTheMiddle(donor, joiner)
		donor.signal(syscall.SIGTERM)
		donor.exit(exitSignal)
		joiner.fails(exitPipe)
		joiner.says("gave up: ended by the signal terminated", "datadir incomplete")
	})
	t.Run("from the joiner", func(t *testing.T) {
		donor, joiner := newCluster(t).pair(lockFirst...)
		inTheMiddle(donor, joiner)
		joiner.signal(syscall.SIGTERM)
		joiner.exit(exitSignal)
		joiner.says("datadir incomplete")
		donor.end()
		donor.says("gave up: ended by the signal terminated")
	})
}

func TestBinlogsComeAlong(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	for n, text := range map[string]string{"mysqld-bin.000001": "first", "mysqld-bin.000002": "second"} {
		write(t, donor.dir, n, text)
	}
	write(t, donor.dir, "mysqld-bin.index", "./mysqld-bin.000001\n./mysqld-bin.000002\n")
	write(t, joiner.dir, "mysqld-bin.000009", "old")
	write(t, joiner.dir, "mysqld-bin.index", "./mysqld-bin.000009\n")
	for _, n := range []*node{donor, joiner} {
		b, err := os.ReadFile(n.cnf)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Dir(n.cnf), "my.cnf", string(b)+"[mysqld]\nlog_bin=mysqld-bin\n")
	}
	whole(donor, joiner)
	donor.says("Preparing binlog files for transfer: mysqld-bin.000002")
	joiner.says("extracted: 1 mysqld-bin.000002")
	if b, err := os.ReadFile(filepath.Join(joiner.dir, "mysqld-bin.000002")); err != nil || string(b) != "second" {
		t.Errorf("%q, %v", b, err)
	}
	left := names(t, joiner.dir)
	if slices.Contains(left, "mysqld-bin.000009") || slices.Contains(left, "wsrep_sst_binlog.tar") {
		t.Errorf("left: %q", left)
	}
	joiner.nothingLeft()
}

// A mariadbd that closes the pipe is no reason to die of SIGPIPE with everything
// left lying about.
func TestStdoutThatNobodyReads(t *testing.T) {
	_, joiner := newCluster(t).pair("landlock=off") // it runs in the process of the tests, which go on
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got := Main([]string{"wsrep_sst_rsync_tunnel", "--role", "joiner", "--address", fmt.Sprintf("localhost:%d", porttest.Free(t)),
		"--datadir", joiner.dir, "--defaults-file", joiner.cnf}, nil, null, w, log)
	text, _ := os.ReadFile(log.Name())
	if got != exitPipe || !strings.Contains(string(text), "broken pipe") {
		t.Errorf("status %d\n%s", got, text)
	}
	joiner.nothingLeft()
}

// The scripts see no settings at all then, and go on without certificates.
func TestBrokenOptionFilesEndBothRoles(t *testing.T) {
	for _, c := range []struct{ name, cnf, says string }{
		{"a group that does not end", "[mysqld]\nx=1\n[sst\ntca=/x\n", `my.cnf line 3: group without "]"`},
		{"an option before any group", "tca=/x\n[sst]\n", "my.cnf line 1: option before any [group]"},
		{"a directory that is not there", "[sst]\n!includedir /nowhere/conf.d\n", "my.cnf line 2: "},
		{"no such file", "", "my.cnf: no such file or directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := newCluster(t)
			for role, args := range map[string]string{
				"joiner": "--role joiner --address localhost:4444 --parent $PPID", "donor": donorArgs(4444, ""),
			} {
				for _, program := range []string{"wsrep_sst_rsync_tunnel", "wsrep_sst_rsync"} {
					n := cluster.node(cluster.certificate("localhost", true))
					write(t, n.dir, "ibdata1", "old")
					before := names(t, n.dir)
					if err := os.WriteFile(n.cnf, []byte(c.cnf), 0o600); err != nil {
						t.Fatal(err)
					}
					if c.cnf == "" {
						os.Remove(n.cnf)
					}
					n.startAs(program, args)
					n.exit(22) // and nothing on stdout
					n.says("[ERROR] ", c.says, "hint: put the option file right")
					if after := names(t, n.dir); !slices.Equal(before, after) {
						t.Errorf("%s: %q instead of %q", role, after, before)
					}
				}
			}
		})
	}
}
