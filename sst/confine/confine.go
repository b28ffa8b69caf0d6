// Package confine takes from this process what an SST does not need: every file but those of a few folders
// (landlock), the way to more privileges (no_new_privs), and core dumps, which would hold keys and data.
//
// It promises that what it could do holds for all threads, those that come later included, and cannot be undone. What the
// kernel, its configuration or the profile of a container refuses is an error for the caller to tell; nothing depends on it.
// Which folders a role needs is not known here.
package confine

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Access is what may be done below a path. Landlock knows no more of chmod, chown, stat and locks than the permissions of
// the files do, so these stay as they are; and no program may be started at all.
type Access uint8

// The kinds of access.
const (
	Read   Access = 1 << iota // read files, list directories
	Write                     // write to files that are there
	Make                      // make files, directories, links, FIFOs and sockets; with Remove: rename
	Remove                    // remove files and directories
	All    = Read | Write | Make | Remove
)

// A Rule allows access to a file, or to a directory and everything below it, whatever links lead there. A path that does not
// exist allows nothing.
type Rule struct {
	Path   string
	Access Access
}

// A Kernel is what is asked of the system, for tests to refuse.
type Kernel struct {
	// Version is the newest version of landlock's interface, 1 or higher.
	Version func() (int, error)
	// Create makes a set of rules for the given rights.
	Create func(rights uint64) (fd int, err error)
	// Add adds a rule for the open path.
	Add func(set int, rights uint64, path int) error
	// NoNewPrivs and Enforce concern all threads.
	NoNewPrivs func() error
	Enforce    func(set int) error
}

// Linux is the kernel that we run on.
func Linux() Kernel {
	return Kernel{
		Version: func() (int, error) {
			v, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
			return int(v), failed("landlock_create_ruleset", e)
		},
		Create: func(rights uint64) (int, error) {
			attr := unix.LandlockRulesetAttr{Handled_access_fs: rights}
			// The first version knew this field only, and later ones take what is not there for zero.
			fd, _, e := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr.Handled_access_fs), 0)
			return int(fd), failed("landlock_create_ruleset", e)
		},
		Add: func(set int, rights uint64, path int) error {
			attr := unix.LandlockPathBeneathAttr{Allowed_access: rights, Parent_fd: int32(path)}
			_, _, e := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(set), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&attr)), 0, 0, 0)
			return failed("landlock_add_rule", e)
		},
		NoNewPrivs: func() error {
			_, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0)
			return failed("prctl PR_SET_NO_NEW_PRIVS", e)
		},
		Enforce: func(set int) error {
			_, _, e := syscall.AllThreadsSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, uintptr(set), 0, 0)
			return failed("landlock_restrict_self", e)
		},
	}
}

func failed(call string, e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return os.NewSyscallError(call, e)
}

// The rights of landlock, by the version that brought them.
const (
	readFile = unix.LANDLOCK_ACCESS_FS_READ_FILE
	readDir  = unix.LANDLOCK_ACCESS_FS_READ_DIR
	write    = unix.LANDLOCK_ACCESS_FS_WRITE_FILE
	truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE // 3
	refer    = unix.LANDLOCK_ACCESS_FS_REFER    // 2: rename from one directory to another, never allowed before
	makes    = unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK
	removes = unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR
	never   = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK

	// ofFiles are those that a rule for a file may have.
	ofFiles = readFile | write | truncate
)

// handled are the rights that a version can take away.
func handled(version int) uint64 {
	rights := uint64(readFile | readDir | write | makes | removes | never)
	if version >= 2 {
		rights |= refer
	}
	if version >= 3 {
		rights |= truncate
	}
	return rights
}

func (a Access) rights() (r uint64) {
	for _, part := range []struct {
		access Access
		rights uint64
	}{{Read, readFile | readDir}, {Write, write | truncate}, {Make, makes}, {Remove, removes}, {Make | Remove, refer}} {
		if a&part.access == part.access {
			r |= part.rights
		}
	}
	return r
}

// Restrict allows what the rules say and nothing else, for good. It returns the version of landlock that it did it with.
func (k Kernel) Restrict(rules []Rule) (version int, err error) {
	if version, err = k.Version(); err != nil {
		return 0, err
	}
	rights := handled(version)
	set, err := k.Create(rights)
	if err != nil {
		return 0, err
	}
	defer unix.Close(set)
	for _, r := range rules {
		if err := k.allow(set, r, rights); err != nil {
			return 0, fmt.Errorf("%s: %w", r.Path, err)
		}
	}
	if err := k.NoNewPrivs(); err != nil {
		return 0, err
	}
	return version, k.Enforce(set)
}

func (k Kernel) allow(set int, r Rule, handled uint64) error {
	fd, err := unix.Open(r.Path, unix.O_PATH|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.EACCES), errors.Is(err, unix.ELOOP):
		return nil // what cannot be reached need not be allowed
	case err != nil:
		return os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	rights := r.Access.rights() & handled
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		rights &= ofFiles
	}
	if rights == 0 {
		return nil
	}
	return k.Add(set, rights, fd)
}

// NoCoreDumps sees to it that this process leaves none. A limit of one byte, not of none: where core dumps go through a
// program, the kernel takes 1 for "no", and no other limit counts (core(5)). PR_SET_DUMPABLE would do it as well, but it takes
// /proc/self from an ordinary user, and chmod goes by that. An ordinary user whose limit is none already cannot raise it
// to 1; that is an error only where a program would be handed the core.
func NoCoreDumps() error {
	err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: 1, Max: 1})
	if errors.Is(err, unix.EPERM) {
		pattern, unknown := os.ReadFile("/proc/sys/kernel/core_pattern")
		if unknown == nil && !strings.HasPrefix(string(pattern), "|") {
			return nil
		}
	}
	return os.NewSyscallError("setrlimit RLIMIT_CORE", err)
}
