package sst

import (
	"io"
	"os"
	"time"
)

// maxStdin bounds what is read of the credentials that newer servers write to a
// donor's stdin.
const maxStdin = 64 << 10

// stdinLimit is how long they are waited for.
const stdinLimit = 2 * time.Second

// readStdin reads stdin to its end if it is a pipe: a server that writes there must
// not be left with a full or broken one. The credentials are of no use to us.
func (r *run) readStdin() {
	info, err := r.stdin.Stat()
	if err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	// Without a deadline (a pipe that cannot be polled) nothing is read: waiting for
	// a server that says nothing would hold up the SST.
	if r.stdin.SetReadDeadline(time.Now().Add(stdinLimit)) == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.stdin, maxStdin))
	}
}
