package hostile

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// The victims are processes of their own, so that what they take of memory can be read off. The test binary is both of them.
const victimEnv = "HOSTILE_VICTIM"

// Limits of the victims: short, since some attacks only end by them.
const (
	silence   = 3 * time.Second
	handshake = 4 * time.Second
	maxMemory = 64 << 20
)

// A report is the last word of a victim.
type report struct {
	Errors []string // of its sessions; "" is one that went well
	Lines  int      // in its log
	Memory int64    // the most that it ever had in memory, bytes
}

func TestMain(m *testing.M) {
	switch os.Getenv(victimEnv) {
	case "joiner":
		joinerVictim(os.Args[1])
	case "donor":
		donorVictim(os.Args[1], os.Args[2])
	default:
		os.Exit(m.Run())
	}
}

// peak is the most memory that this process ever had.
func peak() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscanf(after, "%d kB", &kib); err != nil {
		panic(err)
	}
	return kib << 10
}

func (r report) end() {
	r.Memory = peak()
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
	os.Exit(0)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// joinerVictim serves a directory as the joiner of an SST does, one connection after the other, until stdin ends.
func joinerVictim(dir string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	var lines atomic.Int64
	d := victimDaemon(dir, &lines)
	var rep report
	for {
		conn, err := l.Accept()
		if err != nil {
			break
		}
		_, err = d.Serve(context.Background(), conn)
		conn.Close()
		rep.Errors = append(rep.Errors, text(err))
	}
	rep.Lines = int(lines.Load())
	rep.end()
}

func victimDaemon(dir string, lines *atomic.Int64) *transfer.Daemon {
	root, err := os.OpenRoot(dir)
	if err != nil {
		panic(err)
	}
	store, err := transfer.NewDirStore(root, transfer.StoreOptions{ModeMask: 0o6000})
	if err != nil {
		panic(err)
	}
	protect, err := filter.Parse("- /grastate.dat")
	if err != nil {
		panic(err)
	}
	return &transfer.Daemon{
		Modules: []transfer.Module{{Name: "m", Store: store, Protect: protect}},
		Timeout: silence, Handshake: handshake, Lists: flist.NewPool(8 << 20),
		Log: func(transfer.Level, string) { lines.Add(1) },
	}
}

// donorVictim pushes a directory to an address, once.
func donorVictim(dir, addr string) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		panic(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		panic(err)
	}
	src, err := transfer.NewDirSource(root, transfer.DirSourceOptions{Recursive: true, Links: true})
	if err != nil {
		panic(err)
	}
	var lines atomic.Int64
	_, err = transfer.Push(context.Background(), conn, src, transfer.PushOptions{
		Module: "m", Recursive: true, Links: true, Perms: true, Inplace: true, IgnoreTimes: true, Timeout: silence,
		Log: func(transfer.Level, string) { lines.Add(1) },
	})
	report{Errors: []string{text(err)}, Lines: int(lines.Load())}.end()
}

// A victim is the process as the attacker's test sees it.
type victim struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

func startVictim(t *testing.T, role string, args ...string) *victim {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), victimEnv+"="+role)
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	must(t, errors.Join(err1, err2, cmd.Start()))
	t.Cleanup(sync.OnceFunc(func() { in.Close(); cmd.Wait() }))
	return &victim{t: t, cmd: cmd, in: in, out: bufio.NewReader(out)}
}

// end lets it say its last word, and holds that against what is promised.
func (v *victim) end() report {
	v.t.Helper()
	v.in.Close()
	line, err := v.out.ReadBytes('\n')
	if err != nil {
		v.t.Fatalf("the victim is gone without a word: %v, %v", err, v.cmd.Wait())
	}
	var r report
	must(v.t, json.Unmarshal(line, &r))
	must(v.t, v.cmd.Wait())
	if r.Memory > maxMemory && !raced {
		v.t.Errorf("it had %d MiB in memory", r.Memory>>20)
	}
	if r.Lines > 250 {
		v.t.Errorf("%d lines in its log", r.Lines)
	}
	v.t.Logf("%d MiB, %d lines, %q", r.Memory>>20, r.Lines, r.Errors)
	return r
}

// trap is a directory to attack, with what must not be reached beside it.
func trap(t *testing.T) *world {
	w := newWorld(t, false)
	must(t, os.WriteFile(filepath.Join(w.in, "grastate.dat"), []byte("mine"), 0o600))
	must(t, os.WriteFile(filepath.Join(w.in, "old.ibd"), make([]byte, 40_000), 0o600))
	return w
}

func mkfifo(name string) error { return unix.Mkfifo(name, 0o600) }
