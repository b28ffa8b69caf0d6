package transfer

import (
	"bytes"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// dirFile is a File of a DirStore.
type dirFile struct {
	store  *DirStore
	f      *os.File
	name   string // where it belongs (on disk)
	disk   string // where it is: name, or a temporary name beside it
	size   int64  // length on disk so far; below it there may be old bytes
	sparse bool
}

func (f *dirFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

// holePage is the unit in which zero bytes become holes: what file systems
// allocate, and the step of InnoDB's page compression.
const holePage = 4096

var zeroPage [holePage]byte

// WriteAt writes p; in a sparse file, aligned pages of zero bytes are left out
// beyond the end of the file and punched out of what is there.
func (f *dirFile) WriteAt(p []byte, off int64) (int, error) {
	if !f.sparse {
		return f.write(p, off)
	}
	total := len(p)
	for len(p) > 0 {
		n, zero := run(p, off)
		var err error
		if zero {
			err = f.hole(off, int64(n))
		} else {
			_, err = f.write(p[:n], off)
		}
		if err != nil {
			return total - len(p), err
		}
		p, off = p[n:], off+int64(n)
	}
	return total, nil
}

func (f *dirFile) write(p []byte, off int64) (int, error) {
	n, err := f.f.WriteAt(p, off)
	f.size = max(f.size, off+int64(n))
	return n, err
}

// run gives the length of the leading run of pages in p that are all zero or all
// not. Pieces of pages count as data.
func run(p []byte, off int64) (n int, zero bool) {
	for n < len(p) {
		step := min(holePage-int((off+int64(n))%holePage), len(p)-n)
		z := step == holePage && p[n] == 0 && p[n+step-1] == 0 && bytes.Equal(p[n:n+step], zeroPage[:])
		if n == 0 {
			zero = z
		} else if z != zero {
			break
		}
		n += step
	}
	return n, zero
}

// hole makes [off, off+n) read as zeros without taking room.
func (f *dirFile) hole(off, n int64) error {
	old := min(n, f.size-off)
	if old <= 0 {
		return nil // beyond the end; Commit sets the length
	}
	err := unix.Fallocate(int(f.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, old)
	for err == unix.EINTR {
		err = unix.Fallocate(int(f.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, old)
	}
	if err == nil {
		return nil
	}
	for ; old > 0; old, off = old-holePage, off+holePage { // a file system without holes
		if _, err := f.f.WriteAt(zeroPage[:min(old, holePage)], off); err != nil {
			return err
		}
	}
	return nil
}

// Commit implements File.
func (f *dirFile) Commit(size int64, a Attrs) error {
	err := f.cut(size)
	if err == nil {
		err = f.store.setAttrs(f.disk, a)
	}
	if e := f.f.Close(); err == nil && e != nil {
		err = pathError("close", f.name, e)
	}
	if f.disk == f.name {
		return err
	}
	if err == nil {
		err = f.store.rename(f.disk, f.name)
	}
	if err != nil {
		f.store.unlink(f.disk)
	}
	return err
}

// Abandon implements File.
func (f *dirFile) Abandon(size int64) error {
	var err error
	if f.disk != f.name {
		f.store.unlink(f.disk)
	} else if size >= 0 {
		err = f.cut(size)
	}
	if e := f.f.Close(); err == nil && e != nil {
		err = pathError("close", f.name, e)
	}
	return err
}

func (f *dirFile) cut(size int64) error {
	if f.size == size {
		return nil
	}
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.size = size
	return nil
}

func (s *DirStore) rename(from, to string) error {
	return s.tree.at(from, func(dir int, leaf string) error {
		if err := unix.Renameat(dir, leaf, dir, path.Base(to)); err != nil {
			return pathError("rename", from, err)
		}
		return nil
	})
}

func (s *DirStore) unlink(name string) {
	_ = s.tree.at(name, func(dir int, leaf string) error { return unix.Unlinkat(dir, leaf, 0) })
}
