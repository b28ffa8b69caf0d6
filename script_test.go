package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// The test binary is the program itself when it is called by its name: so what is
// tested is what main makes of a command line, and a demo that runs this very file.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wsrep_sst_rsync_tunnel": main})
}

func TestCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("cli", "testdata"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PLAIN_TMPDIR", os.TempDir())
			e.Setenv("PORT", fmt.Sprint(porttest.Free(t)))
			e.Setenv("TMPDIR", filepath.Join(e.WorkDir, ".tmp"))
			e.Setenv("OLDPATH", os.Getenv("PATH"))
			program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
			if err != nil {
				return err
			}
			e.Setenv("PROGRAM", program)
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mariadb":
				return os.Getenv("E2E_REQUIRE_PEERS") == "1" || hasMariaDB(), nil
			case "long":
				return os.Getenv("E2E_LONG") == "1", nil
			}
			return false, errors.New("unknown condition " + cond)
		},
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"certificate": certificate},
		RequireExplicitExec: true,
	})
}

// hasMariaDB says whether a cluster can be made here; in doubt yes.
func hasMariaDB() bool {
	for _, program := range []string{"mariadbd", "/usr/sbin/mariadbd", "/usr/libexec/mariadbd"} {
		if _, err := exec.LookPath(program); err == nil {
			galera, _ := filepath.Glob("/usr/lib*/galera*/libgalera_smm.so")
			return len(galera) > 0
		}
	}
	return false
}

// Ctrl-C in the middle of the copy: what the demo started and made is gone when it
// is.
func TestASignalEndsADemoAndCleansUp(t *testing.T) {
	program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		signal syscall.Signal
		name   string
	}{{syscall.SIGINT, "interrupt"}, {syscall.SIGTERM, "terminated"}, {syscall.SIGHUP, "hangup"}} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			mark := "DEMO_MARK=" + t.TempDir()
			tmp := t.TempDir()
			cmd := exec.CommandContext(t.Context(), program, "demo", "--mb", "64")
			cmd.Env = append(os.Environ(), "TMPDIR="+tmp, mark)
			var complaint strings.Builder
			cmd.Stderr = &complaint
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			said := ""
			for lines := bufio.NewScanner(out); lines.Scan(); {
				said += lines.Text() + "\n"
				if strings.Contains(lines.Text(), " s  locked ") {
					if err := cmd.Process.Signal(s.signal); err != nil {
						t.Fatal(err)
					}
				}
			}
			err = cmd.Wait()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Errorf("ended with %v\n%s", err, said)
			}
			if !strings.Contains(complaint.String(), "ended: "+s.name) {
				t.Errorf("complains %q", complaint.String())
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
			if left := processesWith(t, mark); left != "" {
				t.Errorf("still run:\n%s", left)
			}
		})
	}
}

// The bench mode at a terminal: there is progress, and a signal in the middle of a copy
// leaves nothing behind.
func TestASignalEndsABenchAndCleansUp(t *testing.T) {
	program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
	if err != nil {
		t.Fatal(err)
	}
	mark := "DEMO_MARK=" + t.TempDir()
	tmp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "bench", "--mb", "64", "--runs", "50")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, mark)
	terminal, other := openTerminal(t)
	cmd.Stderr = other
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other.Close()
	said, signalled := "", false
	for b := make([]byte, 1000); ; {
		n, err := terminal.Read(b)
		said += string(b[:n])
		if !signalled && strings.Contains(said, "round 1 of 50: tls ...") {
			signalled = true
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil { // the other end is closed
			break
		}
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
		t.Errorf("ended with %v\n%s", err, said)
	}
	if !strings.Contains(said, "warming up ...") || !strings.Contains(said, "ended: terminated") {
		t.Errorf("says %q", said)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	if left := processesWith(t, mark); left != "" {
		t.Errorf("still run:\n%s", left)
	}
}

// openTerminal opens both ends of a new pseudoterminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT TESTED: no pseudoterminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// processesWith lists the processes that have a word in their environment.
func processesWith(t *testing.T, word string) string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		environ, err := os.ReadFile(file)
		if err == nil && strings.Contains("\x00"+string(environ), "\x00"+word+"\x00") {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return strings.Join(found, "\n")
}
