package sst

import (
	"errors"
	"fmt"

	"wsrep_sst_rsync_tunnel/sst/report"
)

// Exit statuses, as the stock scripts use them (sst-options.md, section 4).
// mariadbd takes a status for an errno, so a failure always has one of these or a
// neighbour, and never 0.
const (
	exitMissing  = 2   // ENOENT: something that must be there is not
	exitSignal   = 3   // INT, QUIT, TERM
	exitBusy     = 16  // EBUSY: the port is taken
	exitInvalid  = 22  // EINVAL: an option, an address, a certificate
	exitPipe     = 32  // EPIPE: HUP, PIPE, the parent is gone, the joiner got nothing
	exitProtocol = 71  // EPROTO: the peer broke the protocol
	exitRunning  = 114 // EALREADY: the SST before this one still runs
	exitOther    = 255 // the flush failed, a transfer failed
)

// A failure is an error that ends the role: with the status to exit with, or with
// what somebody can do about it, or both.
type failure struct {
	code int // 0: not decided here
	err  error
	hint string
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// Hint is the next step for the operator, "" if there is none.
func (f *failure) Hint() string { return f.hint }

// fail gives err a status, unless something closer to the cause has done so.
func fail(code int, err error) error {
	if err == nil || decided(err) != 0 {
		return err
	}
	return &failure{code: code, err: err}
}

func failf(code int, format string, a ...any) error {
	return fail(code, fmt.Errorf(format, a...))
}

// advise adds the next step to err, unless there is one already.
func advise(err error, text string) error {
	if err == nil || report.Hint(err) != "" {
		return err
	}
	return &failure{err: err, hint: text}
}

// saidError ends the role for a reason that is in the log already.
type saidError struct{ error }

func (e saidError) Unwrap() error { return e.error }

// statusOf is the exit status that err asks for.
func statusOf(err error) int {
	if code := decided(err); code != 0 {
		return code
	}
	return exitOther
}

// decided is the status that something in err has decided on, 0 if nothing has.
func decided(err error) int {
	for {
		f, ok := errors.AsType[*failure](err)
		if !ok {
			return 0
		}
		if f.code != 0 {
			return f.code
		}
		err = f.err
	}
}
