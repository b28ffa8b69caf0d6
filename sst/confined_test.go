package sst

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// refuseEnv names the error with which the kernel is to answer system calls that old kernels and the profiles of containers
// do not have: a real filter of seccomp, in the program under test.
const refuseEnv = "SST_TEST_REFUSE"

func refuseCalls(name string) {
	errno := map[string]uint32{"EPERM": uint32(unix.EPERM), "ENOSYS": uint32(unix.ENOSYS)}[name]
	if errno == 0 {
		return
	}
	const ret, jeq, load = unix.BPF_RET | unix.BPF_K, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	calls := []uint32{unix.SYS_LANDLOCK_CREATE_RULESET, unix.SYS_LANDLOCK_ADD_RULE, unix.SYS_LANDLOCK_RESTRICT_SELF, unix.SYS_PIDFD_OPEN, unix.SYS_OPENAT2}
	filter := []unix.SockFilter{{Code: load}} // the number of the call
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: jeq, Jt: uint8(len(calls) - i), K: nr})
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | errno})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); e != 0 {
		panic(e)
	}
	runtime.KeepAlive(filter)
	if _, err := unix.PidfdOpen(os.Getpid(), 0); err != syscall.Errno(errno) {
		panic(fmt.Sprint("the filter does not work: ", err))
	}
}

// hasLandlock skips a test where nothing can be restricted.
func hasLandlock(t *testing.T, n *node) {
	t.Helper()
	if strings.Contains(n.said(), "landlock is not available here") {
		t.Skip("SKIPPED, NOT TESTED: no landlock here: " + n.said())
	}
}

func TestBothRolesAreRestricted(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	whole(donor, joiner)
	hasLandlock(t, joiner)
	donor.says("restricted to the folders that this SST needs")
	joiner.says("restricted to the folders that this SST needs")
}

func TestLandlockOff(t *testing.T) {
	donor, joiner := newCluster(t).pair("landlock=off")
	whole(donor, joiner)
	donor.says("landlock=off: this process is not restricted")
	joiner.says("landlock=off: this process is not restricted")
}

// What a kernel or a container refuses costs a line in the log and nothing else; the end of mariadbd is noticed, too.
func TestAKernelThatRefuses(t *testing.T) {
	for _, errno := range []string{"EPERM", "ENOSYS"} {
		t.Run(errno, func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			donor.env, joiner.env = []string{refuseEnv + "=" + errno}, []string{refuseEnv + "=" + errno}
			whole(donor, joiner)
			for _, n := range []*node{donor, joiner} {
				for _, line := range []string{"[INFO] landlock is not available here", "[INFO] whether mariadbd lives is looked up"} {
					if c := strings.Count(n.said(), line); c != 1 {
						t.Errorf("%d lines %q:\n%s", c, line, n.said())
					}
				}
				if strings.Contains(n.said(), "[WARNING]") {
					t.Errorf("a warning:\n%s", n.said())
				}
			}
			joiner.ready()
			joiner.cmd.Process.Kill() // mariadbd
			joiner.exit(exitPipe)
			joiner.says("is gone")
		})
	}
}

// A joiner that waits reads its certificates again for each connection, also when a link to them was turned meanwhile.
func TestCertificatesRenewedByALinkWhileConfined(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	first, second := cluster.certificate("localhost", false), cluster.certificate("localhost", true)
	dir := t.TempDir()
	install := func(name, from string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name+"/node.pem", string(b))
		if err := os.Symlink(name, filepath.Join(dir, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	install("..1", first)
	if err := os.Symlink("..data/node.pem", filepath.Join(dir, "node.pem")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(joiner.cnf), "my.cnf", fmt.Sprintf("[mysqld]\ndatadir=%s\n[sst]\ntca=%s\ntcert=%s\n", joiner.dir, cluster.ca, filepath.Join(dir, "node.pem")))
	port := joiner.ready()
	install("..2", second) // the donor does not trust the first
	if err := os.RemoveAll(filepath.Join(dir, "..1")); err != nil {
		t.Fatal(err)
	}
	donor.donate(port, "")
	donor.expect("flush tables")
	complete(donor, joiner)
	if strings.Contains(joiner.said(), "[WARNING]") {
		t.Errorf("a warning:\n%s", joiner.said())
	}
}

// Databases, binlogs and InnoDB in other places, by links and by settings, are within what is allowed.
func TestConfinedWithPlacesElsewhere(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	for _, n := range []*node{donor, joiner} {
		places := filepath.Join(t.TempDir(), "p")
		for _, d := range []string{"redo", "linked", "binlog", "notables"} {
			if err := os.MkdirAll(filepath.Join(places, d), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(n.cnf)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Dir(n.cnf), "my.cnf", string(b)+fmt.Sprintf("[mysqld]\ninnodb_log_group_home_dir=%s/redo\nlog_bin=%s/binlog/bin\n", places, places))
		if err := os.Symlink(filepath.Join(places, "linked"), filepath.Join(n.dir, "linked")); err != nil {
			t.Fatal(err)
		}
		if n == donor {
			write(t, places, "linked/t.ibd", "linked")
			write(t, places, "notables/readme", "x")
			write(t, places, "binlog/bin.000001", "binlog")
			write(t, places, "binlog/bin.index", places+"/binlog/bin.000001\n")
			if err := os.Symlink(filepath.Join(places, "notables"), filepath.Join(n.dir, "notables")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(n.dir, "ib_logfile0"), places+"/redo/ib_logfile0"); err != nil {
				t.Fatal(err)
			}
		}
	}
	whole(donor, joiner)
	hasLandlock(t, joiner)
	for link, want := range map[string]string{"linked/t.ibd": "linked"} {
		if b, err := os.ReadFile(filepath.Join(joiner.dir, link)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", link, b, err)
		}
	}
	joiner.says("binlog files extracted: 1")
}

// An ordinary user whom /etc/passwd does not know, with a umask that lets nobody else in: the files of the donor are root's,
// and a chown that this user may not do is no error.
func TestAsAUserWithoutAName(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: only root can become somebody else")
	}
	const uid = 54321
	cluster := newCluster(t)
	donor, joiner := cluster.pair()
	// What go test makes is root's own.
	open, err := os.MkdirTemp("", "sst-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(open) })
	copyFile := func(from, to string, mode os.FileMode) {
		t.Helper()
		in, err := os.Open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, mode)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		if _, err := io.Copy(out, in); err != nil {
			t.Fatal(err)
		}
	}
	cnf, err := os.ReadFile(joiner.cnf)
	if err != nil {
		t.Fatal(err)
	}
	cert := strings.TrimSpace(strings.Split(strings.Split(string(cnf), "tcert=")[1], "\n")[0])
	copyFile("/proc/self/exe", filepath.Join(open, "mariadbd"), 0o755)
	copyFile("/proc/self/exe", filepath.Join(open, "wsrep_sst_rsync_tunnel"), 0o755)
	copyFile(cluster.ca, filepath.Join(open, "ca"), 0o644)
	copyFile(cert, filepath.Join(open, "cert"), 0o600)
	shared := *cluster
	shared.path = open
	joiner.cluster, joiner.dir = &shared, filepath.Join(open, "data")
	joiner.cnf = filepath.Join(open, "my.cnf")
	write(t, open, "my.cnf", fmt.Sprintf("[mysqld]\ndatadir=%s\n[sst]\ntca=%s/ca\ntcert=%s/cert\n", joiner.dir, open, open))
	for _, err := range []error{
		os.Chmod(open, 0o755), os.Chmod(joiner.cnf, 0o644), os.Mkdir(joiner.dir, 0o700),
		os.Chown(joiner.dir, uid, uid), os.Chown(filepath.Join(open, "cert"), uid, uid),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	joiner.user = &syscall.Credential{Uid: uid, Gid: uid}
	defer syscall.Umask(syscall.Umask(0o077))
	whole(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(joiner.said(), "[ERROR]") || strings.Contains(joiner.said(), "chown") {
		t.Errorf("the log:\n%s", joiner.said())
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(joiner.dir, "db1/t.ibd"), &st); err != nil || st.Uid != uid {
		t.Errorf("owner %d, %v", st.Uid, err)
	}
}
