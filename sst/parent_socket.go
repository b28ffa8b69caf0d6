package sst

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"
)

// errSocketGone ends a donor whose mariadbd can only be watched by its socket.
var errSocketGone = errors.New("the socket of mariadbd, which started this SST, is gone: it has ended")

// waitSocket returns errSocketGone when the socket that mariadbd gave us is removed, as
// it is when a server ends in order, or has become another server's; nil when ctx ends.
// It is for machines that do not show mariadbd among the processes: a file may vanish
// for other reasons, a process does not.
func (w serverWatch) waitSocket(ctx context.Context, socket string) error {
	first, err := os.Lstat(socket)
	if err != nil || first.Mode().Type() != fs.ModeSocket {
		<-ctx.Done() // nothing that could be watched
		return nil
	}
	t := time.NewTicker(w.interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now, err := os.Lstat(socket)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(first, now) {
			return errSocketGone
		}
	}
}
