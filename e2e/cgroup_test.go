package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// Cgroups of a node's own, of either version, where this machine lets us make them: they take in the node's server and
// whatever that starts.

const cgroups = "/sys/fs/cgroup"

// cgroupOf makes one for a controller and puts the node's server into it. "" if that cannot be done.
func (n *node) cgroupOf(t *testing.T, controller string) string {
	t.Helper()
	dir := emptyCgroup(t, controller)
	if dir == "" {
		return ""
	}
	t.Cleanup(func() { n.kill(t) }) // else it cannot be removed
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(n.run.pid)), 0); err != nil {
		return ""
	}
	return dir
}

var cgroupsMade atomic.Int64

// emptyCgroup makes one for a controller. "" if that cannot be done.
func emptyCgroup(t *testing.T, controller string) string {
	t.Helper()
	parent := cgroups // version 2
	if _, err := os.Stat(filepath.Join(cgroups, controller)); err == nil {
		parent = filepath.Join(cgroups, controller)
	} else if b, err := os.ReadFile(filepath.Join(cgroups, "cgroup.subtree_control")); err != nil || !strings.Contains(string(b), map[string]string{"blkio": "io", "memory": "memory"}[controller]) {
		return ""
	}
	dir := filepath.Join(parent, fmt.Sprintf("e2e-%d-%d", os.Getpid(), cgroupsMade.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return ""
	}
	t.Cleanup(func() { os.Remove(dir) })
	return dir
}

// slowDisk bounds what the node's server and its SST write, in bytes a second. It says whether that could be done.
func (n *node) slowDisk(t *testing.T, rate int) bool {
	t.Helper()
	dir := n.cgroupOf(t, "blkio")
	var st unix.Stat_t
	if dir == "" || unix.Stat(n.datadir, &st) != nil {
		return false
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	for file, text := range map[string]string{"blkio.throttle.write_bps_device": device + " " + strconv.Itoa(rate), "io.max": fmt.Sprintf("%s wbps=%d", device, rate)} {
		if f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0); err == nil {
			_, err = f.WriteString(text)
			f.Close()
			return err == nil
		}
	}
	return false
}

// cachedBytes is the page cache that counts for a memory cgroup.
func cachedBytes(t *testing.T, dir string) int64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "memory.stat"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "cache" || name == "file" {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	t.Fatalf("%s does not tell of the page cache", dir)
	return 0
}
