// Package proc reads what the kernel says of a process in /proc/PID/stat (proc(5)).
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Stat is what is of use here.
type Stat struct {
	PID, Parent int
	Name        string // at most 15 bytes: the kernel's comm
	Start       uint64 // clock ticks since boot: tells it from a later process with its number
	Dead        bool   // a zombie, or on its way out
}

// Read looks a process up; fs.ErrNotExist if there is none.
func Read(pid int) (Stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Stat{}, Gone(err)
	}
	return parse(b)
}

// Gone makes the two faces of a vanished process one: its file is not there, or not
// any more.
func Gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parse reads "PID (NAME) STATE PPID ..."; the name may hold blanks and parentheses, so
// it ends at the last one.
func parse(b []byte) (Stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return Stat{}, errStat
	}
	// From the state on; fields are numbered from 3 in proc(5).
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return Stat{}, errStat
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	parent, err2 := strconv.Atoi(f[1])
	start, err3 := strconv.ParseUint(f[19], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Stat{}, errStat
	}
	return Stat{PID: pid, Parent: parent, Name: string(b[open+1 : end]), Start: start, Dead: f[0] == "Z" || f[0] == "X"}, nil
}
