package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A cut is something below the data directory that is not sent with it: another
// root, or a configured path that is not data.
type cut struct {
	rel string // below the data directory, slashes, no leading one
	key string // the setting it comes from
	// dir: the whole directory rel. Otherwise the file rel or, with globs, the files
	// of the directory rel that match.
	dir   bool
	globs []string
}

// A branch is a directory whose content counts as the data directory's, under a
// name: the data directory itself, and each database that is a symbolic link.
type branch struct {
	dir string
	rel string // "" for the data directory
}

// cuts finds what is to be cut out of the data directory, in a stable order, and
// what could not be.
func (p Places) cuts(branches []branch) (out []cut, warnings []string) {
	add := func(c cut) {
		if !slices.ContainsFunc(out, func(o cut) bool { return o.covers(c) }) {
			out = slices.DeleteFunc(out, c.covers)
			out = append(out, c)
		}
	}
	for _, r := range Roots[1:] {
		dir := p.Dir(r)
		for _, rel := range below(branches, dir) {
			// A root that is a database too: only its own files are cut out.
			add(p.widen(branches, cut{rel: rel, key: r.Key(), globs: p.globs(r)}))
		}
	}
	for _, n := range p.NotData {
		for _, rel := range below(branches, n.Path) {
			c := cut{rel: rel, key: n.Key}
			if n.Stem {
				base := literal(path.Base(rel), true)
				c.rel = path.Dir(rel)
				c.globs = []string{base + ".[0-9]*", base + ".index", base + ".state"}
				if c.rel == "." {
					continue // at the top, where nothing is sent but what is known
				}
			}
			c = p.widen(branches, c)
			if !c.dir && len(c.globs) == 0 && isDir(p.onDisk(branches, rel)) {
				warnings = append(warnings, fmt.Sprintf("%s is %s, but there are tables in it: it is treated as a database", n.Key, n.Path))
				continue
			}
			add(c)
		}
	}
	slices.SortFunc(out, func(a, b cut) int { return strings.Compare(a.rel, b.rel) })
	return out, warnings
}

// widen makes a cut take the largest directory around it that holds no table: what
// else lies beside a key file is most likely one of the same kind.
func (p Places) widen(branches []branch, c cut) cut {
	parts := strings.Split(c.rel, "/")
	for i := range parts {
		dir := strings.Join(parts[:i+1], "/")
		if i == len(parts)-1 && len(c.globs) == 0 && !isDir(p.onDisk(branches, dir)) {
			break // the file itself
		}
		if !holdsTables(p.onDisk(branches, dir)) {
			return cut{rel: dir, key: c.key, dir: true}
		}
	}
	return c
}

// onDisk is the path of rel.
func (p Places) onDisk(branches []branch, rel string) string {
	top, rest, _ := strings.Cut(rel, "/")
	for _, b := range branches {
		if b.rel == top && b.rel != "" {
			return filepath.Join(b.dir, rest)
		}
	}
	return filepath.Join(p.Datadir, rel)
}

// covers says whether what o cuts out is part of what c cuts out.
func (c cut) covers(o cut) bool {
	if c.rel == o.rel {
		return c.dir || !o.dir && slices.Equal(c.globs, o.globs)
	}
	return c.dir && strings.HasPrefix(o.rel, c.rel+"/")
}

// rules exclude the cut from a session whose root is the directory at (""): the
// data directory; otherwise a database). A cut outside gives none.
func (c cut) rules(at string) []string {
	rel := c.rel
	if at != "" {
		var ok bool
		if rel, ok = strings.CutPrefix(rel, at+"/"); !ok {
			if c.rel != at || len(c.globs) == 0 {
				return nil
			}
			rel = ""
		}
	}
	switch {
	case c.dir:
		return []string{"- /" + literal(rel, false) + "/"}
	case len(c.globs) == 0:
		return []string{"- /" + literal(rel, false)}
	}
	if rel != "" {
		rel = literal(rel, true) + "/"
	}
	var rules []string
	for _, g := range c.globs {
		rules = append(rules, "- /"+rel+g)
	}
	return rules
}

// cutsOut says whether the file or directory rel falls under a cut.
func cutsOut(cuts []cut, rel string, dir bool) bool {
	return slices.ContainsFunc(cuts, func(c cut) bool {
		switch {
		case c.dir:
			return rel == c.rel && dir || strings.HasPrefix(rel, c.rel+"/")
		case len(c.globs) == 0:
			return rel == c.rel
		}
		return path.Dir(rel) == c.rel && matches(c.globs, path.Base(rel))
	})
}

// below gives every name that a path has below the branches: by its spelling, and
// by where links lead. None if it lies elsewhere, or is a branch or above one.
func below(branches []branch, file string) []string {
	var out []string
	for _, b := range branches {
		for _, spelling := range [][2]string{{b.dir, file}, {resolve(b.dir), resolve(file)}} {
			rel, err := filepath.Rel(spelling[0], spelling[1])
			if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
				continue
			}
			if rel = path.Join(b.rel, rel); !slices.Contains(out, rel) {
				out = append(out, rel)
			}
		}
	}
	return out
}

// resolve follows the links of as much of a path as exists.
func resolve(file string) string {
	file = filepath.Clean(file)
	if real, err := filepath.EvalSymlinks(file); err == nil {
		return real
	}
	dir := filepath.Dir(file)
	if dir == file {
		return file
	}
	return filepath.Join(resolve(dir), filepath.Base(file))
}

func isDir(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.IsDir()
}

// isDatabase says whether a directory outside, which a link leads to, is a database:
// it has tables right in it, or is empty and waits for some. What cannot be read
// counts.
func isDatabase(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0 || slices.ContainsFunc(entries, func(e os.DirEntry) bool { return !e.IsDir() && OfTable(e.Name()) })
}

// tableSuffixes are of files that only a database has. (db.opt is in every one that
// was made by CREATE DATABASE.)
var tableSuffixes = []string{".frm", ".ibd", ".isl", ".MYD", ".MYI", ".MAD", ".MAI", ".CSV", ".CSM", ".ARZ", ".MRG", ".par", ".TRG", ".TRN"}

// holdsTables says whether a directory, or one below it, is a database. Temporary
// tables do not count: tmpdir is none. What cannot be read counts, so that it is
// not left out in silence.
func holdsTables(dir string) bool {
	found := errors.New("found")
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !e.IsDir() && OfTable(e.Name()) {
			return found
		}
		return nil
	})
	return err != nil
}

// OfTable says whether only a database has files of that name.
func OfTable(name string) bool {
	return name == "db.opt" || slices.Contains(tableSuffixes, path.Ext(name)) && !strings.HasPrefix(name, "#sql")
}
