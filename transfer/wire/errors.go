package wire

import (
	"errors"
	"fmt"
	"io"
)

// A ProtocolError is something the peer did that the protocol does not allow. The session cannot go on; the exit code is 12
// (rsync-wire.md §16.1) unless the caller knows better.
type ProtocolError struct {
	Section string // of rsync-wire.md, such as "6.1"
	Msg     string
}

func (e *ProtocolError) Error() string {
	return "protocol error: " + e.Msg + " (rsync-wire.md §" + e.Section + ")"
}

// Errorf makes a [*ProtocolError]. Text that came from the peer belongs under %q: it may hold anything.
func Errorf(section, format string, a ...any) error {
	return &ProtocolError{Section: section, Msg: fmt.Sprintf(format, a...)}
}

// errReleased is what remains of a Reader or Writer whose buffer went back to the pool.
var errReleased = errors.New("wire: used after Release")

// inside turns the end of input in the middle of an item into an error of its own.
func inside(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
