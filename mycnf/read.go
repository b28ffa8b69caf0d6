package mycnf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Limits over all files of one Load, each file counted as often as it is read.
// Above them Load fails, even from within an included file: settings that are
// cut off without a word are worse than none. Real configurations have some
// ten files of some kilobytes.
const (
	MaxBytes   = 16 << 20 // read
	MaxFiles   = 10_000   // files and directories looked for, there or not
	MaxEntries = 100_000  // of directories looked through
	MaxOptions = 100_000
)

// reader collects what the files give. The limits count down.
type reader struct {
	dir      string // where relative names start, or ""
	home     string // for "~"
	options  []entry
	warnings []string
	unsaid   int // warnings above maxWarnings

	bytesLeft, filesLeft, entriesLeft, optionsLeft int
}

func newReader(dir, home string) *reader {
	return &reader{dir: dir, home: home, bytesLeft: MaxBytes, filesLeft: MaxFiles,
		entriesLeft: MaxEntries, optionsLeft: MaxOptions}
}

// spendFile counts one look at the file system.
func (r *reader) spendFile(name string) error {
	if r.filesLeft--; r.filesLeft < 0 {
		return limitError("option file " + shown(name) + ": too many files, or files that include each other")
	}
	return nil
}

// expand puts the home directory in the place of "~/".
func (r *reader) expand(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return r.home + "/" + rest
	}
	return name
}

// abs makes a name independent of the working directory. It does not clean the
// name: the kernel's idea of "link/.." is not the text's.
func (r *reader) abs(name string) string {
	if r.dir == "" || strings.HasPrefix(name, "/") {
		return name
	}
	return r.dir + "/" + name
}

// file reads one file, depth levels below a top-level one.
func (r *reader) file(name string, depth int) error {
	name = r.abs(name)
	if err := r.spendFile(name); err != nil {
		return err
	}
	data, err := r.content(name)
	if err != nil {
		return err
	}
	return r.parse(name, data, depth)
}

// content is what a file holds, or nothing for what reads as empty.
func (r *reader) content(name string) ([]byte, error) {
	// Looked at before it is opened, since opening alone can do something to a
	// device, and looked at again, since it may have been exchanged.
	st, err := os.Stat(name)
	if err != nil {
		return nil, skippedError{name, bare(err)}
	}
	if ok, err := r.readable(name, st); !ok {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, skippedError{name, bare(err)}
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, skippedError{name, bare(err)}
	}
	if ok, err := r.readable(name, st); !ok {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, int64(r.bytesLeft)+1))
	if err != nil {
		return nil, skippedError{name, bare(err)}
	}
	if r.bytesLeft -= len(data); r.bytesLeft < 0 {
		return nil, limitError("option file " + shown(name) + ": too much to read; is this an option file?")
	}
	return data, nil
}

// readable tells whether a file is to be read. If not, it reads as empty, or
// err says why it counts as missing.
func (r *reader) readable(name string, st fs.FileInfo) (ok bool, err error) {
	switch mode := st.Mode(); {
	case mode.IsRegular() && mode.Perm()&0o002 != 0: // §6 [83, 84]
		r.warn("option file %s: not read, because everybody may write to it; take that right away (chmod o-w)", shown(name))
		return false, nil
	case mode.IsRegular():
		return true, nil
	case mode.IsDir() || isNull(st): // [78, 87]
		return false, nil
	}
	return false, skippedError{name, errors.New("not a regular file")}
}

func isNull(st fs.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(st, null)
}

// parse goes through the lines of a file (§3). Options of all groups are kept.
func (r *reader) parse(name string, data []byte, depth int) error {
	var group, folded string
	inGroup := false
	next := 1
	for len(data) > 0 {
		piece, rest := nextPiece(data)
		data = rest
		n := next
		if piece[len(piece)-1] == '\n' {
			next++
		}
		line := trimLeft(visible(piece))
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '!':
			if err := r.directive(name, n, line, depth); err != nil {
				return err
			}
		case line[0] == '[':
			if group, inGroup = groupName(line); !inGroup {
				return fmt.Errorf("option file %s line %d: group without %q", shown(name), n, "]")
			}
			folded = foldGroup(group)
		case !inGroup:
			return fmt.Errorf("option file %s line %d: option before any [group]%s", shown(name), n, bomHint(line))
		default:
			if r.optionsLeft--; r.optionsLeft < 0 {
				return limitError("option file " + shown(name) + ": too many options")
			}
			key, value, has := parseOption(line)
			r.options = append(r.options, entry{Option{group, key, value, has, name, n}, folded})
		}
	}
	return nil
}

func bomHint(line string) string {
	if strings.HasPrefix(line, "\xef\xbb\xbf") {
		return ": it begins with a byte order mark; save it as UTF-8 without one"
	}
	return ""
}
