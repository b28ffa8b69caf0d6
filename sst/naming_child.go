package sst

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// errNoChild says that no child process can be had: nothing has been done.
var errNoChild = errors.New("fork is refused")

// inChild runs the steps in a child process and waits for its end. The child is a
// copy of this process with a single thread, in which Go's runtime does not work: it
// makes raw system calls and nothing else, with all signals blocked, and ends. No
// program is started.
func (s *script) inChild() (failed int, errno syscall.Errno, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, 0, errNoChild
	}
	defer r.Close()
	pid, errno := s.fork(w.Fd())
	w.Close()
	if errno != 0 {
		return 0, 0, errNoChild
	}
	var report [2]uint32
	readErr := binary.Read(r, binary.NativeEndian, &report)
	var status unix.WaitStatus
	for {
		if _, err = unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			break
		}
	}
	switch {
	case readErr == nil:
		return int(report[0]), syscall.Errno(report[1]), nil
	case !errors.Is(readErr, io.EOF):
		return 0, 0, fmt.Errorf("rename files: %w", readErr)
	case err != nil || !status.Exited() || status.ExitStatus() != 0:
		return 0, 0, errors.New("rename files: the child process that does it was ended")
	}
	return 0, 0, nil
}

// A signalMask is as the kernel has it.
type signalMask uint64

// fork makes the child, in which it runs the steps; it returns in the parent only.
//
//go:norace
//go:noinline
func (s *script) fork(report uintptr) (pid int, errno syscall.Errno) {
	runtime.LockOSThread() // whose mask it is
	defer runtime.UnlockOSThread()
	all, old := ^signalMask(0), signalMask(0)
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(all), 0, 0)
	n, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if n == 0 && errno == 0 {
		s.child(report)
	}
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, unsafe.Sizeof(old), 0, 0)
	return int(n), errno
}

// child is what the child does. It writes the step that failed and its errno to the
// descriptor report, nothing if all went well, and does not return.
//
//go:norace
//go:nosplit
func (s *script) child(report uintptr) {
	step, errno := s.run()
	status := uintptr(0)
	if errno != 0 {
		result := [2]uint32{uint32(step), uint32(errno)}
		syscall.RawSyscall(unix.SYS_WRITE, report, uintptr(unsafe.Pointer(&result)), unsafe.Sizeof(result))
		status = 1
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
	}
}
