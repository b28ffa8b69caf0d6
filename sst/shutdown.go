package sst

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"
)

// A mariadbd that is told to shut down does not tell its SST program: it waits for its
// end, which in the rounds before the lock may be hours away. The first thing that it
// does is to close its socket.

// socketInterval is the time between two looks at the socket.
const socketInterval = time.Second

var errShutdown = errors.New("mariadbd is shutting down (it has closed its socket)")

// untilShutdown gives a context that ends when the server closes its socket, and the
// function that ends the watch. A server without a socket is not watched.
func untilShutdown(ctx context.Context, socket string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if _, err := os.Lstat(socket); err != nil {
		return ctx, func() { cancel(nil) }
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(socketInterval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if isClosed(socket, "/proc/net/unix") {
				cancel(fail(exitPipe, errShutdown))
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// isClosed says whether nobody listens at a socket any more. One whose file somebody
// has removed is still in the kernel's table.
func isClosed(socket, table string) bool {
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	text, err := os.ReadFile(table)
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " "+socket) {
			return false
		}
	}
	return true
}
