package transfer

import (
	"io"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// A handle is an open regular file. It does what os.File does for one, without asking the kernel for
// its flags and its poller about it: with small files those two calls are a fifth of the work.
type handle struct {
	name string

	mu sync.RWMutex // held for reading while fd is used, so that nobody uses one that has another file by now
	fd int          // -1: closed

	// Writes to a file go one after the other in any case, by the kernel's lock of it. There they would
	// wait turning round on their CPUs, which decrypt for another stream meanwhile.
	writing sync.Mutex
}

// use calls f with the descriptor. f's error is told as that of op.
func (h *handle) use(op string, f func(fd int) error) error {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.fd < 0 {
		return pathError(op, h.name, fs.ErrClosed)
	}
	err := f(h.fd)
	for err == unix.EINTR {
		err = f(h.fd)
	}
	if err != nil {
		return pathError(op, h.name, err)
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (h *handle) ReadAt(p []byte, off int64) (n int, err error) {
	end := false
	for n < len(p) && !end && err == nil {
		err = h.use("read", func(fd int) error {
			m, err := unix.Pread(fd, p[n:], off+int64(n))
			n, end = n+max(m, 0), m == 0
			return err
		})
	}
	if err == nil && end {
		err = io.EOF
	}
	return n, err
}

// WriteAt implements io.WriterAt.
func (h *handle) WriteAt(p []byte, off int64) (n int, err error) {
	h.writing.Lock()
	defer h.writing.Unlock()
	for n < len(p) && err == nil {
		err = h.use("write", func(fd int) error {
			m, err := unix.Pwrite(fd, p[n:], off+int64(n))
			n += max(m, 0)
			if m == 0 && err == nil {
				return io.ErrUnexpectedEOF
			}
			return err
		})
	}
	return n, err
}

// Truncate cuts the file to size, or makes it so long.
func (h *handle) Truncate(size int64) error {
	return h.use("truncate", func(fd int) error { return unix.Ftruncate(fd, size) })
}

// Restat describes the file as it is now.
func (h *handle) Restat(st *unix.Stat_t) error {
	return h.use("stat", func(fd int) error { return unix.Fstat(fd, st) })
}

// Close closes it, when those who use it at this moment have done.
func (h *handle) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fd < 0 {
		return pathError("close", h.name, fs.ErrClosed)
	}
	err := unix.Close(h.fd)
	h.fd = -1
	if err != nil && err != unix.EINTR { // it is closed then, too
		return pathError("close", h.name, err)
	}
	return nil
}

// sizedFile is a handle, and what the file was when it was opened.
type sizedFile struct {
	handle
	st unix.Stat_t
}

// Size implements SourceFile.
func (f *sizedFile) Size() int64 { return f.st.Size }

// Opened describes the file when it was opened.
func (f *sizedFile) Opened() *unix.Stat_t { return &f.st }

// Descriptor is the file's, until it is closed.
func (f *sizedFile) Descriptor() int { return f.fd }
