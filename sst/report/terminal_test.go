package report

import (
	"os"
	"strings"
	"testing"
)

// What is on the screen after a text with carriage returns and erased lines.
func screen(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		parts := strings.Split(line, clearLine)
		lines = append(lines, parts[len(parts)-1])
	}
	return strings.Join(lines, "\n")
}

func TestTheLiveLineStaysBelowTheLog(t *testing.T) {
	var out strings.Builder
	term := &Terminal{w: &out, width: func() int { return 20 }}
	log := NewLog(term, nil)
	log.Infof("first")
	term.Line("10 %")
	log.Infof("second")
	term.Line("20 % of a very long line")
	got := screen(out.String())
	lines := strings.Split(got, "\n")
	if len(lines) != 3 || !strings.Contains(lines[0], "first") || !strings.Contains(lines[1], "second") || lines[2] != "20 % of a very long" {
		t.Errorf("on the screen is\n%s", got)
	}
	before := out.Len()
	term.Line("20 % of a very long line")
	if out.Len() != before {
		t.Error("the same line is written twice")
	}
	term.Line("")
	log.Infof("third")
	if got := screen(out.String()); strings.Contains(got, "%") || !strings.Contains(got, "third") {
		t.Errorf("at the end is\n%s", got)
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if OpenTerminal(f) != nil {
		t.Error("a file is taken for a terminal")
	}
}
