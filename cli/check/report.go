package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/report"
)

// A Level says how bad a finding is.
type Level string

// The levels. An error is what an SST with this node fails for; a warning what may make
// one fail, or lets in more than it should.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Error   Level = "error"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Level   Level  `json:"level"`
	Subject string `json:"subject"` // what it is about, in one or two words
	Text    string `json:"text"`
	Hint    string `json:"hint,omitempty"` // the next step
}

// A Report is what was found, in the order in which it was looked for.
type Report struct {
	Findings []Finding
	told     int // findings that Tell has had
}

func (r *Report) add(level Level, subject, hint, text string) {
	r.Findings = append(r.Findings, Finding{level, subject, oneLine(text), oneLine(hint)})
}

func (r *Report) ok(subject, format string, a ...any) {
	r.add(OK, subject, "", fmt.Sprintf(format, a...))
}

func (r *Report) warn(subject, hint, format string, a ...any) {
	r.add(Warning, subject, hint, fmt.Sprintf(format, a...))
}

func (r *Report) fail(subject, hint, format string, a ...any) {
	r.add(Error, subject, hint, fmt.Sprintf(format, a...))
}

// failed is an error with the hint that it brings.
func (r *Report) failed(subject string, err error) {
	r.add(Error, subject, report.Hint(err), err.Error())
}

// oneLine keeps a finding on its line, whatever a file name or a certificate holds.
func oneLine(text string) string {
	return report.Clean(strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == '\r' }), " "))
}

// Count is how many findings are of a level.
func (r *Report) Count(level Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == level {
			n++
		}
	}
	return n
}

// Tell writes the findings that were not told yet, one line each and its hint below.
func (r *Report) Tell(w io.Writer) error {
	for _, f := range r.Findings[r.told:] {
		if _, err := fmt.Fprintf(w, "%-7s  %-12s  %s\n", f.Level, f.Subject, f.Text); err != nil {
			return err
		}
		r.told++
		if f.Hint == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-7s  %-12s  hint: %s\n", "", "", f.Hint); err != nil {
			return err
		}
	}
	return nil
}

// TellJSON writes all findings as one JSON object.
func (r *Report) TellJSON(w io.Writer) error {
	findings := r.Findings
	if findings == nil {
		findings = []Finding{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Findings []Finding `json:"findings"`
	}{r.Count(Error), r.Count(Warning), findings})
}

// Err sums up: nil unless there is an error.
func (r *Report) Err() error {
	if n := r.Count(Error); n > 0 {
		return fmt.Errorf("check: %s, %s", plural(n, "error"), plural(r.Count(Warning), "warning"))
	}
	return nil
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
