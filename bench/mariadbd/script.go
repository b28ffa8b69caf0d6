package mariadbd

import (
	"bufio"
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

// A script is one run of an SST program, as mariadbd has it.
type script struct {
	side    string // for errors
	meter   Meter  // may be nil
	words   []word
	dir     string   // working directory: the data directory
	env     []string // whole
	program string   // started directly where there is no sh
	leaked  []*os.File
	log     io.Writer         // mariadbd's error log
	logged  func(line string) // is told each line of it
	limit   int               // bytes of a line on stdout, newline included
	grace   time.Duration     // between the signal that ends it and the one that kills it
}

// run starts the program, calls hear with each line of its stdout, and returns when
// no process of it is left. The end of ctx, or an error of hear, ends it.
func (s *script) run(ctx context.Context, hear func(line string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stdout, stdoutEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdout.Close()
	defer stdoutEnd.Close()
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stderr.Close()
	defer stderrEnd.Close()

	cmd := s.command()
	cmd.Stdout, cmd.Stderr = stdoutEnd, stderrEnd
	// mariadbd leaks both ends of the pipe, and what else it has open.
	cmd.ExtraFiles = append(s.leaked, stdout, stdoutEnd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the %s: %w", s.side, err)
	}
	if s.meter != nil {
		s.meter.Begin(cmd.Process.Pid)
	}
	stdoutEnd.Close()
	stderrEnd.Close()
	var killing sync.WaitGroup
	over := make(chan struct{})
	killing.Go(func() { s.end(ctx, cmd.Process.Pid, over) })

	var logging sync.WaitGroup
	logging.Go(func() { s.readLog(stderr) })
	s.listen(stdout, hear, cancel)
	logging.Wait()
	err = cmd.Wait()
	if s.meter != nil {
		s.meter.End(cmd.ProcessState)
	}
	close(over)
	killing.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.side, err)
	}
	return nil
}

// command is the process, head of a group of its own: so a Ctrl-C at a terminal
// reaches us alone, and we end all of it.
func (s *script) command() *exec.Cmd {
	cmd := exec.Command("sh", "-c", shellLine(s.words))
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		cmd = &exec.Cmd{Path: s.program, Args: texts(s.words)}
	}
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// end ends the processes of a group when ctx ends, unless they are over before.
func (s *script) end(ctx context.Context, group int, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	// A group that is gone already is the aim.
	_ = syscall.Kill(-group, syscall.SIGTERM)
	patience := time.NewTimer(s.grace)
	defer patience.Stop()
	select {
	case <-over:
	case <-patience.C:
		_ = syscall.Kill(-group, syscall.SIGKILL)
		<-over
	}
}

// listen reads stdout to its end, which is the end of every process that has it.
// The first error of hear goes to failed, at once: the program may wait for an
// answer. Later lines are dropped.
func (s *script) listen(stdout io.Reader, hear func(line string) error, failed func(error)) {
	lines := bufio.NewReader(stdout)
	for refused := false; ; {
		line, err := lines.ReadString('\n')
		if line != "" && !refused {
			if err := s.line(line, hear); err != nil {
				refused = true
				failed(fmt.Errorf("%s: %w", s.side, err))
			}
		}
		if err != nil {
			return
		}
	}
}

// line checks what mariadbd could not read.
func (s *script) line(line string, hear func(string) error) error {
	text, whole := strings.CutSuffix(line, "\n")
	switch {
	case !whole:
		return fmt.Errorf("the line %q on stdout has no end", line)
	case len(line) > s.limit:
		return fmt.Errorf("the line %q on stdout is longer than mariadbd's buffer of %d bytes", text, s.limit)
	}
	return hear(text)
}

func (s *script) readLog(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			io.WriteString(s.log, line)
			s.logged(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}
