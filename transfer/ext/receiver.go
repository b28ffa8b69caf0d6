package ext

import (
	"context"
	"net"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A Receiver is the joiner's side. It lives as long as the SST; the fields are set
// before the first Serve.
type Receiver struct {
	// Stores has one for each number of a root that the donor may use. Files are
	// written in place. nil: that root is refused.
	Stores []transfer.Store
	Owners transfer.Owners // nil: transfer.SystemOwners
	// Memory is what this side knows of its own files. nil: a memory in RAM.
	Memory *Memory
	// Progress, if set, is called with how many bytes more of content were written, by
	// several goroutines.
	Progress func(n int64)
	// Log, if set, gets a line about a file that was refused, or damaged on its way.
	Log func(level transfer.Level, line string)
}

// Serve serves one stream, after the hellos, until the donor closes it (nil), it breaks, ctx
// ends, or something makes going on pointless: the donor has then been told
// (*FatalError). Many may run at once; a stream that takes the place of a broken one
// ends the Serve of that. The connection is closed.
func (r *Receiver) Serve(ctx context.Context, conn net.Conn) error { panic("skeleton") }

// Close closes what files are still open. No Serve may be running.
func (r *Receiver) Close() error { panic("skeleton") }

// A FatalError is what makes the whole transfer fail: no room on the disk, a donor that breaks
// the protocol. The donor gets its text.
type FatalError struct{ Err error }

func (e *FatalError) Error() string { return e.Err.Error() }

func (e *FatalError) Unwrap() error { return e.Err }
