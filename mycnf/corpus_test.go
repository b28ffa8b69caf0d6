package mycnf

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The golden cases were recorded from a real my_print_defaults 1.8 and from
// the shell functions of the SST scripts; the README beside them gives the
// format.
const (
	corpusDir    = "../testdata/mycnf-corpus"
	readerCases  = 130
	pickerCases  = 15
	corpusServer = "10.11"
)

// wantCase is a .want file.
type wantCase struct {
	env    map[string]string
	setup  []string
	args   []string
	exit   string
	stderr []string
	stdout string
	suffix string
	calls  [][2]string // call, result
}

func readCase(t *testing.T, file string) wantCase {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := wantCase{env: map[string]string{"HOME": "/nonexistent"}}
	for len(data) > 0 {
		line, rest, _ := strings.Cut(string(data), "\n")
		data = []byte(rest)
		head, text, _ := strings.Cut(line, ":")
		text = strings.TrimPrefix(text, " ")
		switch {
		case strings.HasPrefix(line, "#"):
		case head == "env":
			name, value, _ := strings.Cut(text, "=")
			c.env[name] = value
		case head == "setup":
			c.setup = append(c.setup, text)
		case head == "arg":
			c.args = append(c.args, text)
		case head == "exit":
			c.exit = text
		case head == "stderr":
			c.stderr = append(c.stderr, text)
		case head == "suffix":
			c.suffix = text
		case head == "call":
			c.calls = append(c.calls, [2]string{text})
		case head == "result":
			c.calls[len(c.calls)-1][1] = text
		case head == "stdout":
			c.stdout = string(data)
			return c
		default:
			t.Fatalf("%s: header %q is not known", file, line)
		}
	}
	return c
}

// copyCorpus gives a copy of the corpus in which the setup lines of all cases
// were done.
func copyCorpus(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(corpusDir)); err != nil {
		t.Fatal(err)
	}
	// Whatever umask the checkout and the copy were made under.
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(name, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range corpusFiles(t) {
		for _, line := range readCase(t, file).setup {
			setUp(t, dir, strings.Fields(line))
		}
	}
	return dir
}

func setUp(t *testing.T, dir string, words []string) {
	t.Helper()
	var err error
	switch {
	case len(words) == 3 && words[0] == "chmod":
		var mode os.FileMode
		if _, err = fmt.Sscanf(words[1], "%o", &mode); err == nil {
			err = os.Chmod(filepath.Join(dir, words[2]), mode)
		}
	case len(words) == 4 && words[0] == "ln" && words[1] == "-s":
		err = os.Symlink(words[2], filepath.Join(dir, words[3]))
	default:
		err = fmt.Errorf("setup line %q is not known", words)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func corpusFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(corpusDir, "*.want"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func caseName(file string) string { return strings.TrimSuffix(filepath.Base(file), ".want") }

func isPicker(file string) bool { return strings.Contains(filepath.Base(file), "-pc-") }

// saysMore are the messages of ours, by case, where the real program is silent.
var saysMore = map[string]string{
	"126-directive-long-name": "not read, its name has more than",
}

func TestCorpusOfTheReader(t *testing.T) {
	dir := copyCorpus(t)
	ran := 0
	for _, file := range corpusFiles(t) {
		if isPicker(file) {
			continue
		}
		ran++
		t.Run(caseName(file), func(t *testing.T) {
			c := readCase(t, file)
			out, exit, said := printDefaults(dir, c.env, c.args)
			if got := fmt.Sprint(exit); got != c.exit {
				t.Errorf("exit %s, want %s (%q)", got, c.exit, said)
			}
			if diff := cmp.Diff(c.stdout, out); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if extra := saysMore[caseName(file)]; extra != "" {
				said = slices.DeleteFunc(said, func(s string) bool { return strings.Contains(s, extra) })
			}
			compareMessages(t, c.stderr, said)
		})
	}
	if ran != readerCases {
		t.Errorf("%d cases ran, want %d", ran, readerCases)
	}
}

// compareMessages checks that everything the real program said is said by ours
// too, in other words but of the same file and line, and nothing else.
func compareMessages(t *testing.T, want, got []string) {
	t.Helper()
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.HasPrefix(s, "Fatal error in defaults handling") })
	if len(want) != len(got) {
		t.Fatalf("said %q, want %q", got, want)
	}
	object := regexp.MustCompile(`'([^']*)'|([^ ]*\.cnf)( at line:? (\d+)|$)`)
	for i, w := range want {
		w = strings.NewReplacer("@DIR@/", "", "Can't", "Cannot").Replace(w)
		m := object.FindAllStringSubmatch(w, -1)
		if m == nil {
			t.Errorf("nothing to look for in %q", w)
		}
		for _, m := range m {
			if name := strings.TrimPrefix(m[1]+m[2], "!include"); !strings.Contains(got[i], strings.TrimSpace(name)) {
				t.Errorf("%q does not name %q", got[i], name)
			}
			if m[4] != "" && !strings.Contains(got[i], " line "+m[4]+":") {
				t.Errorf("%q does not name line %s", got[i], m[4])
			}
		}
	}
}

// printDefaults is the command line of my_print_defaults (§2), as far as the
// corpus goes, on top of the package.
func printDefaults(dir string, env map[string]string, args []string) (stdout string, exit int, said []string) {
	var a Args
	take := func(name string, value *string, has *bool) bool {
		if *has || len(args) == 0 || !strings.HasPrefix(args[0], name+"=") {
			return false
		}
		*value, *has, args = args[0][len(name)+1:], true, args[1:]
		return true
	}
	if len(args) > 0 && args[0] == "--no-defaults" {
		a.NoDefaults, args = true, args[1:]
	}
	for !a.NoDefaults && (take("--defaults-file", &a.File, &a.HasFile) ||
		take("--defaults-extra-file", &a.ExtraFile, &a.HasExtra) ||
		take("--defaults-group-suffix", &a.Suffix, &a.HasSuffix)) {
	}
	files, err := Load(a, LoadOptions{
		LookupEnv:     func(n string) (string, bool) { v, ok := env[n]; return v, ok },
		Dirs:          []string{},
		Dir:           dir,
		ServerVersion: corpusServer,
	})
	if err != nil {
		return "", 2, append(files.Warnings(), err.Error())
	}
	said = files.Warnings()
	var groups []string
	quiet, summary := false, false
	for _, arg := range args {
		switch {
		case arg == "-n":
			quiet = true
		case arg == "--print-defaults":
			summary = true
		case arg == "--mysqld" || arg == "--mariadbd" || !strings.HasPrefix(arg, "-"):
			groups = append(groups, arg)
		case strings.Contains(arg, "="):
			return "", 7, append(said, fmt.Sprintf("unknown variable '%s'", arg[2:]))
		default:
			return "", 2, append(said, fmt.Sprintf("unknown option '%s'", arg))
		}
	}
	options := files.Options(groups...)
	var out bytes.Buffer
	switch {
	case quiet:
	case summary:
		out.WriteString("my_print_defaults would have been started with the following arguments:\n")
		for _, o := range options {
			out.WriteString(printed(o) + " ")
		}
		out.WriteString("\n")
	default:
		for _, o := range options {
			out.WriteString(printed(o) + "\n")
		}
	}
	return out.String(), 0, said
}

func printed(o Option) string {
	if o.HasValue {
		return "--" + o.Key + "=" + o.Value
	}
	return "--" + o.Key
}
