package ext

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A Stamp is what shows that a file was changed: two that are equal in all five
// fields mean the same file with, as far as the file system tells, the same
// content.
type Stamp struct {
	Dev, Ino         uint64
	Size             int64 // bytes
	MtimeNs, CtimeNs int64 // since 1970
}

// A Source is one open file of the donor. Several goroutines read at once; the first Stat comes
// before them.
type Source interface {
	io.ReaderAt
	io.Closer
	Stat() (Stamp, error)
}

// A File is what Send is to bring to the joiner.
type File struct {
	Root uint8  // number of the root, index of Receiver.Stores
	Name string // relative to the root, in normal form
	// Size is about what it will be, in bytes, for the order of work: what is read
	// is decided by the file itself.
	Size        int64
	Mode        uint32 // permission bits
	UID, GID    uint32
	User, Group string // names of the ids, "" if unknown, at most 255 bytes
	// Open opens it; it may be called again after a connection broke. An error is
	// the file's own and ends in its Result.
	Open func() (Source, error)
}

// A Result is what became of a File.
type Result struct {
	// Before and After are the stamps when it was opened and after the last read;
	// where they differ, what was sent may be a mixture.
	Before, After Stamp
	ReadStart     time.Time // just after Before was taken
	Read, Sent    int64     // bytes read of the file; bytes of content sent, as they went over the wire
	// Err is why the file is not at the joiner: it vanished or cannot be read
	// (fs.ErrNotExist, fs.ErrPermission, …), or the joiner refused it (*RefusedError).
	// The other files are not affected. Nothing of this file was committed.
	Err error
}

// A RefusedError is why the joiner did not take one file, in its words.
type RefusedError struct{ Name, Reason string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: the joiner did not take it: %s", quote(e.Name), e.Reason)
}

// StampOf takes the stamp of an open file.
func StampOf(f *os.File) (Stamp, error) {
	var st unix.Stat_t
	var err error
	raw, cerr := f.SyscallConn()
	if cerr != nil {
		return Stamp{}, cerr
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &st) }); cerr != nil {
		return Stamp{}, cerr
	}
	if err != nil {
		return Stamp{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return stampOf(&st), nil
}

func stampOf(st *unix.Stat_t) Stamp {
	return Stamp{Dev: st.Dev, Ino: st.Ino, Size: st.Size, MtimeNs: st.Mtim.Nano(), CtimeNs: st.Ctim.Nano()}
}

// FromOS makes a Source of an open file, which it then owns.
func FromOS(f *os.File) Source { return osSource{f} }

// A treeFile is what transfer.DirSource.Open gives for a file of the file system.
type treeFile interface {
	transfer.SourceFile
	Opened() *unix.Stat_t
	Restat(*unix.Stat_t) error
	Descriptor() int
}

// FromSource makes a Source of what transfer.DirSource.Open gave: a file of the
// file system. It then owns f, also after an error.
func FromSource(f transfer.SourceFile) (Source, error) {
	if t, ok := f.(treeFile); ok {
		return &treeSource{treeFile: t, fresh: true}, nil
	}
	return nil, errors.Join(errors.New("not a file of a file system: it has no stamps"), f.Close())
}

type treeSource struct {
	treeFile
	fresh bool // the file has just been opened, and nobody has asked
}

func (s *treeSource) Stat() (Stamp, error) {
	if s.fresh {
		s.fresh = false
		return stampOf(s.Opened()), nil
	}
	var st unix.Stat_t
	if err := s.Restat(&st); err != nil {
		return Stamp{}, err
	}
	return stampOf(&st), nil
}

type osSource struct{ *os.File }

func (s osSource) Stat() (Stamp, error) { return StampOf(s.File) }

// Descriptor is the file's, until it is closed.
func (s osSource) Descriptor() int { return int(s.Fd()) }

// Size is its length in bytes, 0 if that cannot be found out.
func (s osSource) Size() int64 {
	st, _ := s.Stat()
	return st.Size
}
