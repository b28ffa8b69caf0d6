package transfer

import (
	"io"

	"wsrep_sst_rsync_tunnel/transfer/delta"
)

// sink writes the contents of one file. It gathers data into large aligned writes:
// that saves system calls, and only whole pages can become holes.
type sink struct {
	f       File
	inPlace bool
	head    delta.SumHead
	basis   io.ReaderAt
	closer  io.Closer // the basis, if it is not f

	buf  *[bufferSize]byte
	off  int64 // where buf begins in the file
	fill int

	block []byte
}

// newSink prepares to receive into f. In place the basis is f itself; otherwise it
// is the file that f is going to replace, or an older one.
func (r *receiver) newSink(path string, f File, w want) (*sink, error) {
	s := &sink{f: f, inPlace: r.args.inPlace && !w.isNew, head: w.head, basis: f, buf: buffers.Get().(*[bufferSize]byte)}
	if w.head.Count > 0 && !s.inPlace {
		old, err := openBasis(r.module.Store, path, w.isNew)
		if err != nil {
			s.close()
			return nil, err
		}
		s.basis, s.closer = old, old
	}
	return s, nil
}

func (s *sink) close() {
	buffers.Put(s.buf)
	s.buf = nil
	if s.closer != nil {
		s.closer.Close()
	}
}

// Literal implements delta.Sink.
func (s *sink) Literal(p []byte) error {
	for len(p) > 0 {
		// Keep the buffer's end aligned to its size, whatever moved its start.
		room := bufferSize - int(s.off%bufferSize) - s.fill
		n := copy(s.buf[s.fill:s.fill+room], p)
		s.fill += n
		p = p[n:]
		if n == room {
			if err := s.write(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Copy implements delta.Sink.
func (s *sink) Copy(i int32) ([]byte, error) {
	off, n := s.head.Block(i)
	if cap(s.block) < n {
		s.block = make([]byte, n)
	}
	p := s.block[:n]
	if _, err := s.basis.ReadAt(p, off); err != nil {
		return nil, err
	}
	if s.inPlace && off == s.off+int64(s.fill) {
		// At its own place: nothing to write.
		if err := s.write(); err != nil {
			return nil, err
		}
		s.off += int64(n)
		return p, nil
	}
	return p, s.Literal(p)
}

func (s *sink) write() error {
	if s.fill == 0 {
		return nil
	}
	_, err := s.f.WriteAt(s.buf[:s.fill], s.off)
	s.off += int64(s.fill)
	s.fill = 0
	return err
}

// flush writes what is left.
func (s *sink) flush() error {
	if err := s.write(); err != nil {
		return &delta.SinkError{Err: err}
	}
	return nil
}
