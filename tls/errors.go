package tls

import (
	"errors"
	"fmt"
)

// Error tells which object is wrong and why. Its hint is the next step for the
// operator, in a sentence of its own, and may be empty.
type Error struct {
	Object string // what the operator can look at: "tkey /tls/node.key", "joiner 10.0.0.2:4444"
	Err    error
	hint   string
}

func (e *Error) Error() string { return e.Object + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Hint is the next step for the operator, or "".
func (e *Error) Hint() string { return e.hint }

// Hint returns the hint of the first error in the chain of err that has one.
func Hint(err error) string {
	for ; err != nil; err = errors.Unwrap(err) {
		if h, ok := err.(interface{ Hint() string }); ok && h.Hint() != "" {
			return h.Hint()
		}
	}
	return ""
}

// fault builds an Error whose cause is formatted as by fmt.Errorf.
func fault(object, hint, format string, args ...any) *Error {
	return &Error{Object: object, Err: fmt.Errorf(format, args...), hint: hint}
}

// ErrNoCertificate is an empty tcert, for which the stock script has an exit code of its own.
var ErrNoCertificate = errors.New("is not set")

// ErrProbe is a connection that was closed before its first byte: a health check
// or a port scan, no peer.
var ErrProbe = errors.New("closed the connection before it said anything")
