package sst

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
)

// family is a process table of the test's own.
type family struct {
	members  map[int]process
	commands map[int]string
}

func (f *family) process(pid int) (process, error) {
	p, ok := f.members[pid]
	if !ok {
		return process{}, fs.ErrNotExist
	}
	return p, nil
}

func (f *family) commandLine(pid int) (string, error) {
	c, ok := f.commands[pid]
	if !ok {
		return "", fs.ErrNotExist
	}
	return c, nil
}

const testSelf = 900

func newFamily() *family {
	return &family{
		members: map[int]process{
			testSelf: {pid: testSelf, parent: 890, name: "wsrep_sst_rsync"},
			890:      {pid: 890, parent: 800, name: "sh"},
			800:      {pid: 800, parent: 1, name: "mariadbd"},
			700:      {pid: 700, parent: 1, name: "wsrep_sst_rsync"},
			600:      {pid: 600, parent: 1, name: "cron"},
			500:      {pid: 500, parent: 1, name: "wsrep_sst_rsync", dead: true},
		},
		commands: map[int]string{
			890: "sh -c wsrep_sst_rsync_tunnel --role 'joiner'",
			700: "bash -ue /usr//bin/wsrep_sst_rsync --role joiner",
			600: "cron -f", 500: "",
		},
	}
}

func testLocker(t *testing.T, f *family) locker {
	return locker{table: f, self: testSelf, limit: 30 * time.Second, interval: 100 * time.Millisecond,
		say: func(s string) { t.Log(s) }, warn: func(s string) { t.Log("warning: " + s) }}
}

func TestLockLooksAtThePidFileOfTheStockScripts(t *testing.T) {
	for _, c := range []struct {
		name, pid string
		taken     bool
	}{
		{"there is none", "", false},
		{"it is empty", "\n", false},
		{"it holds no number", "what\n", false},
		{"nobody has its number", "4711\n", false},
		{"its number went to another program", "600\n", false},
		{"its number went to the shell above us", "890\n", false},
		{"its number is our own", "900\n", false},
		{"its number went to our mariadbd", "800\n", false},
		{"its process is a zombie", "500\n", false},
		{"its script lives", "700\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.pid != "" {
				if err := os.WriteFile(filepath.Join(dir, pidFile), []byte(c.pid), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f, err := testLocker(t, newFamily()).lock(t.Context(), dir)
				waited := time.Since(began)
				if !c.taken {
					if err != nil {
						t.Fatal(err)
					}
					f.Close()
					if waited != 0 {
						t.Errorf("waited %v for nobody", waited)
					}
					return
				}
				if err == nil {
					t.Fatal("two scripts at once")
				}
				if statusOf(err) != exitRunning || report.Hint(err) == "" || !strings.Contains(err.Error(), "700") {
					t.Errorf("status %d, hint %q, error %v", statusOf(err), report.Hint(err), err)
				}
				if waited < 30*time.Second || waited > 31*time.Second {
					t.Errorf("gave up after %v", waited)
				}
			})
		})
	}
}

func TestLockIsGotWhenTheStockScriptEnds(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, pidFile), []byte("700\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newFamily()
		l := testLocker(t, f)
		said := 0
		l.say = func(string) {
			said++
			delete(f.members, 700) // it ends while we wait
		}
		lock, err := l.lock(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		lock.Close()
		if said != 1 {
			t.Errorf("said %d times that it waits", said)
		}
	})
}

func TestLockExcludesASecondRunUntilTheFirstEnds(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := testLocker(t, newFamily())
		first, err := l.lock(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.lock(t.Context(), dir); statusOf(err) != exitRunning {
			t.Fatalf("the second run got %v", err)
		}
		l.say = func(string) { first.Close() }
		second, err := l.lock(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		second.Close()
	})
}

func TestLockWaitEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := testLocker(t, newFamily())
		first, err := l.lock(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		l.say = func(string) { cancel(errServerGone) }
		if _, err := l.lock(ctx, dir); !errors.Is(err, errServerGone) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestLockOfADirectoryThatIsNotThere(t *testing.T) {
	_, err := testLocker(t, newFamily()).lock(t.Context(), filepath.Join(t.TempDir(), "none"))
	if statusOf(err) != exitMissing {
		t.Fatalf("status %d: %v", statusOf(err), err)
	}
}

// The lock must go with its process, however it ends.
func TestLockDiesWithItsProcess(t *testing.T) {
	if dir := os.Getenv("SST_TEST_LOCK"); dir != "" {
		if _, err := newLocker(func(string) {}, func(string) {}).lock(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString("locked\n")
		select {} // until killed
	}
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLockDiesWithItsProcess$")
	cmd.Env = append(os.Environ(), "SST_TEST_LOCK="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := readLine(out); err != nil || string(line) != "locked" {
		t.Fatalf("%q, %v", line, err)
	}
	l := newLocker(func(string) {}, func(string) {})
	killed := false
	l.say = func(string) {
		killed = true
		cmd.Process.Kill()
	}
	lock, err := l.lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Close()
	cmd.Wait()
	if !killed {
		t.Error("the other process did not hold the lock")
	}
}

func TestRealProcessTable(t *testing.T) {
	p, err := procTable{}.process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p.pid != os.Getpid() || p.parent != os.Getppid() || p.start == 0 || p.dead {
		t.Errorf("we are %+v", p)
	}
	if c, err := (procTable{}).commandLine(os.Getpid()); err != nil || !strings.HasPrefix(c, os.Args[0]) {
		t.Errorf("our command line is %q, %v", c, err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := (procTable{}).process(cmd.Process.Pid); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a process that was waited for: %v", err)
	}
}
