package mycnf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Limits over all files of one Load, each file counted as often as it is read.
// Above them Load fails: settings that are silently cut off are worse than
// none. Real configurations have some ten files of some kilobytes.
const (
	MaxBytes   = 16 << 20 // read
	MaxFiles   = 10_000   // looked for, whether they are there or not
	MaxEntries = 100_000  // of directories looked through
	MaxOptions = 100_000
	MaxDepth   = 10  // levels of includes below a top-level file (§5) [74]
	MaxPath    = 509 // an !include of this many bytes or more is ignored [126]
)

// reader collects what the files give.
type reader struct {
	dir      string // for relative names
	home     string // for "~"
	options  []Option
	warnings []string

	bytes, files, entries int
}

// skippedError is the reason why a file could not be read at all, which only
// matters for a file that is required.
type skippedError struct{ error }

func (e skippedError) Unwrap() error { return e.error }

// limitError ends everything, also from within an included file.
type limitError struct{ error }

func (r *reader) warn(format string, a ...any) {
	r.warnings = append(r.warnings, fmt.Sprintf(format, a...))
}

func (r *reader) abs(name string) string {
	if filepath.IsAbs(name) || r.dir == "" {
		return name
	}
	return filepath.Join(r.dir, name)
}

// file reads one file. The error is a skippedError if there was nothing to
// read from.
func (r *reader) file(name string, depth int) error {
	name = r.abs(name)
	if r.files++; r.files > MaxFiles {
		return limitError{fmt.Errorf("option file %s: more than %d files are included", name, MaxFiles)}
	}
	data, err := r.load(name)
	if err != nil {
		return err
	}
	return r.parse(name, data, depth)
}

// load gives the content of a file, or nothing for what reads as empty.
func (r *reader) load(name string) ([]byte, error) {
	// Looked at before it is opened: opening a device can already do something.
	st, err := os.Stat(name)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			r.warn("option file %s: not read: %v", name, err)
		}
		return nil, skippedError{err}
	}
	if ok, err := r.readable(name, st); !ok {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		r.warn("option file %s: not read: %v", name, err)
		return nil, skippedError{err}
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, skippedError{err}
	}
	if ok, err := r.readable(name, st); !ok {
		return nil, err
	}
	left := MaxBytes - r.bytes
	data, err := io.ReadAll(io.LimitReader(f, int64(left)+1))
	if err != nil {
		return nil, fmt.Errorf("option file %s: %w", name, err)
	}
	if r.bytes += len(data); len(data) > left {
		return nil, limitError{fmt.Errorf("option file %s: more than %d MiB of option files", name, MaxBytes>>20)}
	}
	return data, nil
}

// readable tells whether what was found is to be read; if not, err says
// whether it counts as empty (nil) or as missing.
func (r *reader) readable(name string, st fs.FileInfo) (bool, error) {
	switch mode := st.Mode(); {
	case mode.IsRegular() && mode.Perm()&0o002 != 0:
		r.warn("option file %s: not read, since everybody may write to it (mode %04o)", name, mode.Perm())
		return false, nil
	case mode.IsRegular():
		return true, nil
	case mode.IsDir(): // [78, 87]
		return false, nil
	case mode&fs.ModeCharDevice != 0 && name == os.DevNull:
		return false, nil
	}
	err := errors.New("not a regular file")
	r.warn("option file %s: not read: %v", name, err)
	return false, skippedError{err}
}

// parse goes through the lines of a file (§3).
func (r *reader) parse(name string, data []byte, depth int) error {
	var group string
	inGroup := false
	for lineNo := 1; len(data) > 0; {
		var piece []byte
		piece, data = nextPiece(data)
		line := trimLeft(visible(piece))
		at := lineNo
		if piece[len(piece)-1] == '\n' {
			lineNo++
		}
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '!':
			if err := r.directive(name, at, line, depth); err != nil {
				return err
			}
		case line[0] == '[':
			if group, inGroup = groupName(line); !inGroup {
				return fmt.Errorf("option file %s line %d: group name without \"]\"", name, at)
			}
		case !inGroup:
			return fmt.Errorf("option file %s line %d: option before any [group]%s", name, at, bomHint(line))
		default:
			if len(r.options) == MaxOptions {
				return limitError{fmt.Errorf("option file %s line %d: more than %d options", name, at, MaxOptions)}
			}
			key, value, has := parseOption(line)
			r.options = append(r.options, Option{group, key, value, has, name, at})
		}
	}
	return nil
}

func bomHint(line string) string {
	if strings.HasPrefix(line, "\xef\xbb\xbf") {
		return " (the file begins with a byte order mark; save it as UTF-8 without)"
	}
	return ""
}

// directive does what a line with "!" asks for (§5).
func (r *reader) directive(name string, lineNo int, line string, depth int) error {
	keyword, arg := directive(line)
	if keyword != "include" && keyword != "includedir" {
		return nil
	}
	switch {
	case depth >= MaxDepth:
		r.warn("option file %s line %d: !%s %s not followed: more than %d levels", name, lineNo, keyword, arg, MaxDepth)
		return nil
	case arg == "":
		return fmt.Errorf("option file %s line %d: !%s without a name", name, lineNo, keyword)
	case keyword == "include":
		return r.include(arg, depth)
	}
	names, err := r.list(arg)
	if _, limit := err.(limitError); limit {
		return err
	}
	if err != nil {
		return fmt.Errorf("option file %s line %d: !includedir: %w", name, lineNo, err)
	}
	for _, n := range names {
		if err := r.include(filepath.Join(arg, n), depth); err != nil {
			return err
		}
	}
	return nil
}

// include reads an included file. What is wrong in it ends it alone [72, 73].
func (r *reader) include(name string, depth int) error {
	if len(name) >= MaxPath {
		r.warn("option file %.80s…: not read: name of %d bytes", name, len(name))
		return nil
	}
	err := r.file(name, depth+1)
	switch err.(type) {
	case nil, skippedError:
		return nil
	case limitError:
		return err
	}
	r.warn("%v; the rest of this file is not read", err)
	return nil
}

// list gives the names in a directory that end in .cnf, in byte order.
func (r *reader) list(dir string) ([]string, error) {
	d, err := os.OpenFile(r.abs(dir), os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	var names []string
	for {
		some, err := d.Readdirnames(1000)
		if r.entries += len(some); r.entries > MaxEntries {
			return nil, limitError{fmt.Errorf("directory %s: more than %d entries", dir, MaxEntries)}
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
