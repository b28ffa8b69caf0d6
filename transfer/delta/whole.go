package delta

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// ReadError says that a local file could not be read in full. Where it is returned the stream is complete and in step,
// but what was sent cannot pass for good: the session may go on with the next file.
type ReadError struct {
	Offset int64 // of the first byte that could not be read
	Err    error
}

func (e *ReadError) Error() string { return fmt.Sprintf("read at byte %d: %v", e.Offset, e.Err) }

func (e *ReadError) Unwrap() error { return e.Err }

// Sent counts what one file of a [FileSender] became.
type Sent struct {
	Literal int64 // bytes sent as data
	Matched int64 // bytes sent as references to blocks
}

// Size is the length of the file as it was sent.
func (s Sent) Size() int64 { return s.Literal + s.Matched }

// FileSender writes the body of a reply: tokens, end of data, and the digest of the complete file (rsync-wire.md §11.1).
// The sum head before it is the caller's. It is for one goroutine, one file at a time, and keeps its state from file to
// file, so that small files cost no allocation.
type FileSender struct {
	a    *Algorithm
	file Hash
	sent Sent
	// searched is how many offsets of the last file were looked at one by one, the slow part of matching.
	searched int64
	digest   [MaxDigest]byte // here, since a local array would be allocated for each file
}

// NewFileSender returns a sender for the algorithm of the session.
func NewFileSender(a *Algorithm) *FileSender {
	return &FileSender{a: a, file: a.NewFile()}
}

// Sent returns the counts of the last file, also after an error.
func (s *FileSender) Sent() Sent { return s.sent }

// ctxEvery is how many tokens may pass between two looks at the context: 1 MiB.
const ctxEvery = 32

// Whole sends the first size bytes of f as literal data, read straight into the buffer of w.
//
// A file that has become shorter is sent as far as it goes, which is no error. If reading fails, zeros stand for the
// rest, the digest is inverted so that the receiver rejects the file (§11.1), and the result is a [*ReadError]. Any other
// error means that the stream is incomplete: the session is over.
func (s *FileSender) Whole(ctx context.Context, w *wire.Writer, f io.ReaderAt, size int64) error {
	s.start()
	src := source{f: f, size: size}
	for tokens := 0; ; tokens++ {
		if tokens%ctxEvery == 0 {
			if err := stopped(ctx, w); err != nil {
				return err
			}
		}
		n := int(min(src.size-src.off, MaxLiteral))
		if n <= 0 {
			break
		}
		buf := w.Reserve(4 + n)
		n = src.read(buf[4 : 4+n])
		if n == 0 {
			w.Commit(0)
			break
		}
		binary.LittleEndian.PutUint32(buf, uint32(n))
		s.file.Write(buf[4 : 4+n])
		w.Commit(4 + n)
		s.sent.Literal += int64(n)
	}
	return s.finish(w, src.err)
}

func (s *FileSender) start() {
	s.file.Reset()
	s.sent, s.searched = Sent{}, 0
}

// finish sends end of data and digest, a wrong one if reading failed.
func (s *FileSender) finish(w *wire.Writer, failed *ReadError) error {
	digest := s.file.Sum(s.digest[:0])
	if failed != nil {
		for i := range digest {
			digest[i] = ^digest[i]
		}
	}
	w.Int(0)
	w.Bytes(digest)
	if err := w.Err(); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	return nil
}

// stopped reports why sending is pointless.
func stopped(ctx context.Context, w *wire.Writer) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return w.Err()
}
