package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// What docs/containers.md says of an image is tried with less than any image has: a root with mariadbd, Galera, their
// libraries and messages, the shell that mariadbd starts SST programs with, and our binary. No other program, no
// /etc/passwd, no resolver's files, nothing in /etc at all. Both nodes live there, so it serves as joiner and as donor.
func TestContainerWithNothingButTheServer(t *testing.T) {
	onlyLong(t)
	if !alone(t) {
		return
	}
	root := bareRoot(t)
	c := newClusterWith(t, "rsync_tunnel", server{root: root})
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.programs = "/usr/bin"
	}
	c.bootstrap(t)
	c.donor.exec(t, small...)
	m := c.marks()
	c.join(t)
	c.samePosition(t)
	sameTables(t, c.donor, c.joiner)
	c.serves(t)
	c.tidy(t)
	c.quietLogs(t, m)
	c.confined(t, m)
	for _, n := range []*node{c.donor, c.joiner} {
		if log := n.log(0); !strings.Contains(log, "TLS 1.3") {
			t.Errorf("%s: no word of TLS in\n%s", n.name, log)
		}
	}
	c.joiner.stop(t)

	story(t, "without a shell mariadbd itself cannot start an SST", func(t *testing.T) {
		if err := os.Remove(filepath.Join(root, "bin/sh")); err != nil {
			t.Fatal(err)
		}
		c.forgetState(t)
		c.joiner.start(t)
		c.joiner.awaitEnd(t, joinLimit)
		if c.joiner.run.err == nil {
			t.Error("the node joined")
		}
	})
	c.donor.stop(t)
}

// bareRoot makes such a root. Data is at the same path within and outside.
func bareRoot(t *testing.T) string {
	t.Helper()
	root, err := os.MkdirTemp(shared.data, "image")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	mariadbd := peers.Need(t, "mariadbd")
	for _, file := range []string{mariadbd, peers.Galera(t), "/bin/sh"} {
		copyWithLibraries(t, root, file)
	}
	command(t, "cp", product(t), filepath.Join(root, "usr/bin/wsrep_sst_rsync_tunnel"))
	share := filepath.Join(root, "usr/share")
	if err := os.MkdirAll(share, 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "cp", "-r", "/usr/share/mysql", share)
	for _, d := range []string{"proc", "dev", "tmp", shared.data} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o1777); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "proc", filepath.Join(root, "proc"), "proc", 0, "")
	mount(t, shared.data, filepath.Join(root, shared.data), "", unix.MS_BIND, "")
	for _, device := range []struct {
		name  string
		minor uint32
	}{{"null", 3}, {"urandom", 9}} {
		path := filepath.Join(root, "dev", device.name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, device.minor))); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

var library = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// copyWithLibraries copies a program or a library with all that it is linked to, to the same places below root.
func copyWithLibraries(t *testing.T, root, file string) {
	t.Helper()
	list, err := exec.Command(peers.Need(t, "ldd"), file).CombinedOutput()
	if err != nil {
		t.Fatalf("ldd %s: %v\n%s", file, err, list)
	}
	files := []string{file}
	for _, m := range library.FindAllStringSubmatch(string(list), -1) {
		files = append(files, m[1])
	}
	for _, f := range files {
		to := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		command(t, "cp", "-L", f, to)
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
}
