package ext

import (
	"context"
	"net"
	"time"
)

// Options of a Sender.
type Options struct {
	// Connections is how many streams there are at a time, 1 to 16; 0 means 1. Each
	// also is a reader: under the lock, as many as there are cores.
	Connections int
	// Dial makes one stream connection on which the two hellos have been said. It is
	// called when a connection is needed for the first time and after each break; it
	// may be called by several goroutines. How often it tries is its business: an
	// error of it ends Send.
	Dial func(ctx context.Context) (net.Conn, error)
	// Compress is off by default.
	Compress Compression
	// Memory is what is known of the joiner's files, and learns what is sent. nil: a
	// memory that lasts as long as the Sender, in RAM.
	Memory *Memory
	// Sums says that the joiner has old data: what of a file Memory does not know, the
	// joiner is asked for first.
	Sums bool
	// Timeout is how long the joiner may take to acknowledge anything before the
	// connection counts as broken; 0: 60 s.
	Timeout time.Duration
	// Pace, if set, is called before n bytes are read, by several goroutines: it may
	// wait, to be polite. An error ends Send.
	Pace func(ctx context.Context, n int) error
	// Progress, if set, is called with how many bytes more were read, and how many
	// more of content sent, by several goroutines.
	Progress func(read, sent int64)
	// Log, if set, gets a line about each connection that broke.
	Log func(line string)
}

// Compression says whether contents travel compressed.
type Compression int

// The kinds of compression.
const (
	Off  Compression = iota
	Zstd             // zstd, except for what does not shrink
	Auto             // zstd as long as it makes the transfer faster
)

// ParseCompression reads "off", "zstd" or "auto".
func ParseCompression(s string) (Compression, error) { panic("skeleton") }

// A Sender is the donor's side. One Send at a time.
type Sender struct{}

// New makes a Sender. Connections are made when they are needed, and stay for the
// next Send.
func New(o Options) *Sender { panic("skeleton") }

// Send brings files to the joiner: it reads each once, sends the blocks of which
// Memory says or cannot say that they are different there, and returns when the
// joiner has committed all of them. The results are in the order of files. Files that vanished
// or cannot be read, or that the joiner refused, have an Err in their result; Send itself
// fails only if Dial fails, ctx ends, a file was damaged twice on its way, or the joiner
// gave up (*GaveUpError). It then may be called again.
//
// Each file is sent to the length it has when it is opened, or to an end met
// before that.
func (s *Sender) Send(ctx context.Context, files []File) ([]Result, error) { panic("skeleton") }

// Close closes the connections.
func (s *Sender) Close() error { panic("skeleton") }

// A GaveUpError is the joiner's reason to end the SST: no room on its disk, for instance.
type GaveUpError struct{ Reason string }

func (e *GaveUpError) Error() string { return "the joiner gave up: " + e.Reason }
