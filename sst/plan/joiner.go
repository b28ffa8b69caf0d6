package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A Module is a place that the joiner offers.
type Module struct {
	Root Root
	Name string // full name
	Dir  string
	// Protect are filter rules, relative to the module: what they exclude is neither
	// written nor removed, whatever the donor says.
	Protect []string
}

// Receive is what a joiner offers and cares for.
type Receive struct {
	Modules []Module
	// Links are the databases of the joiner that are symbolic links, with the
	// directories they lead to: what comes for them goes there.
	Links map[string]string
	// Missing are configured directories that do not exist yet. The server needs
	// them, and making them harms nothing.
	Missing  []string
	Warnings []string
}

// Joiner makes the joiner's plan. complete is the name of the magic file.
func Joiner(p Places, base, complete string) (*Receive, error) {
	r := &Receive{Links: map[string]string{}}
	entries, err := os.ReadDir(p.Datadir)
	if err != nil {
		return nil, fmt.Errorf("list the data directory: %w", err)
	}
	branches := []branch{{dir: p.Datadir}}
	var protect []string
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 {
			continue
		}
		name := e.Name()
		file := filepath.Join(p.Datadir, name)
		info, err := os.Stat(file)
		switch {
		case err == nil && info.IsDir() && isDatabase(file):
			r.Links[name] = resolve(file)
			branches = append(branches, branch{dir: resolve(file), rel: name})
		case err != nil && !strings.Contains(name, "."):
			// Only a database is named so: better no than in the middle of the SST.
			target, _ := os.Readlink(file)
			return nil, &Refusal{Reasons: []string{fmt.Sprintf("%s is a symbolic link to %s, which cannot be followed (%v)", file, target, errors.Unwrap(err))},
				hint: "make the directory that the link leads to, or remove the link"}
		case err != nil || info.IsDir():
			// Nothing is to be received through it, and it is not ours to remove.
			protect = append(protect, "- /"+literal(name, false))
		}
	}
	cuts, warnings := p.cuts(branches)
	r.Warnings = warnings
	for name := range r.Links {
		if cutsOut(cuts, name, true) {
			delete(r.Links, name)
		}
	}
	for _, root := range Roots {
		m := Module{Root: root, Name: base + root.Suffix(), Dir: p.Dir(root)}
		if err := r.check(root.Key(), m.Dir); err != nil {
			return nil, err
		}
		if root == DataDir {
			m.Protect = dataRules(p, protect, cuts, complete)
		} else {
			m.Protect = append(accept(p, root), "- /*")
		}
		r.Modules = append(r.Modules, m)
	}
	for _, dir := range p.BinlogDirs {
		if err := r.check("directory of log_bin", dir); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// dataRules let into the data directory what the table of kinds has for it, the
// magic file and databases, and nothing else.
func dataRules(p Places, protect []string, cuts []cut, complete string) []string {
	rules := append(excludeAll(housekeeping), protect...)
	for _, c := range cuts {
		rules = append(rules, c.rules("")...)
	}
	rules = append(rules, "+ /"+literal(complete, false), "+ /"+BinlogArchive)
	// A script may send everything by this module: what this node keeps here, and the
	// system and undo table spaces wherever they are; the joiner puts them there.
	here := []Root{HomeDir, UndoDir}
	for _, root := range []Root{LogDir, AriaDir} {
		if sameDir(p.Dir(root), p.Datadir) {
			here = append(here, root)
		}
	}
	rules = append(rules, accept(p, here...)...)
	return append(rules, "+ /*/", "- /*")
}

// accept is what may be received for roots: all that any version of the scripts
// sends, look-alikes included.
func accept(p Places, roots ...Root) []string {
	var globs []string
	for _, r := range roots {
		switch r {
		case HomeDir:
			globs = append(globs, "ibdata*", "ib_lru_dump")
			globs = append(globs, p.systemNames(globs)...)
		case LogDir:
			globs = append(globs, "ib_logfile*")
		case UndoDir:
			globs = append(globs, "undo*")
		case AriaDir:
			globs = append(globs, "aria_log*")
		}
	}
	return includeAll(globs)
}

// check makes sure that a directory can be written to. One that does not exist is
// missing, which is no error.
func (r *Receive) check(key, dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if !slices.Contains(r.Missing, dir) {
			r.Missing = append(r.Missing, dir)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s %s is not a directory", key, dir)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		return fmt.Errorf("%s %s may not be written to by the user that mariadbd runs as: %w", key, dir, err)
	}
	return nil
}
