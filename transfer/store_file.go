package transfer

import (
	"bytes"
	"path"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// dirFile is a File of a DirStore.
type dirFile struct {
	store  *DirStore
	f      *sizedFile
	shown  string       // last component of what the session calls it
	name   string       // where it belongs (on disk)
	disk   string       // where it is: name, or a temporary name beside it
	size   atomic.Int64 // length on disk so far, or less while others write; below it there may be old bytes
	sparse bool

	written atomic.Int64
}

// Opened implements File.
func (f *dirFile) Opened() Stat { return infoOf(f.shown, &f.f.st) }

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
	f.grown(off + int64(n))
	if now := f.written.Add(int64(n)); now/writeBehind != (now-int64(n))/writeBehind {
		// A wish only: what fails here shows again when it is synced.
		_ = f.f.use("write behind", func(fd int) error { return unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) })
	}
	return n, err
}

// writeBehind is after how many bytes the kernel is told to begin writing them to the disk, so that
// the sync at the end of the transfer finds little to do.
const writeBehind = 16 << 20

// grown notes that the file reaches to end.
func (f *dirFile) grown(end int64) {
	for {
		size := f.size.Load()
		if end <= size || f.size.CompareAndSwap(size, end) {
			return
		}
	}
}

// zeroBlock is what a file without holes is zeroed with.
var zeroBlock [bufferSize]byte

// Zero implements File. Pieces of pages at the ends of a hole are written.
func (f *dirFile) Zero(off, n int64) error {
	if f.sparse {
		head := min(n, -off&(holePage-1))
		body := (n - head) &^ (holePage - 1)
		if err := f.zeros(off, head); err != nil {
			return err
		}
		if err := f.hole(off+head, body); err != nil {
			return err
		}
		off, n = off+head+body, n-head-body
	}
	return f.zeros(off, n)
}

func (f *dirFile) zeros(off, n int64) error {
	for n > 0 {
		m, err := f.write(zeroBlock[:min(n, bufferSize)], off)
		if err != nil {
			return err
		}
		off, n = off+int64(m), n-int64(m)
	}
	return nil
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
	// What others write meanwhile is elsewhere: what they left between is a hole.
	old := min(n, f.size.Load()-off)
	if old <= 0 {
		return nil // beyond the end; Commit sets the length
	}
	err := f.f.use("make a hole in", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, old)
	})
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
		err = f.setAttrs(a)
	}
	if e := f.f.Close(); err == nil {
		err = e
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
	if e := f.f.Close(); err == nil {
		err = e
	}
	return err
}

func (f *dirFile) cut(size int64) error {
	if f.size.Load() == size {
		return nil
	}
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.size.Store(size)
	return nil
}

// setAttrs is DirStore.setAttrs for a file that is open: owner first, since a chown
// clears set-uid bits.
func (f *dirFile) setAttrs(a Attrs) error {
	st := &f.f.st
	if uid, gid := f.store.newOwner(st, a); uid >= 0 || gid >= 0 {
		err := f.f.use("chown", func(fd int) error { return unix.Fchown(fd, uid, gid) })
		if err != nil && f.store.root {
			return err
		}
		if err := f.f.Restat(st); err != nil {
			return err
		}
	}
	if mode := a.Mode & 0o7777 &^ f.store.o.ModeMask; a.SetMode && st.Mode&0o7777 != mode {
		if err := f.f.use("chmod", func(fd int) error { return unix.Fchmod(fd, mode) }); err != nil {
			return err
		}
	}
	if a.SetTime {
		ts := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: a.Mtime, Nsec: int64(a.Nsec)}}
		return f.f.use("set times of", func(fd int) error { return futimens(fd, &ts) })
	}
	return nil
}

// futimens sets the times of an open file; package unix has it for paths only.
func futimens(fd int, ts *[2]unix.Timespec) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if e != 0 {
		return e
	}
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
