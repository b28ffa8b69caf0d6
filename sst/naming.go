package sst

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Of InnoDB's files at the top mariadbd tolerates all or none: with redo or undo but
// no ibdata1, or the other way round, it does not start, not even to tell its position
// (measured, 10.11). The files cannot be renamed in one step, but by a child that has
// nothing else to do: a few system calls, one after the other, which go on when we are
// killed.

// A move renames a file within a directory, or removes it (to is empty), or makes what
// was done before in that directory durable (from is empty). The root stays the
// caller's.
type move struct {
	root     *os.Root
	from, to string
}

func (m move) String() string {
	switch {
	case m.from == "":
		return "write the names in " + m.root.Name() + " to the disk"
	case m.to == "":
		return "remove " + m.from + " of " + m.root.Name()
	}
	return "rename " + m.from + " of " + m.root.Name() + " to " + m.to
}

// A step is a system call of the child, ready to be made.
type step struct {
	number uintptr
	args   [4]uintptr
}

// A script is the steps, and what has to stay open and in memory for them.
type script struct {
	steps []step
	dirs  []*os.File
	names []*byte
}

func (s *script) close() {
	for _, d := range s.dirs {
		d.Close()
	}
	runtime.KeepAlive(s.names)
}

func (s *script) add(m move) error {
	d, err := m.root.Open(".")
	if err != nil {
		return err
	}
	s.dirs = append(s.dirs, d)
	from, err1 := syscall.BytePtrFromString(m.from)
	to, err2 := syscall.BytePtrFromString(m.to)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	s.names = append(s.names, from, to)
	dir, fromAt, toAt := d.Fd(), uintptr(unsafe.Pointer(from)), uintptr(unsafe.Pointer(to))
	switch {
	case m.from == "":
		s.steps = append(s.steps, step{unix.SYS_FSYNC, [4]uintptr{dir}})
	case m.to == "":
		s.steps = append(s.steps, step{unix.SYS_UNLINKAT, [4]uintptr{dir, fromAt}})
	default:
		s.steps = append(s.steps, step{unix.SYS_RENAMEAT2, [4]uintptr{dir, fromAt, dir, toAt}})
	}
	return nil
}

// moveAll makes the moves in the order of the list. If one fails those before it are
// done.
func moveAll(list []move) error {
	var s script
	defer s.close()
	for _, m := range list {
		if err := s.add(m); err != nil {
			return fmt.Errorf("%v: %w", m, err)
		}
	}
	failed, errno, err := s.inChild()
	if errors.Is(err, errNoChild) {
		failed, errno = s.run()
		err = nil
	}
	if errno != 0 {
		err = fmt.Errorf("%v: %w", list[failed], errno)
	}
	return err
}

// run makes the steps; it returns the one that failed.
//
//go:norace
//go:nosplit
func (s *script) run() (int, syscall.Errno) {
	for i := range s.steps {
		st := &s.steps[i]
		for {
			_, _, errno := syscall.RawSyscall6(st.number, st.args[0], st.args[1], st.args[2], st.args[3], 0, 0)
			if errno == syscall.EINTR {
				continue
			}
			if errno != 0 {
				return i, errno
			}
			break
		}
	}
	return 0, 0
}
