// Package mycnf reads MariaDB option files (my.cnf) exactly as
// my_print_defaults does, and picks values out of them as the stock SST
// scripts do. With it an SST finds its settings where that program is missing.
//
// It promises:
//   - the same options in the same order, from the same files, for any mix of
//     groups. The golden cases in testdata/mycnf-corpus are recorded from the
//     real program; numbers in brackets in this package are cases there.
//   - that what is fatal there is an error here: a group line without "]", an
//     option before any group, a missing !includedir or required file. None of
//     these depends on the groups asked for (what stands in a group is never
//     an error), so Load reports them all, and every later look-up is free of
//     errors.
//   - bounded work on files that others wrote: see the constants Max….
//     Nothing but regular files and directories is opened, so that a FIFO or a
//     terminal cannot stop an SST; /dev/null reads as empty.
//
// It differs where my_print_defaults harms its users:
//   - A decoded newline inside a value never becomes a second option.
//   - A limit that is reached is an error, not a cut.
//   - FIFOs are not read. mariadbd has long emptied the pipe of a
//     --defaults-file=<(…) when it starts an SST.
//   - Warnings says more: files that may not be read are no secret.
//   - "~name/" in a file name is no look-up of a user; "~/" is $HOME.
//
// PrintDefaults is the program itself, with its command line and exit statuses.
//
// It leaves to others: what a key means, defaults, and which groups to ask.
// Sections (§) are those of the reference page mycnf.md.
package mycnf

import (
	"fmt"
	"os"
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
// is right for an SST that does not know the server's version.
type LoadOptions struct {
	// LookupEnv finds HOME, MARIADB_HOME, MYSQL_HOME, MARIADB_GROUP_SUFFIX
	// and MYSQL_GROUP_SUFFIX; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// Dirs are the directories compiled into the server, in order; nil means
	// /etc and /etc/mysql, which is right on Debian and harmless elsewhere.
	Dirs []string
	// Dir is where relative names start; "" is the working directory.
	Dir string
	// ServerVersion, as "10.11", adds the versioned groups to "--mysqld"; see
	// ServerGroups.
	ServerVersion string
}

// Option is one option line.
type Option struct {
	Group    string // as written in the file
	Key      string // verbatim: case, "-" and "_", "loose-" untouched
	Value    string // unquoted, escapes decoded
	HasValue bool   // false: the line had no "="
	File     string // name it was opened by
	Line     int    // as an editor counts, from 1
}

// Files is the content of all option files. It does not change after Load and
// is safe for concurrent use.
type Files struct {
	options  []entry // of all groups, in file order
	warnings []string
	suffix   string
	version  string
}

// entry is an option with its group as it is compared.
type entry struct {
	Option
	group string
}

// Load reads all option files.
//
// On an error the result is not nil but has no options, just as
// my_print_defaults prints nothing then [32, 88]; warnings up to that point are
// kept. The shell scripts did not notice such an error and went on without
// settings [145]. Whoever looks for security settings should not.
func Load(a Args, o LoadOptions) (*Files, error) {
	env := o.LookupEnv
	if env == nil {
		env = os.LookupEnv
	}
	f := &Files{version: o.ServerVersion, suffix: suffix(a, env)}
	if a.NoDefaults {
		return f, nil
	}
	r := newReader(o.Dir, home(env))
	err := r.readAll(a, searchPath(o.Dirs, env))
	f.warnings = r.warnings
	if r.unsaid > 0 {
		f.warnings = append(f.warnings, fmt.Sprintf("option files: %d more such warnings", r.unsaid))
	}
	if err == nil {
		f.options = r.options
	}
	return f, err
}

// Warnings tells what was left out and why (§5, §6), a line each, in the order
// in which it was met: files that anybody may write to, files that cannot be
// read, included files with an error, includes nested too deep.
func (f *Files) Warnings() []string { return slices.Clone(f.warnings) }

// suffix is the group suffix in force (§2): the argument, even an empty one,
// else the environment.
func suffix(a Args, env func(string) (string, bool)) string {
	if a.HasSuffix {
		return a.Suffix
	}
	s, ok := env("MARIADB_GROUP_SUFFIX")
	if !ok {
		s, _ = env("MYSQL_GROUP_SUFFIX")
	}
	return s
}

// home is what stands for "~". Without HOME that name stays as it is.
func home(env func(string) (string, bool)) string {
	if h, ok := env("HOME"); ok {
		return h
	}
	return "~"
}
