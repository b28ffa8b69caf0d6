package bench

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A joiner says ready in the blink of an eye: from exec, with option files to read and
// certificates to load and check, to the line on its stdout. The figure is the median of
// twenty starts of the shipped binary. On a machine with other work it says little, so
// the limit of 50 ms is one for a quiet one (E2E_LONG=1), and here that of a start that
// waits for something.
func TestReadyComesAtOnce(t *testing.T) {
	limit := time.Second
	if os.Getenv("E2E_LONG") == "1" {
		limit = 50 * time.Millisecond
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "wsrep_sst_rsync_tunnel")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, ".")
	build.Dir = ".."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	f, err := mariadbd.NewFolder(dir, "sst-", true, 0)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := mariadbd.NewCertificates(f, mariadbd.Host, "joiner", "donor")
	if err != nil {
		t.Fatal(err)
	}
	data, err := lookalike.NewEmpty(f.Path("data"))
	if err != nil {
		t.Fatal(err)
	}
	config := f.Path("my.cnf")
	text := "[mysqld]\ndatadir=" + data.Dir + "\n[sst]\ntca=" + certs.All + "\ntcert=" + certs.Bundles["joiner"] + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range 20 {
		cmd := exec.CommandContext(t.Context(), program, "--role", "joiner", "--address", "", "--datadir", data.Dir,
			"--defaults-file", config, "--mysqld-args")
		var log strings.Builder
		cmd.Stderr = &log
		port, err := mariadbd.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args[4] = mariadbd.Host + ":" + strconv.Itoa(port)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		took = append(took, time.Since(began))
		if !strings.HasPrefix(line, "ready ") {
			t.Errorf("says %q (%v)", line, err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || t.Failed() {
			t.Fatalf("ends with %v\n%s", err, log.String())
		}
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("ready after %v (median of %d; %v to %v)", median, len(took), took[0], took[len(took)-1])
	if median > limit {
		t.Errorf("ready after %v, median of %d; should be below %v", median, len(took), limit)
	}
}
