// Package corpustest reads testdata/mycnf-corpus for tests: golden cases recorded from
// a real my_print_defaults 1.8 and from the shell functions of the SST scripts. The
// README beside them gives the format.
package corpustest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// How many cases there are, and the version of the server that gave the results.
const (
	ReaderCases = 130
	PickerCases = 15
	Server      = "10.11"
)

// A Case is a .want file.
type Case struct {
	Name   string // of the file, without .want
	Picker bool   // of values, else of the reader
	Env    map[string]string
	Args   []string // of my_print_defaults
	Exit   int
	Stderr []string
	Stdout string
	Suffix string
	Calls  []Call

	setup []string
}

// A Call is that of a shell function, as a script would write it, and its result, with
// \n for a newline.
type Call struct{ Text, Result string }

// Read gives all cases of the corpus in dir.
func Read(t testing.TB, dir string) []Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.want"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []Case
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parse(string(data))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		c.Name = strings.TrimSuffix(filepath.Base(file), ".want")
		c.Picker = strings.Contains(c.Name, "-pc-")
		cases = append(cases, c)
	}
	if len(cases) != ReaderCases+PickerCases {
		t.Fatalf("%s: %d cases, want %d", dir, len(cases), ReaderCases+PickerCases)
	}
	return cases
}

func parse(data string) (Case, error) {
	c := Case{Env: map[string]string{"HOME": "/nonexistent"}}
	for data != "" {
		line, rest, _ := strings.Cut(data, "\n")
		data = rest
		head, text, _ := strings.Cut(line, ":")
		text = strings.TrimPrefix(text, " ")
		switch {
		case strings.HasPrefix(line, "#"):
		case head == "env":
			name, value, _ := strings.Cut(text, "=")
			c.Env[name] = value
		case head == "setup":
			c.setup = append(c.setup, text)
		case head == "arg":
			c.Args = append(c.Args, text)
		case head == "exit":
			n, err := strconv.Atoi(text)
			if err != nil {
				return c, err
			}
			c.Exit = n
		case head == "stderr":
			c.Stderr = append(c.Stderr, text)
		case head == "suffix":
			c.Suffix = text
		case head == "call":
			c.Calls = append(c.Calls, Call{Text: text})
		case head == "result" && len(c.Calls) > 0:
			c.Calls[len(c.Calls)-1].Result = text
		case head == "stdout":
			c.Stdout = data
			return c, nil
		default:
			return c, fmt.Errorf("header %q is not known", head)
		}
	}
	return c, nil
}

// Copy gives a copy of the corpus in which the setup lines of all cases were done.
func Copy(t testing.TB, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	// Whatever umask the checkout and the copy were made under.
	err := filepath.WalkDir(to, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Read(t, dir) {
		for _, line := range c.setup {
			if err := setUp(to, strings.Fields(line)); err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
		}
	}
	return to
}

func setUp(dir string, words []string) error {
	switch {
	case len(words) == 3 && words[0] == "chmod":
		mode, err := strconv.ParseUint(words[1], 8, 12)
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(dir, words[2]), os.FileMode(mode))
	case len(words) == 4 && words[0] == "ln" && words[1] == "-s":
		return os.Symlink(words[2], filepath.Join(dir, words[3]))
	}
	return fmt.Errorf("setup line %q is not known", words)
}
