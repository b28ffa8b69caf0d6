package sst

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pidFile is what the stock scripts know each other by.
const pidFile = "wsrep_sst.pid"

// A locker makes sure that one SST at a time works on a datadir. Between runs of
// ours a flock on the directory's own descriptor does it: it needs no file and
// dies with its process. A stock script knows only wsrep_sst.pid, so a living
// script named there is waited for as well.
type locker struct {
	table    processTable
	self     int // our own process number
	limit    time.Duration
	interval time.Duration
	say      func(string)
	warn     func(string)
}

func newLocker(say, warn func(string)) locker {
	return locker{
		table: procTable{}, self: os.Getpid(), limit: 30 * time.Second, interval: 100 * time.Millisecond,
		say: say, warn: warn,
	}
}

// lock takes the datadir. The lock lasts until the file is closed.
func (l locker) lock(ctx context.Context, datadir string) (*os.File, error) {
	dir, err := os.OpenFile(datadir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fail(exitMissing, fmt.Errorf("open the data directory: %w", err))
	}
	if err := l.wait(ctx, dir, datadir); err != nil {
		dir.Close()
		return nil, err
	}
	return dir, nil
}

func (l locker) wait(ctx context.Context, dir *os.File, datadir string) error {
	limit := time.NewTimer(l.limit)
	defer limit.Stop()
	tick := time.NewTicker(l.interval)
	defer tick.Stop()
	locked, said := false, false
	for {
		var holder string
		if !locked {
			switch err := flock(dir); {
			case err == nil:
				locked = true
			case errors.Is(err, unix.EWOULDBLOCK):
				holder = "another run of this program"
			default: // some network file systems cannot
				l.warn(fmt.Sprintf("%s cannot be locked (%v): only %s tells whether another SST runs", datadir, err, pidFile))
				locked = true
			}
		}
		if locked {
			if holder = l.script(datadir); holder == "" {
				return nil
			}
		}
		if !said {
			l.say("Previous SST is not completed, waiting for it to exit")
			said = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return advise(failf(exitRunning, "previous SST script still running on %s after %v: %s", datadir, l.limit, holder),
				"find out what it waits for; end it and start the node again")
		case <-tick.C:
		}
	}
}

func flock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			return err
		}
	}
}

// script names the living SST script of wsrep_sst.pid, "" if there is none. The
// number may be stale and given to some other process since, in a container even
// to one of our own parents: only what looks like an SST script counts.
func (l locker) script(datadir string) string {
	pid := readPid(datadir)
	if pid <= 0 || l.ours(pid) {
		return ""
	}
	p, err := l.table.process(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && p.dead {
		return ""
	}
	command, err := l.table.commandLine(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !strings.Contains(command, "wsrep_sst_") {
		return ""
	}
	return fmt.Sprintf("process %d (%s)", pid, p.name)
}

// ours says whether pid is this process or one that it came from.
func (l locker) ours(pid int) bool {
	for at, i := l.self, 0; at > 0 && i < maxClimb; i++ {
		if at == pid {
			return true
		}
		p, err := l.table.process(at)
		if err != nil {
			return false
		}
		at = p.parent
	}
	return false
}

// readPid reads wsrep_sst.pid; 0 if there is no number in it.
func readPid(datadir string) int {
	f, err := os.OpenFile(datadir+"/"+pidFile, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
	return pid
}
