// Package mycnf reads MariaDB option files (my.cnf) exactly as
// my_print_defaults does, and picks values out of them as the stock SST
// scripts do. It is what lets an SST find its settings without that program.
//
// It promises:
//   - the same options in the same order, from the same files, for any mix of
//     groups: the golden cases in testdata/mycnf-corpus are recorded from the
//     real program. Numbers in brackets in this package are cases there.
//   - that a fatal error is an error here too: a group line without "]", an
//     option before any group, a missing !includedir or required file. None
//     of them depends on the groups asked for, so Load reports them all, once,
//     and everything after Load is a look-up that cannot fail.
//   - bounded work on files that others wrote: see the constants Max….
//     Nothing but regular files, directories and /dev/null is ever opened, so
//     a FIFO or a terminal cannot stop an SST.
//
// It differs from my_print_defaults only where a line-based reader was fooled
// (a decoded newline inside a value never becomes a second option) and in
// saying more in Warnings.
//
// It leaves to others: what a key means, defaults, and which groups to ask.
// Facts: mycnf.md (sections are named below as §).
package mycnf

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Args are the --defaults-* arguments as mariadbd hands them to an SST script.
// The Has fields tell an empty value from an argument that was not given: an
// empty suffix hides the environment [102], an empty file name is the working
// directory and reads as empty [116].
type Args struct {
	NoDefaults bool   // --no-defaults: no file is read at all
	File       string // --defaults-file: only this file is read
	HasFile    bool
	ExtraFile  string // --defaults-extra-file: read before ~/.my.cnf
	HasExtra   bool
	Suffix     string // --defaults-group-suffix: group g also means g+Suffix
	HasSuffix  bool
}

// LoadOptions are what the reader takes from its surroundings. The zero value
// is right for an SST.
type LoadOptions struct {
	// LookupEnv finds HOME, MARIADB_HOME, MYSQL_HOME, MARIADB_GROUP_SUFFIX
	// and MYSQL_GROUP_SUFFIX; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// Dirs are the directories compiled into the server, in order; nil means
	// /etc and /etc/mysql, which is right on Debian and harmless elsewhere.
	Dirs []string
	// Dir is where relative names start; "" is the working directory.
	Dir string
	// ServerVersion, as "10.11", adds the versioned groups to "--mysqld";
	// with "" only the names without version count.
	ServerVersion string
}

// Option is one option line.
type Option struct {
	Group    string // as written in the file
	Key      string // verbatim: case, "-" and "_", "loose-" untouched
	Value    string // unquoted, escapes decoded
	HasValue bool   // false: the line had no "="
	File     string // as opened
	Line     int    // as an editor counts, from 1
}

// Files is the content of all option files. It never changes after Load and is
// safe for concurrent use.
type Files struct {
	options  []Option // all groups, in file order
	warnings []string
	suffix   string
	version  string
}

// Load reads all option files.
//
// On a fatal error the result is not nil but has no options, just as
// my_print_defaults prints nothing then [32, 145]; its warnings are kept. The
// shell scripts did not notice such an error and went on without settings;
// a caller that has security settings to find should not.
func Load(a Args, o LoadOptions) (*Files, error) {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	f := &Files{version: o.ServerVersion, suffix: suffix(a, o.LookupEnv)}
	if a.NoDefaults {
		return f, nil
	}
	r := &reader{dir: o.Dir, home: home(o.LookupEnv)}
	err := r.readAll(a, o)
	f.warnings = r.warnings
	if err != nil {
		return f, err
	}
	f.options = r.options
	return f, nil
}

// Warnings tells what was left out and why (§5, §6), a line each, in the order
// in which it was met: files that anybody could have written, files that may
// not be read, included files with an error, includes nested too deep.
func (f *Files) Warnings() []string { return slices.Clone(f.warnings) }

// suffix is the group suffix in force (§2): the argument, even an empty one,
// else the environment.
func suffix(a Args, env func(string) (string, bool)) string {
	if a.HasSuffix {
		return a.Suffix
	}
	for _, name := range []string{"MARIADB_GROUP_SUFFIX", "MYSQL_GROUP_SUFFIX"} {
		if s, ok := env(name); ok {
			return s
		}
	}
	return ""
}

// home is what stands for "~". There is no look-up of the user: without HOME
// the name stays as it is.
func home(env func(string) (string, bool)) string {
	if h, ok := env("HOME"); ok {
		return h
	}
	return "~"
}

// readAll reads the top-level files in their order (§1).
func (r *reader) readAll(a Args, o LoadOptions) error {
	if a.HasFile {
		return r.required("--defaults-file", a.File)
	}
	for _, p := range searchPath(o, r.home) {
		if p == "" {
			if !a.HasExtra {
				continue
			}
			if err := r.required("--defaults-extra-file", a.ExtraFile); err != nil {
				return err
			}
			continue
		}
		err := r.file(p, 0)
		if _, missing := err.(skippedError); err != nil && !missing {
			return err
		}
	}
	return nil
}

// required reads a file the caller named, which has to be there.
func (r *reader) required(arg, name string) error {
	err := r.file(r.abs(name), 0)
	if missing, ok := err.(skippedError); ok {
		return fmt.Errorf("%s %s: %w", arg, name, missing.error)
	}
	return err
}

// searchPath lists the files of a search without --defaults-file, with "" in
// the place of --defaults-extra-file.
func searchPath(o LoadOptions, home string) []string {
	dirs := o.Dirs
	if dirs == nil {
		dirs = []string{"/etc", "/etc/mysql"}
	}
	var list []string
	add := func(dir, name string) {
		p := filepath.Join(dir, name)
		// A directory that comes up again counts at its last place only.
		list = slices.DeleteFunc(list, func(q string) bool { return q == p })
		list = append(list, p)
	}
	for _, d := range dirs {
		add(d, "my.cnf")
	}
	// MARIADB_HOME hides MYSQL_HOME even when it is empty [95].
	dir, ok := o.LookupEnv("MARIADB_HOME")
	if !ok {
		dir, _ = o.LookupEnv("MYSQL_HOME")
	}
	switch {
	case dir == "":
	case dir[0] == '~':
		add(home+dir[1:], ".my.cnf")
	default:
		add(dir, "my.cnf")
	}
	list = append(list, "")
	if home == "" {
		home = "/"
	}
	return append(list, filepath.Join(home, ".my.cnf"))
}
