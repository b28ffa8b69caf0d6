package sst

import (
	"bytes"
	"fmt"
	"os"

	"wsrep_sst_rsync_tunnel/sst/proc"
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
	s, err := proc.Read(pid)
	return process{pid: s.PID, parent: s.Parent, name: s.Name, start: s.Start, dead: s.Dead}, err
}

func (procTable) commandLine(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return "", proc.Gone(err)
	}
	return string(bytes.ReplaceAll(bytes.TrimRight(b, "\x00"), []byte{0}, []byte{' '})), nil
}
