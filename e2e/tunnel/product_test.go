package tunnel

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain makes a folder for the program under test: a PATH of its own.
func TestMain(m *testing.M) {
	var err error
	if programs, err = os.MkdirTemp("", "e2e-tunnel-"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e/tunnel:", err)
		os.Exit(2)
	}
	code := m.Run()
	os.RemoveAll(programs)
	os.Exit(code)
}

var programs string

// product builds the binary as it is shipped, once.
func product(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(programs, "wsrep_sst_rsync_tunnel")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, nil
})

// ours is our binary in a role, with the pipe on which it talks to mariadbd.
type ours struct {
	*process
	lines chan string
}

// asMariadbd starts our binary as mariadbd does: by a shell, in the data directory, stdout a pipe.
func (n *node) asMariadbd(t *testing.T, args string) *ours {
	t.Helper()
	cmd := n.command(t, "sh", "-c", fmt.Sprintf("wsrep_sst_rsync_tunnel %s --datadir '%s/' --defaults-file '%s' --mysqld-args --wsrep-x=y; exit $?",
		args, n.data(), n.path("my.cnf")))
	cmd.Dir = n.data()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = in
	o := &ours{process: n.start(t, cmd), lines: make(chan string, 100)}
	in.Close()
	read := make(chan struct{})
	go func() { // waited for in the cleanup
		defer close(read)
		defer close(o.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			o.lines <- s.Text()
		}
		io.Copy(io.Discard, out)
	}()
	t.Cleanup(func() { // runs before the process is killed; its end of the pipe must not keep us
		out.Close()
		<-read
	})
	return o
}

// expect reads the next line for mariadbd.
func (o *ours) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got, ok := <-o.lines:
		if !ok || got != want {
			t.Fatalf("mariadbd was told %q (more: %v), want %q", got, ok, want)
		}
	case <-time.After(limit):
		t.Fatalf("mariadbd was not told %q", want)
	}
}

// good checks that a run which went well ends well and complains of nothing.
func (o *ours) good(t *testing.T) {
	t.Helper()
	o.exits(t)
	for line := range strings.Lines(o.said()) {
		if strings.Contains(line, "[ERROR]") {
			t.Errorf("a good run logged: %s", line)
		}
	}
}
