package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// limit ends what hangs.
const limit = time.Minute

// host is a machine as far as the network goes: a namespace with an address of its own.
type host struct {
	space   string
	address string
	dir     string // for its files
}

// hosts makes two machines that reach each other and nobody else.
func hosts(t *testing.T) (donor, joiner *host) {
	t.Helper()
	ip := peers.Need(t, "ip")
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: network namespaces need root")
	}
	names := []string{fmt.Sprintf("sst%d-donor", os.Getpid()), fmt.Sprintf("sst%d-joiner", os.Getpid())}
	for _, name := range names {
		if out, err := exec.Command(ip, "netns", "add", name).CombinedOutput(); err != nil {
			if os.Getenv("E2E_REQUIRE_PEERS") == "1" {
				t.Fatalf("no network namespaces here: %v: %s", err, out)
			}
			t.Skipf("NOT TESTED: no network namespaces here: %v: %s", err, out)
		}
		t.Cleanup(func() { run(t, ip, "netns", "del", name) })
	}
	ends := []string{fmt.Sprintf("sst%dd", os.Getpid()), fmt.Sprintf("sst%dj", os.Getpid())}
	run(t, ip, "link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
	var out []*host
	for i, name := range names {
		h := &host{space: name, address: fmt.Sprintf("10.99.7.%d", i+1), dir: folder(t)}
		run(t, ip, "-n", name, "address", "add", h.address+"/24", "dev", ends[i])
		run(t, ip, "-n", name, "link", "set", ends[i], "up")
		run(t, ip, "-n", name, "link", "set", "lo", "up")
		out = append(out, h)
	}
	return out[0], out[1]
}

// folder is a temporary directory whose path has no comma of the test's name in it: it goes into socat's addresses.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sst-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// process is a program that runs on a host until it ends or the test does.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed

	mu  sync.Mutex
	log bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// command prepares a program on a host. `ip netns exec` becomes the program, so the pid is the program's.
func (h *host) command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(peers.Need(t, "ip"), append([]string{"netns", "exec", h.space, name}, args...)...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(product(t))+":"+peers.Path())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// start runs a program whose output is shown if the test fails.
func (h *host) start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stderr = p
	if cmd.Stdout == nil {
		cmd.Stdout = p
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // waited for in the cleanup
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args[4:], " "), p.said())
		}
	})
	return p
}

// exits waits for a program to end well.
func (p *process) exits(t *testing.T) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		t.Fatal("still running")
	}
	if p.err != nil {
		t.Fatalf("%s: %v", strings.Join(p.cmd.Args[4:], " "), p.err)
	}
}

// listens waits until a port on the process's host is listened on.
func (p *process) listens(t *testing.T, port int) {
	t.Helper()
	want := fmt.Sprintf(":%04X 00000000:0000 0A", port)
	p.eventually(t, fmt.Sprintf("listen on port %d", port), func() bool {
		table, _ := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", p.cmd.Process.Pid))
		return strings.Contains(string(table), want)
	})
}

// eventually asks until the answer is yes, as long as the process lives.
func (p *process) eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(limit); !ask(); {
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("ended before it did %s: %v", what, p.err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("did not %s", what)
		}
	}
}
