package sst

import (
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxStdin bounds what is read of the credentials that newer servers write to a
// donor's stdin.
const maxStdin = 64 << 10

// stdinLimit is how long they are waited for.
const stdinLimit = 2 * time.Second

// readStdin reads stdin to its end if it is a pipe: a server that writes there must
// not be left with a full or broken one. What it says of the joiner is returned; the
// other credentials are of no use to us.
func (r *run) readStdin() remoteAuth {
	info, err := r.stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return remoteAuth{}
	}
	// A pipe from another program blocks, and only one that does not has a deadline:
	// waiting for a server that says nothing would hold up the SST.
	fd, err := unix.FcntlInt(r.stdin.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return remoteAuth{}
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return remoteAuth{}
	}
	f := os.NewFile(uintptr(fd), "stdin")
	defer f.Close()
	if f.SetReadDeadline(time.Now().Add(stdinLimit)) != nil {
		return remoteAuth{}
	}
	text, _ := io.ReadAll(io.LimitReader(f, maxStdin)) // what came in time counts
	return parseCredentials(string(text))
}

// parseCredentials finds sst_remote_user and sst_remote_password in lines NAME=VALUE.
// A line that is not complete is none.
func parseCredentials(text string) remoteAuth {
	var a remoteAuth
	for line := range strings.Lines(text) {
		line, whole := strings.CutSuffix(line, "\n")
		if !whole {
			break
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r"), "=")
		switch name {
		case "sst_remote_user":
			a.user = value
		case "sst_remote_password":
			a.secret = value
		}
	}
	return a
}
