package delta

import (
	"bytes"
	"fmt"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Sink takes the contents of one file in the order of the output. It knows where it stands: each call continues at the
// end of the one before. An error stops [Receive] at once, in the middle of the stream; a sink that would rather have
// the rest of the file read and dropped keeps its error to itself and accepts everything from then on.
type Sink interface {
	// Literal appends data. p is valid during the call only.
	Literal(p []byte) error
	// Copy appends block number block of the basis, 0 ≤ block < SumHead.Count, and returns its bytes for the digest, in
	// the length of SumHead.Block, valid until the next call. In place the block may overlap the place it goes to, so it
	// has to be read whole before any of it is written; at its own place it need not be written (rsync-wire.md §13).
	// A sink that cannot produce the bytes returns nil: the file then counts as failed.
	Copy(block int32) (p []byte, err error)
}

// SinkError wraps what a [Sink] refused with, to tell it from an error of the connection.
type SinkError struct{ Err error }

func (e *SinkError) Error() string { return e.Err.Error() }

func (e *SinkError) Unwrap() error { return e.Err }

// Receive reads the body of a reply, tokens and digest, and hands the contents to sink. head is the sum head of the
// request, against which block numbers are checked: with a zero head any reference to a block is a protocol error.
//
// n is the length of the file as the tokens produce it, and ok says whether its digest is the sender's. With a nil sink
// the reply is read and dropped (a file that cannot be opened), and ok is false.
//
// Literals are passed on as they lie in the buffer of r, whatever length a token announces.
func Receive(r *wire.Reader, head SumHead, a *Algorithm, sink Sink) (n int64, ok bool, err error) {
	return NewReceiver(a).Receive(r, head, sink)
}

// Receiver is [Receive] for many files: it keeps the state of the digest, so that small files cost no allocation. It is
// for one goroutine.
type Receiver struct {
	a       *Algorithm
	file    Hash
	matched int64
	digests [2 * MaxDigest]byte // here, since a local array would be allocated for each file
}

// NewReceiver returns a receiver for the algorithm of the session.
func NewReceiver(a *Algorithm) *Receiver {
	return &Receiver{a: a, file: a.NewFile()}
}

// Matched returns how many bytes of the last file were references to blocks.
func (v *Receiver) Matched() int64 { return v.matched }

// Receive does what the function [Receive] says.
func (v *Receiver) Receive(r *wire.Reader, head SumHead, sink Sink) (n int64, ok bool, err error) {
	v.file.Reset()
	v.matched = 0
	complete := sink != nil
	for {
		t, err := ReadToken(r)
		switch {
		case err != nil:
			return n, false, err
		case t > 0:
			if err := v.literal(r, int(t), sink); err != nil {
				return n, false, err
			}
			n += int64(t)
		case t < 0:
			size, had, err := v.copy(head, TokenBlock(t), sink)
			if err != nil {
				return n, false, err
			}
			n += int64(size)
			complete = complete && had
		default:
			same, err := v.digest(r)
			return n, same && complete && err == nil, err
		}
	}
}

func (v *Receiver) literal(r *wire.Reader, left int, sink Sink) error {
	for left > 0 {
		p, err := r.Next(left)
		if err != nil {
			return noEOF(err)
		}
		left -= len(p)
		if sink == nil {
			continue
		}
		// The digest first: the bytes are then in the cache for both, and the sink cannot have changed them.
		v.file.Write(p)
		if err := sink.Literal(p); err != nil {
			return &SinkError{err}
		}
	}
	return nil
}

func (v *Receiver) copy(head SumHead, block int32, sink Sink) (size int, had bool, err error) {
	if block >= head.Count {
		return 0, false, wire.Errorf("17.1", "reference to block %d of a file of %d blocks", block, head.Count)
	}
	_, size = head.Block(block)
	v.matched += int64(size)
	if sink == nil {
		return size, false, nil
	}
	p, err := sink.Copy(block)
	switch {
	case err != nil:
		return 0, false, &SinkError{err}
	case p == nil:
		return size, false, nil
	case len(p) != size:
		return 0, false, &SinkError{fmt.Errorf("block %d of the basis has %d bytes instead of %d", block, len(p), size)}
	}
	v.file.Write(p)
	return size, true, nil
}

// digest reads the sender's digest and compares it with ours.
func (v *Receiver) digest(r *wire.Reader) (same bool, err error) {
	theirs := v.digests[:v.a.size]
	if err := r.Full(theirs); err != nil {
		return false, noEOF(err)
	}
	ours := v.file.Sum(v.digests[MaxDigest:MaxDigest])
	return bytes.Equal(ours, theirs), nil
}
