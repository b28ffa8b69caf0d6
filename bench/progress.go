package bench

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A progress is one line on a terminal that says what goes on.
type progress struct {
	mu  sync.Mutex
	out io.Writer // nil: nowhere
}

func newProgress(out io.Writer) *progress { return &progress{out: out} }

const clearLine = "\r\x1b[K"

// say takes the place of what was said before.
func (p *progress) say(format string, a ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		fmt.Fprintf(p.out, clearLine+format+" ...", a...)
	}
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil {
		io.WriteString(p.out, clearLine)
	}
}

// Terminal is w if that is a terminal, else nil: a place for progress.
func Terminal(w io.Writer) io.Writer {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return f
}
