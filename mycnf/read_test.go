package mycnf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load reads one file of this text.
func load(t *testing.T, text string, a Args) *Files {
	t.Helper()
	a.File, a.HasFile = filepath.Join(t.TempDir(), "my.cnf"), true
	write(t, a.File, text)
	f, err := Load(a, LoadOptions{LookupEnv: noEnv})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func values(f *Files, groups ...string) string {
	var v []string
	for _, o := range f.Options(groups...) {
		v = append(v, o.Value)
	}
	return strings.Join(v, " ")
}

// A FIFO without a writer would block whoever opens it; the test would then
// end by its time limit.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{fifo, "/dev/zero", "/dev/tty"} {
		t.Run("as a required file, "+filepath.Base(name)+" is an error", func(t *testing.T) {
			_, err := Load(Args{File: name, HasFile: true}, LoadOptions{LookupEnv: noEnv})
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "--defaults-file") {
				t.Errorf("error %v", err)
			}
		})
		t.Run("as an included file, "+filepath.Base(name)+" is skipped with a warning", func(t *testing.T) {
			f := load(t, "[sst]\na=1\n!include "+name+"\nb=2\n", Args{})
			if w := f.Warnings(); values(f, "sst") != "1 2" || len(w) != 1 || !strings.Contains(w[0], name) {
				t.Errorf("options %q, warnings %q", values(f, "sst"), w)
			}
		})
	}
	t.Run("/dev/null reads as empty, also through a link", func(t *testing.T) {
		link := filepath.Join(dir, "masked")
		if err := os.Symlink(os.DevNull, link); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{os.DevNull, link} {
			f, err := Load(Args{File: name, HasFile: true}, LoadOptions{LookupEnv: noEnv})
			if err != nil || len(f.Warnings()) > 0 {
				t.Errorf("%s: error %v, warnings %q", name, err, f.Warnings())
			}
		}
	})
}

func TestAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	loop := filepath.Join(dir, "loop.cnf") // fails for root too
	if err := os.Symlink("loop.cnf", loop); err != nil {
		t.Fatal(err)
	}
	t.Run("is an error that names it once when it is required", func(t *testing.T) {
		for _, a := range []Args{{File: loop, HasFile: true}, {ExtraFile: loop, HasExtra: true}} {
			_, err := Load(a, LoadOptions{LookupEnv: noEnv, Dirs: []string{}})
			if !errors.Is(err, syscall.ELOOP) || strings.Count(err.Error(), loop) != 1 {
				t.Errorf("error %v", err)
			}
		}
	})
	t.Run("is a warning in an !includedir", func(t *testing.T) {
		f := load(t, "[sst]\na=1\n!includedir "+dir+"\n", Args{})
		if w := f.Warnings(); values(f, "sst") != "1" || len(w) != 1 || !strings.Contains(w[0], loop) {
			t.Errorf("options %q, warnings %q", values(f, "sst"), w)
		}
	})
	t.Run("needs no word when it is not there", func(t *testing.T) {
		f := load(t, "!include "+dir+"/none\n!include /dev/null/none\n", Args{})
		if len(f.Warnings()) > 0 {
			t.Errorf("warnings %q", f.Warnings())
		}
		_, err := Load(Args{}, LoadOptions{Dir: dir, Dirs: []string{"none"}, LookupEnv: noEnv})
		if err != nil {
			t.Error(err)
		}
	})
	t.Run("is an error when it is required and not there", func(t *testing.T) {
		_, err := Load(Args{ExtraFile: "none", HasExtra: true}, LoadOptions{Dir: dir, Dirs: []string{}, LookupEnv: noEnv})
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	})
}

// Each row is a configuration that costs more than its limit; the same with
// one more of it is read.
func TestLimitsAreErrors(t *testing.T) {
	dir := t.TempDir()
	bomb := filepath.Join(dir, "bomb.cnf")
	write(t, bomb, strings.Repeat("!include "+bomb+"\n", 4))
	write(t, filepath.Join(dir, "two.cnf"), "[sst]\na=1\nb=2\n")
	write(t, filepath.Join(dir, "includes.cnf"), "!includedir "+dir+"/d\n!include "+dir+"/two.cnf\n")
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		write(t, filepath.Join(dir, "d", fmt.Sprint(i)), "")
	}
	t.Run("a file that includes itself four times ends at the limit of files", func(t *testing.T) {
		_, err := Load(Args{File: bomb, HasFile: true}, LoadOptions{LookupEnv: noEnv})
		if err == nil || !strings.Contains(err.Error(), "include each other") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a file above 16 MiB is refused, even as an included one", func(t *testing.T) {
		big := filepath.Join(dir, "big.cnf")
		write(t, big, "")
		if err := os.Truncate(big, MaxBytes); err != nil {
			t.Fatal(err)
		}
		outer := filepath.Join(dir, "outer.cnf")
		write(t, outer, "!include "+big+"\n")
		_, err := Load(Args{File: outer, HasFile: true}, LoadOptions{LookupEnv: noEnv})
		if err == nil || !strings.Contains(err.Error(), big) {
			t.Errorf("error %v", err)
		}
	})
	for name, row := range map[string]struct {
		file  string
		need  int
		limit func(*reader) *int
	}{
		"options":                {"two.cnf", 2, func(r *reader) *int { return &r.optionsLeft }},
		"bytes":                  {"two.cnf", 14, func(r *reader) *int { return &r.bytesLeft }},
		"files and directories":  {"includes.cnf", 3, func(r *reader) *int { return &r.filesLeft }},
		"entries of directories": {"includes.cnf", 3, func(r *reader) *int { return &r.entriesLeft }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{row.need - 1, row.need} {
				r := newReader(dir, "")
				*row.limit(r) = n
				err := r.file(row.file, 0)
				_, limit := errors.AsType[limitError](err)
				if limit != (n < row.need) {
					t.Errorf("limit %d: error %v", n, err)
				}
			}
		})
	}
}

// A name in an !includedir may hold any character, and messages go into the
// server's error log.
func TestAFileNameCannotForgeALineOfTheLog(t *testing.T) {
	dir := t.TempDir()
	odd := filepath.Join(dir, "a\n2026 [Note] all is well\x1b[1m.cnf")
	write(t, odd, "")
	if err := os.Chmod(odd, 0o666); err != nil {
		t.Fatal(err)
	}
	f := load(t, "!includedir "+dir+"\n", Args{})
	if w := f.Warnings(); len(w) != 1 || strings.ContainsAny(w[0], "\n\x1b") || !strings.Contains(w[0], "all is well") {
		t.Errorf("warnings %q", w)
	}
}

func TestWarningsAreCountedAboveAHundred(t *testing.T) {
	f := load(t, strings.Repeat("!include /dev/tty\n", 107), Args{})
	if w := f.Warnings(); len(w) != 101 || !strings.Contains(w[100], " 7 more") {
		t.Errorf("%d warnings, the last one %q", len(w), w[len(w)-1])
	}
}

func TestSearchPath(t *testing.T) {
	type env map[string]string
	for name, row := range map[string]struct {
		env  env
		want string
	}{
		"by default /etc, /etc/mysql, the extra file, home":      {nil, "/etc/my.cnf /etc/mysql/my.cnf EXTRA ~/.my.cnf"},
		"MYSQL_HOME comes after the compiled-in directories":     {env{"MYSQL_HOME": "/h/"}, "/etc/my.cnf /etc/mysql/my.cnf /h/my.cnf EXTRA ~/.my.cnf"},
		"a directory that comes up twice counts at its last":     {env{"MYSQL_HOME": "/etc//"}, "/etc/mysql/my.cnf /etc/my.cnf EXTRA ~/.my.cnf"},
		"MARIADB_HOME hides MYSQL_HOME":                          {env{"MARIADB_HOME": "/m", "MYSQL_HOME": "/h"}, "/etc/my.cnf /etc/mysql/my.cnf /m/my.cnf EXTRA ~/.my.cnf"},
		"a directory in the home directory has a dotted file":    {env{"MYSQL_HOME": "~/x"}, "/etc/my.cnf /etc/mysql/my.cnf ~/x/.my.cnf EXTRA ~/.my.cnf"},
		"the home directory itself counts at its own place only": {env{"MYSQL_HOME": "~"}, "/etc/my.cnf /etc/mysql/my.cnf EXTRA ~/.my.cnf"},
	} {
		t.Run(name, func(t *testing.T) {
			got := searchPath(nil, func(n string) (string, bool) { v, ok := row.env[n]; return v, ok })
			if i := slices.Index(got, extraFile); i >= 0 {
				got[i] = "EXTRA"
			}
			if s := strings.Join(got, " "); s != row.want {
				t.Errorf("got  %s\nwant %s", s, row.want)
			}
		})
	}
}

// Facts the corpus does not have, found with my_print_defaults of 10.11.19.
func TestNamesOfFiles(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"home", "real/sub"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real/sub", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "home/x.cnf"), "[sst]\na=home\n")
	write(t, filepath.Join(dir, "real/x.cnf"), "[sst]\na=real\n")
	write(t, filepath.Join(dir, "x.cnf"), "[sst]\na=top\n")
	for name, row := range map[string]struct{ text, file, want string }{
		"~/ in an include is the home directory":          {"!include ~/x.cnf\n", "", "home"},
		"~/ in --defaults-file is the home directory":     {"", "~/x.cnf", "home"},
		"an included name is cleaned as text":             {"!include link/../x.cnf\n", "", "top"},
		"the name of --defaults-file follows links first": {"", "link/../x.cnf", "real"},
		"a file name with a slash at its end is no file":  {"!include x.cnf/\n", "", ""},
		"the end of the file is not a blank":              {"!include", "", ""},
		"a name that is cut at a NUL loses its end":       {"!include x.cnfX\x00y\n", "", "top"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.file == "" {
				row.file = "main.cnf"
				write(t, filepath.Join(dir, row.file), row.text)
			}
			f, err := Load(Args{File: row.file, HasFile: true}, LoadOptions{Dir: dir, LookupEnv: func(n string) (string, bool) {
				return filepath.Join(dir, "home"), n == "HOME"
			}})
			if err != nil || values(f, "sst") != row.want {
				t.Errorf("got %q, error %v", values(f, "sst"), err)
			}
		})
	}
}

// Found with my_print_defaults too; the reference page says ASCII only.
func TestGroupNamesFoldAsLatin1(t *testing.T) {
	for name, want := range map[string]string{
		"MySQLd-10.11_Z": "mysqld-10.11_z",
		"@[`{":           "@[`{",
		"\xc0\xc9\xde":   "\xe0\xe9\xfe",
		"\xbf\xd7\xdf":   "\xbf\xd7\xdf", // ¿ × ß
		"\xe0\xf7\xff":   "\xe0\xf7\xff", // à ÷ ÿ
	} {
		if got := foldGroup(name); got != want {
			t.Errorf("%q folds to %q, want %q", name, got, want)
		}
	}
}
