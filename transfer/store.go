package transfer

import (
	"io"

	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// Store is where a module puts its files. Names are paths relative to its root,
// checked by the file list: not absolute, without "..", in normal form. A Store
// must not follow a symbolic link in any component of a name, whoever made the
// link, unless it was told of it beforehand.
//
// A Store is used by two goroutines of a session at once, and by the sessions of
// all connections of a transfer.
type Store interface {
	// Lstat describes what stands at name, not following a link there;
	// fs.ErrNotExist when nothing does. "." is the root.
	Lstat(name string) (Stat, error)
	// ReadDir lists a directory, in no particular order.
	ReadDir(name string) ([]Stat, error)
	Readlink(name string) (string, error)
	// Open opens a regular file for reading: the basis of a delta transfer.
	Open(name string) (SourceFile, error)
	// Update opens a regular file to receive new content. In place, the file that
	// is there is written over (or made, mode 0600); otherwise a temporary file
	// takes the content and replaces name at Commit.
	Update(name string, inPlace bool) (File, error)
	Mkdir(name string) error
	Symlink(name, target string) error
	// Mknod makes a FIFO or a socket; the type is in the upper bits of mode.
	Mknod(name string, mode uint32) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	// SetAttrs gives name the attributes that a says, not following a link there.
	SetAttrs(name string, a Attrs) error
}

// File is a file of a Store while it receives content. Parts of it may be read,
// written and zeroed by several goroutines at once; only one ends it.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Zero makes n bytes at off read as zeros: a hole, where the Store keeps holes.
	Zero(off, n int64) error
	// Opened describes what stood there when it was opened; of a file that was made
	// by that, size 0.
	Opened() Stat
	// Commit cuts the file to size, sets its attributes and closes it; only then
	// does a temporary file take its name.
	Commit(size int64, a Attrs) error
	// Abandon closes the file without a promise on its content: what was written
	// in place stays (cut to size, if size is not negative), a temporary file is
	// removed.
	Abandon(size int64) error
}

// Stat describes a file of a Store.
type Stat struct {
	Name       string // last component
	Mode       uint32 // type and permission bits, Linux numbering
	Size       int64
	UID, GID   uint32
	Mtime      int64
	Nsec       uint32
	Dev, Inode uint64
}

// IsDir says whether the file is a directory; a link to one is not.
func (i Stat) IsDir() bool { return i.Mode&flist.TypeMask == flist.TypeDir }

// IsRegular says whether it is a regular file.
func (i Stat) IsRegular() bool { return i.Mode&flist.TypeMask == flist.TypeRegular }

// Attrs are the attributes to set. What is not to be set is left alone.
type Attrs struct {
	SetMode  bool
	Mode     uint32 // permission bits
	SetOwner bool
	UID      uint32
	SetGroup bool
	GID      uint32
	SetTime  bool
	Mtime    int64
	Nsec     uint32
}

// Owners decides to whom a received file belongs. name is the peer's name for
// the id, "" if it sent none.
type Owners interface {
	UID(id uint32, name string) uint32
	GID(id uint32, name string) uint32
}
