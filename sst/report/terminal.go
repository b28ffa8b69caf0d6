package report

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A Terminal is a log on a terminal whose last line lives: it is written again and again,
// and what else is written goes above it.
type Terminal struct {
	mu    sync.Mutex
	w     io.Writer
	width func() int
	line  string
}

// OpenTerminal is nil if f is no terminal.
func OpenTerminal(f *os.File) *Terminal {
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return nil
	}
	return &Terminal{w: f, width: func() int {
		const usual = 80
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil || size.Col == 0 {
			return usual
		}
		return int(size.Col)
	}}
}

const clearLine = "\r\x1b[K"

// Line takes the place of the line before; "" takes it away. What does not fit is cut.
func (t *Terminal) Line(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text = clean(text); utf8.RuneCountInString(text) >= t.width() {
		text = string([]rune(text)[:max(t.width()-1, 0)])
	}
	if text != t.line {
		t.line = text
		io.WriteString(t.w, clearLine+text) // see Log.Say
	}
}

// Write writes above the line.
func (t *Terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.line == "" {
		return t.w.Write(p)
	}
	if _, err := fmt.Fprintf(t.w, "%s%s%s", clearLine, p, t.line); err != nil {
		return 0, err
	}
	return len(p), nil
}
