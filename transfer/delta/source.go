package delta

import (
	"errors"
	"io"
)

// source reads a file from its beginning to size and copes with what can happen on the way: an end of file before that
// makes size smaller; after an error everything is zeros. The file is not tried again then: on a dying disk each try can
// take minutes, and the receiver will reject the file anyway.
type source struct {
	f    io.ReaderAt
	off  int64 // next byte to read
	size int64 // where the file ends, as far as is known
	err  *ReadError
}

// read fills p, which must not reach beyond size, and returns how much of it lies before the end of the file.
func (s *source) read(p []byte) int {
	n := 0
	for n < len(p) && s.err == nil {
		k, err := s.f.ReadAt(p[n:], s.off+int64(n))
		n += k
		if n == len(p) {
			break
		}
		if errors.Is(err, io.EOF) {
			s.size = s.off + int64(n)
			p = p[:n]
			break
		}
		if err == nil && k == 0 {
			err = io.ErrNoProgress
		}
		if err != nil {
			s.err = &ReadError{Offset: s.off + int64(n), Err: err}
		}
	}
	clear(p[n:])
	s.off += int64(len(p))
	return len(p)
}

// must is read for where an early end is as bad as an error. It returns how much of p was really read; the rest is zeros.
func (s *source) must(p []byte) (good int) {
	from, size := s.off, s.size
	if n := s.read(p); n < len(p) {
		s.err = &ReadError{Offset: s.off, Err: io.ErrUnexpectedEOF}
		s.off, s.size = from+int64(len(p)), size
		clear(p[n:])
	}
	if s.err == nil {
		return len(p)
	}
	return int(min(max(s.err.Offset-from, 0), int64(len(p))))
}
