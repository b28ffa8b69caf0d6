package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain makes the two directories that all tests share: one for data, one for programs. They are apart since
// /dev/shm, which is best for data, is mounted noexec in containers.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	// mariadbd aborts when an SST fails, which is what many tests are about: no core files.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: setrlimit:", err)
		return 2
	}
	var err error
	if shared.data, err = os.MkdirTemp(roomiest(), "e2e-"); err == nil {
		shared.programs, err = os.MkdirTemp("", "e2e-bin-")
	}
	if err == nil {
		err = errors.Join(os.Chmod(shared.data, 0o755), os.Chmod(shared.programs, 0o755))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 2
	}
	defer os.RemoveAll(shared.programs)
	if os.Getenv("E2E_KEEP") == "" {
		defer os.RemoveAll(shared.data)
	} else {
		fmt.Fprintln(os.Stderr, "e2e: E2E_KEEP is set, data stays in", shared.data)
	}
	return m.Run()
}

// shared is what is made once for all tests of the run.
var shared struct{ data, programs string }

// roomiest is /dev/shm where that has room for a few data directories, else the system's temporary directory.
func roomiest() string {
	var fs unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &fs); err == nil && int64(fs.Bavail)*fs.Bsize > 4<<30 && unix.Access("/dev/shm", unix.W_OK) == nil {
		return "/dev/shm"
	}
	return os.TempDir()
}

// productStamp is the commit that the binary shall name, whether git may read this checkout or not.
const productStamp = "0123456789abcdef of 2026-01-02T03:04:05Z"

// product builds the binary as it is shipped, once, and returns its path.
func product(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(productOfParent); path != "" {
		return path, nil
	}
	path := filepath.Join(shared.programs, "wsrep_sst_rsync_tunnel")
	cmd := exec.Command("make", "-C", "..", "build", "OUT="+path)
	cmd.Env = append(os.Environ(), "COMMIT="+productStamp)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, nil
})
