package mycnf

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// extraFile is the place of --defaults-extra-file in a search path.
const extraFile = ""

// searchPath lists the files that are read when there is no --defaults-file
// (§1). Names that begin with "~/" are left so: a directory that comes up
// twice is found by its text.
func searchPath(dirs []string, env func(string) (string, bool)) []string {
	if dirs == nil {
		dirs = []string{"/etc", "/etc/mysql"}
	}
	var list []string
	add := func(dir, name string) {
		p := filepath.Join(dir, name)
		// What comes up again counts at its last place only.
		list = slices.DeleteFunc(list, func(q string) bool { return q == p })
		list = append(list, p)
	}
	for _, d := range dirs {
		add(d, "my.cnf")
	}
	// MARIADB_HOME hides MYSQL_HOME even when it is empty [95].
	dir, ok := env("MARIADB_HOME")
	if !ok {
		dir, _ = env("MYSQL_HOME")
	}
	switch {
	case dir == "":
	case dir[0] == '~':
		add(dir, ".my.cnf")
	default:
		add(dir, "my.cnf")
	}
	list = append(list, extraFile)
	add("~", ".my.cnf")
	return list
}

// readAll reads the top-level files.
func (r *reader) readAll(a Args, path []string) error {
	if a.HasFile {
		return r.required("--defaults-file", a.File)
	}
	for _, name := range path {
		var err error
		switch {
		case name != extraFile:
			err = r.optional(name)
		case a.HasExtra:
			err = r.required("--defaults-extra-file", a.ExtraFile)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// required reads a file that was asked for by name and has to be there.
func (r *reader) required(arg, name string) error {
	if name == "" { // from the working directory on, that is the directory itself [116]
		name = "."
	}
	err := r.file(r.expand(name), 0)
	if _, ok := errors.AsType[skippedError](err); ok {
		return fmt.Errorf("%s: %w", arg, err)
	}
	return err
}

// optional reads a file of the search path, if it is there.
func (r *reader) optional(name string) error {
	err := r.file(r.expand(name), 0)
	if s, ok := errors.AsType[skippedError](err); ok {
		r.warnSkipped(s)
		return nil
	}
	return err
}
