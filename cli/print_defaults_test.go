package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/mycnf/corpustest"
)

const corpusDir = "../testdata/mycnf-corpus"

// printDefaultsOf runs the command as a person does.
func printDefaultsOf(args ...string) (stdout string, status int, stderr string) {
	var out, complaints bytes.Buffer
	status = Main(append([]string{printDefaultsName}, args...), strings.NewReader(""), &out, &complaints)
	return out.String(), status, complaints.String()
}

// clearEnv takes away what the real program reads of the environment.
func clearEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HOME", "MARIADB_HOME", "MYSQL_HOME", "MARIADB_GROUP_SUFFIX", "MYSQL_GROUP_SUFFIX"} {
		t.Setenv(name, "") // to be restored
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

// Every case of the corpus goes through the command: what the real program printed is
// printed, and the results of the scripts' functions come out of what is printed.
func TestTheCorpusThroughTheCommand(t *testing.T) {
	t.Chdir(corpustest.Copy(t, corpusDir))
	for _, c := range corpustest.Read(t, ".") {
		t.Run(c.Name, func(t *testing.T) {
			clearEnv(t)
			if c.Picker {
				t.Setenv("HOME", "/nonexistent")
				for _, call := range c.Calls {
					if got := scriptCall(t, c, call.Text); got != call.Result {
						t.Errorf("%s: %q, want %q", call.Text, got, call.Result)
					}
				}
				return
			}
			for name, value := range c.Env {
				t.Setenv(name, value)
			}
			args := c.Args
			if slices.ContainsFunc(args, func(a string) bool { return a == "--mysqld" || a == "--mariadbd" }) {
				args = append(args[:len(args):len(args)], "--server-version="+corpustest.Server)
			}
			out, status, complaints := printDefaultsOf(args...)
			if diff := cmp.Diff(c.Stdout, out); diff != "" || status != c.Exit {
				t.Errorf("status %d, want %d (%s)\nstdout (-want +got):\n%s", status, c.Exit, complaints, diff)
			}
			if len(c.Stderr) > 0 && complaints == "" {
				t.Errorf("nothing is said, the real program says %q", c.Stderr)
			}
		})
	}
}

// scriptCall does what a function of the SST scripts does, with our command in the
// place of my_print_defaults (mycnf.md §7).
func scriptCall(t *testing.T, c corpustest.Case, call string) string {
	t.Helper()
	words := callWords(call)
	lines := func(group string) []string {
		args := []string{"--defaults-file=" + c.Name + ".cnf"}
		if c.Suffix != "" {
			args = append(args, "--defaults-group-suffix="+c.Suffix)
		}
		out, _, _ := printDefaultsOf(append(args, group, "--server-version="+corpustest.Server)...)
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	function, groups, key := words[0], strings.Split(words[1], "|"), words[2]
	if function == "config_from_cnf" {
		return configFromCnf(lines(words[1]), key)
	}
	var turns []string
	for _, g := range groups {
		if g == "mysqld" && c.Suffix != "" {
			turns = append(turns, g+c.Suffix)
		}
		turns = append(turns, g)
	}
	for _, g := range turns {
		value, found := lastOf(lines(g), key)
		switch {
		case function == "in_config" && found:
			return "1"
		case function == "parse_cnf" && value != "":
			return echoed(strings.TrimSpace(value))
		}
	}
	if function == "in_config" {
		return "0"
	}
	return strings.Join(words[3:], "")
}

// callWords splits a call as a shell does.
func callWords(call string) (words []string) {
	quoted, word, open := false, "", false
	for _, r := range call + " " {
		switch {
		case r == '\'':
			quoted, open = !quoted, true
		case r == ' ' && !quoted:
			if open {
				words = append(words, word)
			}
			word, open = "", false
		default:
			word, open = word+string(r), true
		}
	}
	return words
}

// lastOf is the awk program of the scripts.
func lastOf(lines []string, key string) (value string, found bool) {
	for _, line := range lines {
		name, v, _ := strings.Cut(line, "=")
		if rest, ok := strings.CutPrefix(name, "--loose"); ok {
			name = "-" + rest
		}
		if strings.ReplaceAll(name, "_", "-") == "--"+key {
			value, found = v, true
		}
	}
	return value, found
}

// configFromCnf is the function of the original tunnel script: grep, cut and tail,
// and an echo without quotes.
func configFromCnf(lines []string, key string) string {
	value := ""
	for _, line := range lines {
		if strings.Contains(line, "--"+key+"=") {
			_, value, _ = strings.Cut(line, "=")
		}
	}
	return echoed(strings.Join(strings.Fields(value), " "))
}

// echoed is what the scripts' echo makes of a value: it takes a beginning for its own
// options.
func echoed(value string) string {
	for _, option := range []string{"-n", "-e"} {
		if value == option {
			return ""
		}
		if rest, ok := strings.CutPrefix(value, option+" "); ok {
			return rest
		}
	}
	return value
}

func TestExitStatuses(t *testing.T) {
	t.Chdir(t.TempDir())
	clearEnv(t)
	if err := os.WriteFile("f.cnf", []byte("[a]\nx=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   string
		status int
		stdout string
		stderr string
	}{
		{"--defaults-file=f.cnf a", 0, "--x=1\n", ""},
		{"--defaults-file=f.cnf --mysqld=0 a", 0, "--x=1\n", ""},
		{"--defaults-file=none a", 2, "", "no such file"},
		{"--defaults-file=none -n a", 0, "", ""},
		{"--defaults-file=f.cnf -x a", 2, "", "unknown option -x"},
		{"--defaults-file=f.cnf -xn a", 0, "", "unknown option -x"},
		{"--defaults-file=f.cnf --x=1 --x a", 2, "", "unknown option --x"},
		{"--defaults-file=f.cnf --x --x=1 a", 7, "", "unknown option --x=1"},
		{"--defaults-file=f.cnf --loose-x a", 0, "--x=1\n", "--loose-x is ignored"},
		{"--defaults-file=f.cnf --ver a", 3, "", "one of several"},
		{"--defaults-file=f.cnf --loose-m=1 a", 6, "", "one of several"},
		{"--defaults-file=f.cnf --verbose=1 a", 4, "", "takes no value"},
		{"--defaults-file=f.cnf --verb a", 0, "--x=1\n", "taken for --verbose"},
		{"--defaults-file=f.cnf --debug a", 12, "", "--debug is not to be had here"},
		{"--defaults-file=f.cnf --server-version=11 a", 13, "", "such as 10.11"},
	} {
		t.Run(c.args, func(t *testing.T) {
			out, status, complaints := printDefaultsOf(strings.Fields(c.args)...)
			if out != c.stdout || status != c.status || !strings.Contains(complaints, c.stderr) || (c.stderr == "") != (complaints == "") {
				t.Errorf("status %d, %q, %q", status, out, complaints)
			}
		})
	}
}

// A full disk or a closed pipe must not look like an empty configuration.
func TestOutputThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	defer full.Close()
	file := filepath.Join(t.TempDir(), "f.cnf")
	if err := os.WriteFile(file, []byte("[a]\nx=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	status := Main([]string{printDefaultsName, "--defaults-file=" + file, "a"}, strings.NewReader(""), full, &complaints)
	if status != exitFailed || !strings.Contains(complaints.String(), "write the options") {
		t.Errorf("status %d, %q", status, complaints.String())
	}
}
