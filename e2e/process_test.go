package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// owner is the user that mariadbd runs as: mysql when the tests run as root, since mariadbd refuses root, else
// whoever runs the tests.
type owner struct {
	uid, gid int
	switched bool // from root
}

func serverUser(t *testing.T) owner {
	t.Helper()
	if os.Getuid() != 0 {
		return owner{uid: os.Getuid(), gid: os.Getgid()}
	}
	peers.Need(t, "mariadbd") // its package makes the user
	u, err := user.Lookup("mysql")
	if err != nil {
		t.Fatalf("run as root, and there is no user mysql to run mariadbd as: %v", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		t.Fatal(err)
	}
	return owner{uid: uid, gid: gid, switched: true}
}

// own gives a file to the server's user.
func (o owner) own(t *testing.T, path string) {
	t.Helper()
	if !o.switched {
		return
	}
	if err := os.Lchown(path, o.uid, o.gid); err != nil {
		t.Fatal(err)
	}
}

// process makes a process of that user, the head of a group of its own, that the kernel kills should the test program
// die. (Credentials are switched here and not by mariadbd's --user: a change of credentials inside the process would
// cancel the kill.)
func (o owner) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o.switched {
		attr.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return attr
}

// openDir makes a directory for the test that the servers' user may enter; parent "" is where temporary files go.
func openDir(t *testing.T, parent, prefix string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// groupMembers describes the living processes of a process group, one a line. (A zombie is nobody's fault here: in a
// container its new parent may not reap.)
func groupMembers(group int) string {
	var out []string
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// pid (comm) state ppid pgrp ...; comm may hold anything, so count from its end
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			out = append(out, fmt.Sprintf("%s %s %s", filepath.Base(filepath.Dir(path)), fields[0], strings.ReplaceAll(string(command), "\x00", " ")))
		}
	}
	return strings.Join(out, "\n")
}

// command runs a program to its end and returns what it printed.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
