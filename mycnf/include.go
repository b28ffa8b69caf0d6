package mycnf

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	// MaxDepth is how many levels of includes there may be below a top-level
	// file; deeper ones are left out [74].
	MaxDepth = 10
	// MaxName is the longest name of an included file that is read [126].
	MaxName = 508
)

// directive does what a line that begins with "!" asks for (§5).
func (r *reader) directive(file string, n int, line string, depth int) error {
	keyword, arg := splitDirective(line)
	switch {
	case keyword != "include" && keyword != "includedir": // [69]
		return nil
	case depth >= MaxDepth:
		r.warn("option file %s line %d: !%s %s is left out, more than %d levels deep", shown(file), n, keyword, shown(arg), MaxDepth)
		return nil
	case arg == "":
		return fmt.Errorf("option file %s line %d: !%s without a name", shown(file), n, keyword)
	case keyword == "include":
		return r.include(arg, depth)
	}
	names, err := r.list(arg)
	if err != nil {
		return fmt.Errorf("option file %s line %d: !includedir %s: %w", shown(file), n, shown(arg), bare(err))
	}
	for _, name := range names {
		if err := r.include(filepath.Join(arg, name), depth); err != nil {
			return err
		}
	}
	return nil
}

// include reads an included file. An error in it ends this file alone: what it
// gave before counts, and the including file goes on [72, 73].
func (r *reader) include(name string, depth int) error {
	if len(name) > MaxName {
		r.warn("option file %s…: not read, its name has more than %d bytes", shown(name[:60]), MaxName)
		return nil
	}
	err := r.file(r.includedName(name), depth+1)
	if _, ok := errors.AsType[limitError](err); ok {
		return err
	}
	if s, ok := errors.AsType[skippedError](err); ok {
		r.warnSkipped(s)
	} else if err != nil {
		r.warn("%v; the rest of this file is left out", err)
	}
	return nil
}

// includedName cleans the directory part of an included name as text, so that
// "link/../x" is "x" whatever the link is.
func (r *reader) includedName(name string) string {
	dir, base := filepath.Split(name)
	if dir == "" {
		return name
	}
	if rest, ok := strings.CutPrefix(dir, "~/"); ok {
		return r.below(filepath.Clean("./"+rest)) + "/" + base
	}
	if dir = filepath.Clean(dir); dir == "/" {
		return dir + base
	}
	return dir + "/" + base
}

// below is a cleaned name below the home directory. HOME is not cleaned, but each
// ".." in front of the name takes a part off it.
func (r *reader) below(name string) string {
	home := strings.TrimRight(r.home, "/")
	for name == ".." || strings.HasPrefix(name, "../") {
		i := strings.LastIndexByte(home, '/')
		if last := home[i+1:]; last == "" || last == "." || last == ".." {
			break
		}
		if i < 0 {
			home, i = ".", 1
		}
		home, name = home[:i], filepath.Clean("."+name[2:])
	}
	return home + "/" + name
}

// list gives the names in a directory that end in .cnf, in byte order [76, 77].
func (r *reader) list(dir string) ([]string, error) {
	if err := r.spendFile(dir); err != nil {
		return nil, err
	}
	d, err := os.OpenFile(r.abs(dir), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	for {
		some, err := d.Readdirnames(1000)
		if r.entriesLeft -= len(some); r.entriesLeft < 0 {
			return nil, limitError("directory " + shown(dir) + ": too many entries; is this a directory of option files?")
		}
		for _, n := range some {
			if filepath.Ext(n) == ".cnf" {
				names = append(names, n)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(names)
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}
