package sst

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

// A process as /proc shows it. Start (clock ticks since boot) tells it from a
// later one with the same number.
type process struct {
	pid, parent int
	name        string // at most 15 bytes: the kernel's comm
	start       uint64
	dead        bool // a zombie, or on its way out
}

// A processTable looks processes up. It is an interface so that tests can show a
// family that does not exist.
type processTable interface {
	// process gives the process of that number; fs.ErrNotExist when there is none.
	process(pid int) (process, error)
	// commandLine gives its arguments, joined by blanks.
	commandLine(pid int) (string, error)
}

// procTable is the kernel's own table.
type procTable struct{}

func (procTable) process(pid int) (process, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, gone(err)
	}
	return parseStat(b)
}

func (procTable) commandLine(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", gone(err)
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(b, "\x00"), []byte{0}, []byte{' '})), nil
}

// gone makes the two faces of a vanished process one.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}

var errStat = errors.New("not a line of /proc/PID/stat")

// parseStat reads "PID (NAME) STATE PPID ..."; the name may hold blanks and
// parentheses, so it ends at the last one.
func parseStat(b []byte) (process, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return process{}, errStat
	}
	// From the state on; fields are numbered from 3 in proc(5).
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 20 {
		return process{}, errStat
	}
	pid, err1 := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	parent, err2 := strconv.Atoi(f[1])
	start, err3 := strconv.ParseUint(f[19], 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return process{}, errStat
	}
	return process{
		pid: pid, parent: parent, name: string(b[open+1 : end]), start: start,
		dead: f[0] == "Z" || f[0] == "X",
	}, nil
}
