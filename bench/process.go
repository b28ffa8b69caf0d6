package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// grace is the time between the signal that ends a process and the one that kills it.
const grace = 5 * time.Second

// A process is a program that a measurement starts, head of a group of its own.
type process struct {
	name string
	cmd  *exec.Cmd
	said tail
	in   io.WriteCloser
	out  io.ReadCloser

	ended chan struct{} // closed when it was waited for
	err   error         // then
}

// start starts argv in dir; both pipes are ours. The meter is told.
func start(m *meter, dir string, env []string, argv ...string) (*process, error) {
	p := &process{name: argv[0], cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = &p.said
	p.cmd.WaitDelay = grace // a grandchild may hold stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, outEnd, err := os.Pipe() // not StdoutPipe: Wait would close it under the reader
	if err != nil {
		return nil, err
	}
	defer outEnd.Close()
	p.cmd.Stdout = outEnd
	p.in, p.out = in, out
	if err := p.cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	m.Begin(p.cmd.Process.Pid)
	go func() { // ends with the process, for which wait and stop wait
		p.err = p.cmd.Wait()
		m.End(p.cmd.ProcessState)
		close(p.ended)
	}()
	return p, nil
}

// wait waits for the end of the process, or ends it with ctx.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.stop()
		return context.Cause(ctx)
	}
	p.out.Close()
	return p.failure()
}

// failure is how it ended, with the last that it said.
func (p *process) failure() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", p.name, p.err, p.said.String())
}

// stop ends the process and those in its group, and waits for it.
func (p *process) stop() {
	p.in.Close()
	select {
	case <-p.ended: // its number may be another's by now
		p.out.Close()
		return
	default:
	}
	// A group that is gone already is the aim.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case <-p.ended:
	case <-patience.C:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.ended
	p.out.Close()
}

// finish lets a process end by itself when its stdin ends.
func (p *process) finish(ctx context.Context) error {
	p.in.Close()
	return p.wait(ctx)
}

// settle waits until a server has no children, at most as long as grace: only then is
// what they took counted.
func (p *process) settle() {
	over := time.NewTimer(grace)
	defer over.Stop()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for len(children(p.cmd.Process.Pid)) > 0 {
		select {
		case <-look.C:
		case <-p.ended:
			return
		case <-over.C:
			return
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const most = 2000
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > most {
		t.text = append(t.text[:0], t.text[n-most:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.text))
}

var errNotListening = errors.New("does not listen")

// listens waits until a process has a socket that listens on port.
func (p *process) listens(ctx context.Context, port int) error {
	const limit = 10 * time.Second
	over := time.NewTimer(limit)
	defer over.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	word := fmt.Sprintf(":%04X ", port)
	for {
		for _, table := range []string{"tcp", "tcp6"} {
			text, _ := os.ReadFile("/proc/self/net/" + table)
			for line := range strings.SplitSeq(string(text), "\n") {
				if f := strings.Fields(line); len(f) > 3 && strings.HasSuffix(f[1]+" ", word) && f[3] == "0A" {
					return nil
				}
			}
		}
		select {
		case <-look.C:
		case <-p.ended:
			return fmt.Errorf("%s ended before it listened on port %d: %w", p.name, port, errors.Join(p.failure(), errNotListening))
		case <-over.C:
			return fmt.Errorf("%s: port %d: %w after %v: %s", p.name, port, errNotListening, limit, p.said.String())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
