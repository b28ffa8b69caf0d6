package throughput

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is one of the ends when it is started as one.
func TestMain(m *testing.M) {
	if end := os.Getenv("THROUGHPUT_END"); end != "" {
		if err := runEnd(end); err != nil {
			fmt.Fprintln(os.Stderr, end+":", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// usage is what an end says of itself when it is done.
type usage struct {
	CPU  float64 // seconds, user and system
	Peak int64   // bytes of memory
	Wall float64 // seconds, of the donor's transfer
}

func runEnd(end string) error {
	if dir := os.Getenv("E2E_PROFILE"); dir != "" {
		f, err := os.Create(dir + "/" + end + ".prof")
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	run := map[string]func() (time.Duration, error){
		"own-donor": ownDonor, "own-joiner": ownJoiner, "bare-donor": bareDonor, "bare-joiner": bareJoiner,
	}[end]
	wall, err := run()
	if err != nil {
		return err
	}
	u := usage{Wall: wall.Seconds()}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return err
	}
	u.CPU = float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(kib, 10, 64)
	if err != nil {
		return err
	}
	u.Peak = n << 10
	return json.NewEncoder(os.Stdout).Encode(u)
}

// An end is one of the two processes.
type end struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

func start(t *testing.T, name string, env ...string) *end {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	e := &end{cmd: exec.CommandContext(context.Background(), self)}
	e.cmd.Env = append(os.Environ(), append(env, "THROUGHPUT_END="+name)...)
	e.cmd.Stderr = os.Stderr
	if e.in, err = e.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.out = json.NewDecoder(out)
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return e
}

// read takes one value that the end printed.
func read[T any](t *testing.T, e *end) (v T) {
	t.Helper()
	if err := e.out.Decode(&v); err != nil {
		e.cmd.Process.Kill()
		e.cmd.Wait()
		t.Fatal(err)
	}
	return v
}

// pair runs a joiner and a donor over the data and gives their usage.
func pair(t *testing.T, kind, src, dst, cert string, connections int, more ...string) (donor, joiner usage) {
	t.Helper()
	env := append(more, "THROUGHPUT_SRC="+src, "THROUGHPUT_DST="+dst, "THROUGHPUT_CERT="+cert, fmt.Sprint("THROUGHPUT_CONNECTIONS=", connections))
	j := start(t, kind+"-joiner", env...)
	port := read[int](t, j)
	d := start(t, kind+"-donor", append(env, fmt.Sprint("THROUGHPUT_PORT=", port))...)
	donor = read[usage](t, d)
	d.in.Close()
	if err := d.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	j.in.Close() // the end of the joiner
	joiner = read[usage](t, j)
	if err := j.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return donor, joiner
}
