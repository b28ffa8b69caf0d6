package sst

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// A watchedFile is a file or FIFO that an operator watches. An SST never waits for who
// reads it: without a reader, or with one that is slow, lines are lost.
type watchedFile struct {
	path   string
	fd     int // -1: not open
	failed bool
}

// write adds a line. An error is told once.
func (f *watchedFile) write(line string) error {
	if f.failed {
		return nil
	}
	err := f.open()
	if err == nil {
		_, err = unix.Write(f.fd, []byte(line))
	}
	switch {
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EPIPE): // a FIFO that nobody reads
		f.close()
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	}
	f.failed = true
	return err
}

func (f *watchedFile) open() (err error) {
	if f.fd >= 0 {
		return nil
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	f.fd, err = unix.Open(f.path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f.fd, err = unix.Open(f.path, flags|unix.O_CREAT|unix.O_EXCL, 0o640)
	}
	if errors.Is(err, fs.ErrExist) { // the other role was first
		f.fd, err = unix.Open(f.path, flags, 0)
	}
	return err
}

func (f *watchedFile) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}
