package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errServerGone ends a role whose mariadbd died: nobody is left to read what it
// would print, and a donor must not take the tables_flushed of the next SST.
var errServerGone = errors.New("mariadbd, which started this SST, is gone")

// shells are what mariadbd starts its scripts with, under the names they may have.
var shells = []string{"sh", "dash", "bash", "ash", "busybox", "ksh", "mksh", "zsh"}

// inits adopt the orphans of a machine or a container. mariadbd itself may be
// process 1 of a container, so the number alone says nothing.
var inits = []string{"systemd", "init", "tini", "dumb-init", "docker-init", "catatonit", "runit", "s6-svscan", "conmon", "containerd-shim"}

// maxClimb bounds the climb; two steps are the rule.
const maxClimb = 16

// findServer climbs from our parent past the shells to the process that started
// this SST. wanted is the argument of --parent, 0 without one (a donor never gets
// it): a living process of that number is believed.
func findServer(table processTable, parent, wanted int) (process, error) {
	if wanted > 0 {
		if p, err := table.process(wanted); err == nil && !p.dead {
			return p, nil
		}
	}
	for pid, i := parent, 0; i < maxClimb; i++ {
		p, err := table.process(pid)
		if errors.Is(err, fs.ErrNotExist) || err == nil && p.dead {
			return process{}, errServerGone
		}
		if err != nil {
			return process{}, fmt.Errorf("find mariadbd among our parents: %w", err)
		}
		if slices.Contains(shells, p.name) {
			if p.parent == 0 {
				return process{}, errServerGone // a shell as process 1 has adopted ours
			}
			pid = p.parent
			continue
		}
		if slices.ContainsFunc(inits, func(name string) bool { return strings.HasPrefix(p.name, name) }) {
			return process{}, errServerGone
		}
		return p, nil
	}
	return process{}, errors.New("find mariadbd among our parents: nothing but shells")
}

// A serverWatch waits for the end of mariadbd. A pipe would not tell: we hold both
// ends of our own stdout (sst-contract.md, section 1).
type serverWatch struct {
	table processTable
	// openPidfd gives a descriptor that becomes readable when the process ends. A
	// kernel or container profile may refuse it; then the table is polled.
	openPidfd func(pid int) (*os.File, error)
	interval  time.Duration
	say       func(string) // nil: nobody wants to know
}

func newServerWatch() serverWatch {
	return serverWatch{table: procTable{}, openPidfd: openPidfd, interval: time.Second}
}

func openPidfd(pid int) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// wait returns errServerGone when p has ended, nil when ctx has.
func (w serverWatch) wait(ctx context.Context, p process) error {
	f, err := w.openPidfd(p.pid)
	if errors.Is(err, unix.ESRCH) {
		return errServerGone
	}
	if err != nil {
		if w.say != nil {
			w.say(fmt.Sprintf("whether mariadbd lives is looked up every %v (%v)", w.interval, err))
		}
		return w.poll(ctx, p)
	}
	defer f.Close()
	// The number may have been given to another process before the descriptor held it.
	if !w.lives(p) {
		return errServerGone
	}
	stop := context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return w.poll(ctx, p)
	}
	ended := false
	err = conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		ended = err == nil && n == 1
		return ended
	})
	switch {
	case ended:
		return errServerGone
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return w.poll(ctx, p)
	}
	return nil
}

func (w serverWatch) poll(ctx context.Context, p process) error {
	t := time.NewTicker(w.interval)
	defer t.Stop()
	for w.lives(p) {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	return errServerGone
}

// lives is false only for what is known to be gone: a table that cannot be read
// must not end an SST.
func (w serverWatch) lives(p process) bool {
	now, err := w.table.process(p.pid)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	return now.start == p.start && !now.dead
}
