package ext

import (
	"errors"
	"io"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A sumsRequest is a SUMS that waits for its answer.
type sumsRequest struct {
	rangeFrame
	h *handle
}

// maxAsked bounds the SUMS of a stream that are not answered.
const maxAsked = 64

func (s *session) askSums(f frame) error {
	r, err := parseRange(f)
	if err != nil {
		return err
	}
	h, err := s.handle(r.handle)
	if err != nil {
		return err
	}
	if s.sums == nil {
		s.sums = make(chan sumsRequest, maxAsked)
		s.sumsDone.Go(func() { s.answer(s.sums) })
	}
	select {
	case s.sums <- sumsRequest{r, h}:
		return nil
	default:
		return malformed("more than %d SUMS at a time", maxAsked)
	}
}

// answer tells the donor what we have. An error ends the stream.
func (s *session) answer(requests <-chan sumsRequest) {
	buf := make([]byte, maxData)
	var err error
	for q := range requests {
		if err != nil || s.cause() != nil {
			continue
		}
		if err = s.blocks(q, buf); err != nil {
			s.kill(err)
		}
	}
}

// blocks answers one SUMS. A file that cannot be read has nothing that could be used.
func (s *session) blocks(q sumsRequest, buf []byte) error {
	out := make([]byte, 0, headSize+8+maxSums*16)
	first := q.off / blockSize
	for off, end := q.off, q.off+q.n; ; {
		out = appendHead(out[:0], frameBlocks, 0, 0)
		out = le.AppendUint32(out, q.handle)
		out = le.AppendUint32(out, uint32(first))
		more := true
		for more && off < end && len(out) < headSize+8+maxSums*16 {
			n, err := q.h.f.existing(buf[:min(maxData, end-off)], off)
			var digests [maxBlocks]digest
			count, _ := s.hasher.blocks(buf[:n], &digests)
			s.r.Memory.set(q.h.f.mem, off/blockSize, digests[:count])
			out = append(out, bytesOf(digests[:count])...)
			off += int64(n)
			more = err == nil && n == maxData
			if err != nil && err != io.EOF {
				s.r.log(transfer.Warning, "%s: what is there cannot be used: %v", quote(q.h.f.mem.name), err)
			}
		}
		first = blocksIn(off)
		le.PutUint32(out[4:], uint32(len(out)-headSize))
		last := !more || off >= end
		if last {
			out[1] = flagLast
		}
		if err := s.say(writeLimit, out); err != nil || last {
			return err
		}
	}
}

// existing reads what a file has at off before anything is written there: the content at
// its place, or that of the older file, which is brought there with that.
func (f *rfile) existing(p []byte, off int64) (n int, err error) {
	err = f.use(func(file transfer.File) error {
		if f.older == nil {
			n, err = file.ReadAt(p, off)
			return err
		}
		n, err = f.older.ReadAt(p, off)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			return err
		}
		if _, werr := file.WriteAt(p[:n], off); werr != nil {
			n = 0
			return werr
		}
		return err
	})
	return n, err
}
