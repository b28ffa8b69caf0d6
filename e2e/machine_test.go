package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// What a test that runs alone gets from the test program that started it.
const (
	aloneTest       = "E2E_ALONE"
	productOfParent = "E2E_PRODUCT"
)

// alone says whether this process has mounts, processes and a network of its own, which vanish with it. If not, it runs the
// test in one that has, and reports how that went: the caller has nothing left to do.
func alone(t *testing.T, env ...string) bool {
	t.Helper()
	if os.Getenv(aloneTest) == t.Name() {
		for _, err := range []error{
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("proc", "/proc", "proc", 0, ""), // of these processes only
			os.MkdirAll("/run/netns", 0o755),
			unix.Mount("tmpfs", "/run/netns", "tmpfs", 0, ""), // where ip has its files
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		command(t, peers.Need(t, "ip"), "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: only root can make machines of their own")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.v", "-test.count=1", "-test.timeout=15m", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$")
	cmd.Env = append(append(os.Environ(), aloneTest+"="+t.Name(), productOfParent+"="+product(t)), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM):
		t.Skipf("NOT TESTED: no namespaces here: %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Skipf("%s", out)
	}
	t.Logf("%s", out)
	return false
}

// machine is a bare Debian with mariadb-server (e2e/chroot.sh) that a test may change at will, with an address of its own.
type machine struct {
	root, network string
}

// twoMachines are on one cable, and know each other as node1.example.com and node2.example.com. Only a test that runs alone may
// have them.
func twoMachines(t *testing.T) [2]machine {
	t.Helper()
	where, err := exec.Command("sh", "versions.sh", "--where").Output()
	if err != nil {
		t.Fatal(err)
	}
	bare := filepath.Join(strings.TrimSpace(string(where)), "chroot")
	if _, err := os.Stat(filepath.Join(bare, "made")); err != nil {
		if os.Getenv("E2E_REQUIRE_PEERS") == "1" {
			t.Fatalf("no bare Debian (%v) and E2E_REQUIRE_PEERS=1; hint: sh e2e/chroot.sh", err)
		}
		t.Skipf("NOT TESTED: there is no bare Debian here (%v); hint: sh e2e/chroot.sh", err)
	}
	host, err := os.Hostname() // sudo asks for its address
	if err != nil {
		t.Fatal(err)
	}
	var both [2]machine
	ip := peers.Need(t, "ip")
	for i, name := range []string{"node1", "node2"} {
		both[i] = machine{root: overlay(t, filepath.Join(bare, "root")), network: name}
		command(t, ip, "netns", "add", name)
	}
	command(t, ip, "link", "add", "cable", "netns", "node1", "type", "veth", "peer", "name", "cable", "netns", "node2")
	for i, m := range both {
		command(t, ip, "-n", m.network, "address", "add", "192.0.2."+string(rune('1'+i))+"/24", "dev", "cable")
		command(t, ip, "-n", m.network, "link", "set", "lo", "up")
		command(t, ip, "-n", m.network, "link", "set", "cable", "up")
		m.write(t, "/etc/hosts", "127.0.0.1 localhost "+host+"\n192.0.2.1 node1.example.com\n192.0.2.2 node2.example.com\n")
		m.write(t, "/etc/hostname", m.network+"\n")
		m.write(t, "/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n") // packages start nothing here
		if err := os.Chmod(m.path("/usr/sbin/policy-rc.d"), 0o755); err != nil {
			t.Fatal(err)
		}
		m.write(t, "/etc/mysql/mariadb.conf.d/99-log.cnf", "[mysqld_safe]\nlog_error=/var/log/mysql/error.log\n") // there is no syslog
		m.does(t, "install -d -o mysql /var/log/mysql")
		m.write(t, "/etc/default/mariadb", "MYSQLD_STARTUP_TIMEOUT=300\n") // 30 s are for a machine that does nothing else
	}
	return both
}

// overlay is a tree that begins as another and may be changed.
func overlay(t *testing.T, lower string) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.data, "machine")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(dir, "root")
	mount(t, "overlay", root, "overlay", 0, "lowerdir="+lower+",upperdir="+filepath.Join(dir, "upper")+",workdir="+filepath.Join(dir, "work"))
	mount(t, "proc", filepath.Join(root, "proc"), "proc", 0, "")
	return root
}

// mount lasts until the end of the test, so that nothing is removed through it.
func mount(t *testing.T, what, where, kind string, flags uintptr, options string) {
	t.Helper()
	if err := unix.Mount(what, where, kind, flags, options); err != nil {
		t.Fatalf("mount %s at %s: %v", what, where, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(where, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", where, err)
		}
	})
}

func (m machine) path(name string) string { return filepath.Join(m.root, name) }

func (m machine) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.path(name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyIn copies a file of the outside to a place in the machine.
func (m machine) copyIn(t *testing.T, from, to string) {
	t.Helper()
	command(t, "cp", from, m.path(to))
}

// types is what root types at the machine, in /root; the lines it prints are returned. Output goes to a file: a server that
// is started that way would keep a pipe open.
func (m machine) types(t *testing.T, line string) (string, error) {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.CommandContext(t.Context(), peers.Need(t, "ip"), "netns", "exec", m.network, "chroot", m.root, "/bin/sh", "-c", "cd /root; "+line)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	began := time.Now()
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	t.Logf("%s$ %s  (%.1f s, %v)\n%s", m.network, line, time.Since(began).Seconds(), err, text)
	return string(text), err
}

// does is types of what has to succeed.
func (m machine) does(t *testing.T, line string) string {
	t.Helper()
	text, err := m.types(t, line)
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s", m.network, line, err, text)
	}
	return text
}

// log is the server's.
func (m machine) log() string {
	text, err := os.ReadFile(m.path("/var/log/mysql/error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// onlyLong leaves a test to the long run.
func onlyLong(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("only in the long run (E2E_LONG=1)")
	}
}
