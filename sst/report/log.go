package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Level says how bad it is.
type Level string

// The levels of the stock scripts.
const (
	Info    Level = "INFO"
	Warning Level = "WARNING"
	Error   Level = "ERROR"
)

// maxText is the longest text of one line in bytes. With what surrounds it a line
// stays below 4096 bytes, which a pipe takes in one piece.
const maxText = 3900

// stampForm is that of the stock scripts.
const stampForm = "20060102 15:04:05.000"

// Log writes lines such as
//
//	WSREP_SST: [INFO] text (20261123 17:43:46.814)
//
// Tools that people have for the stock scripts look for this form.
type Log struct {
	mu  sync.Mutex
	w   io.Writer
	now func() time.Time

	syslog *Syslog // nil: everything goes to w
}

// NewLog writes to w, which is stderr in an SST: mariadbd's error log. now is the
// clock; nil means time.Now.
func NewLog(w io.Writer, now func() time.Time) *Log {
	if now == nil {
		now = time.Now
	}
	return &Log{w: w, now: now}
}

// To sends lines to the system's log from now on. Errors go to the writer as well, and
// so does each line that the system's log does not take.
func (l *Log) To(s *Syslog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.syslog = s
}

// Infof says what happens.
func (l *Log) Infof(format string, a ...any) { l.Say(Info, fmt.Sprintf(format, a...)) }

// Warningf says what an operator should look at though the SST goes on.
func (l *Log) Warningf(format string, a ...any) { l.Say(Warning, fmt.Sprintf(format, a...)) }

// Error says what ended the SST and, when the error knows it, what to do. nil says
// nothing.
func (l *Log) Error(err error) {
	if err == nil {
		return
	}
	text := err.Error()
	if hint := Hint(err); hint != "" {
		text += "\nhint: " + hint
	}
	l.Say(Error, text)
}

// Say writes text, one line of the log for each of its lines. A log that cannot be
// written is no reason to end an SST: errors of the writer are dropped.
func (l *Log) Say(level Level, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stamp := l.now().Format(stampForm)
	for _, line := range lines(text) {
		line = "WSREP_SST: [" + string(level) + "] " + line + " (" + stamp + ")"
		if l.syslog == nil || !l.syslog.send(level, line) || level == Error {
			io.WriteString(l.w, line+"\n")
		}
	}
}

// lines cuts text into what fits a line each, cleaned. Empty lines are dropped, but
// an empty text is one line.
func lines(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		line = clean(strings.TrimRight(line, " \t\r"))
		for len(line) > maxText {
			cut := maxText
			for cut > maxText-utf8.UTFMax && !utf8.RuneStart(line[cut]) {
				cut--
			}
			out = append(out, line[:cut])
			line = line[cut:]
		}
		if line != "" {
			out = append(out, line)
		}
	}
	if out == nil {
		return []string{""}
	}
	return out
}

// clean makes text harmless for a terminal and for the error log: file names and
// what a peer says may hold anything.
func clean(text string) string {
	if strings.IndexFunc(text, unprintable) < 0 {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r < 0x100 && unprintable(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unprintable also covers what changes the direction of text, and bytes that are
// no UTF-8.
func unprintable(r rune) bool {
	return r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// Hint is the first hint in the tree of err: the next step for the operator. Any
// error may have one by a method Hint() string.
func Hint(err error) string {
	if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
		return h.Hint()
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if next := e.Unwrap(); next != nil {
			return Hint(next)
		}
	case interface{ Unwrap() []error }:
		for _, next := range e.Unwrap() {
			if h := Hint(next); h != "" {
				return h
			}
		}
	}
	return ""
}
