package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var update = flag.Bool("update", false, "write the golden files")

// everyCommand calls f with each command that people can give, and its words.
func everyCommand(t *testing.T, f func(words string, n *kong.Node)) {
	t.Helper()
	parser, err := newTestParser()
	if err != nil {
		t.Fatal(err)
	}
	var visit func(words string, n *kong.Node)
	visit = func(words string, n *kong.Node) {
		for _, child := range n.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				visit(strings.TrimSpace(words+" "+child.Name), child)
			}
		}
		if words != "" && len(n.Children) == 0 {
			f(words, n)
		}
	}
	visit("", parser.Model.Node)
}

// usedIn are the scripts' lines that run a command of ours, in cli/testdata.
func usedIn(t *testing.T) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v: the test looks in the wrong place", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, _, _ := strings.Cut(string(text), "\n-- ")
		for line := range strings.Lines(script) {
			if strings.Contains(line, "exec ") && (strings.Contains(line, program) || strings.Contains(line, "$PROGRAM")) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// Every command, and every flag of it, is used by a script in testdata: what nobody ever
// typed in a test may do anything.
func TestEveryFlagIsUsedByAScript(t *testing.T) {
	lines := usedIn(t)
	used := func(words, flag string) bool {
		ours := regexp.MustCompile(`(` + program + `|\$PROGRAM) ` + words + `(\s|$)`)
		with := regexp.MustCompile(`\s` + flag + `([\s='"]|$)`)
		for _, line := range lines {
			if ours.MatchString(line) && (flag == "" || with.MatchString(line)) {
				return true
			}
		}
		return false
	}
	commands, flags := 0, 0
	everyCommand(t, func(words string, n *kong.Node) {
		commands++
		if words == printDefaultsName { // another program's arguments, with a test of their own
			return
		}
		if !used(words, "") {
			t.Errorf("no script uses the command %s", words)
		}
		for _, f := range n.Flags {
			flags++
			if !used(words, "--"+f.Name) {
				t.Errorf("no script uses %s --%s", words, f.Name)
			}
		}
	})
	if commands < 15 || flags < 50 {
		t.Errorf("only %d commands and %d flags were looked at", commands, flags)
	}
}

// What each command says of itself, as a golden file that a screen of 24 lines and 80
// columns holds. go test ./cli -run Help -update writes them.
func TestHelpOfEveryCommand(t *testing.T) {
	all := []string{""}
	everyCommand(t, func(words string, _ *kong.Node) { all = append(all, words) })
	for _, words := range append(all, "certs") {
		if words == printDefaultsName {
			continue
		}
		t.Run(words, func(t *testing.T) {
			var out, complaint strings.Builder
			if code := Main(append(strings.Fields(words), "--help"), strings.NewReader(""), &out, &complaint); code != 0 || complaint.Len() > 0 {
				t.Fatalf("status %d, %s", code, complaint.String())
			}
			file := filepath.Join("testdata", "help", strings.ReplaceAll(fmt.Sprintf("main %s", words), " ", "-")+".golden")
			file = strings.ReplaceAll(file, "main-.", "main.")
			if *update {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || string(want) != out.String() {
				t.Errorf("%s is not what is printed (%v):\n%s", file, err, out.String())
			}
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) > 24 {
				t.Errorf("%d lines do not fit a screen", len(lines))
			}
			for _, line := range lines {
				if len(line) > 80 {
					t.Errorf("%d columns: %s", len(line), line)
				}
			}
		})
	}
}
