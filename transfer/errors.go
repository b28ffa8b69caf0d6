package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Level grades what a session has to say.
type Level int

// The levels, as a log knows them.
const (
	Info Level = iota
	Warning
	Error
)

// rsync's exit codes (§16.1).
const (
	ExitSyntax      = 1
	ExitProtocol    = 2
	ExitUnsupported = 4
	ExitStart       = 5  // the daemon refused before the transfer began
	ExitSocket      = 10 // the connection broke
	ExitFile        = 11 // a file could not be written or made
	ExitStream      = 12 // the peer broke the protocol
	ExitSignal      = 20
	ExitPartial     = 23 // some files were not transferred
	ExitVanished    = 24 // some files went away while they were sent
	ExitTimeout     = 30
)

// ExitError is how a session fails. Code is what rsync would have exited with;
// Said is what the peer said about it, in its own words.
type ExitError struct {
	Code int
	Err  error
	Said []string
}

func (e *ExitError) Error() string {
	s := e.Err.Error()
	if len(e.Said) > 0 {
		s += "; the other side said: " + strings.Join(e.Said, "; ")
	}
	return s
}

func (e *ExitError) Unwrap() error { return e.Err }

func exitf(code int, format string, a ...any) *ExitError {
	return &ExitError{Code: code, Err: fmt.Errorf(format, a...)}
}

// exitCode gives err the code that rsync would exit with.
func exitCode(err error) int {
	var exit *ExitError
	var proto *wire.ProtocolError
	switch {
	case errors.As(err, &exit):
		return exit.Code
	case errors.As(err, &proto):
		return ExitStream
	case errors.Is(err, errSilence), errors.Is(err, os.ErrDeadlineExceeded):
		return ExitTimeout
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ExitSignal
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ExitStream
	}
	return ExitSocket
}

// printable makes peer text safe for a log: one line, control bytes as \#ooo, and
// not too long.
func printable(s string) string {
	s = strings.TrimRight(s, "\r\n")
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < wire.MaxText; i++ {
		if c := s[i]; c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "\\#%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
