package mycnf

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// maxWarnings is how many warnings are kept in full.
const maxWarnings = 100

// limitError ends everything, also from within an included file.
type limitError string

func (e limitError) Error() string { return string(e) }

// skippedError says why a file was not read at all. It only is an error where
// the file is required.
type skippedError struct {
	name string
	err  error
}

func (e skippedError) Error() string { return "option file " + shown(e.name) + ": " + e.err.Error() }
func (e skippedError) Unwrap() error { return e.err }

// bare takes the name out of an error of package os, for messages that say the
// name themselves.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// shown is a file name as a message has it. Names come from files and
// directories that others wrote, and must not forge lines of a log.
func shown(name string) string {
	if strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) || c == unicode.ReplacementChar }) {
		return strconv.Quote(name)
	}
	return name
}

func (r *reader) warn(format string, a ...any) {
	if len(r.warnings) == maxWarnings {
		r.unsaid++
		return
	}
	r.warnings = append(r.warnings, fmt.Sprintf(format, a...))
}

// warnSkipped tells of a file that is there and was not read. That a file is
// not there needs no word.
func (r *reader) warnSkipped(e skippedError) {
	if !errors.Is(e, fs.ErrNotExist) && !errors.Is(e, syscall.ENOTDIR) {
		r.warn("%v; not read", e)
	}
}
