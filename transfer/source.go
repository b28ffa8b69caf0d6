package transfer

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// Source is what a Push sends: a list of entries, and the contents of the
// regular files among them.
type Source interface {
	// List returns the entries in the order in which they are to be sent (any
	// order will do), together with the io_error bits of §5.2 for what could not
	// be listed. An error ends the session before anything is sent.
	List(ctx context.Context) (entries []*flist.Entry, ioError int32, err error)
	// Open opens the regular file of that name. A file that is gone is reported
	// as fs.ErrNotExist and counted as vanished.
	Open(name string) (SourceFile, error)
}

// SourceFile is one open file of a Source. Size is its length when it was opened:
// that many bytes are sent, however it grows afterwards.
type SourceFile interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// The io_error bits (§5.2).
const (
	ioErrorGeneral  = 1 // something could not be read; stops deletion at the receiver
	ioErrorVanished = 2 // something went away between listing and sending
	ioErrorMask     = 7
)

// VirtualFile is a file that exists only while it is sent, such as an archive
// made on the fly.
type VirtualFile struct {
	Size     int64
	Mode     uint32 // permission bits
	UID, GID uint32
	ModTime  time.Time
	Open     func() (SourceFile, error)
}

// BytesFile is a VirtualFile with the given content.
func BytesFile(content []byte, mode uint32, modTime time.Time) VirtualFile {
	return VirtualFile{
		Size: int64(len(content)), Mode: mode, ModTime: modTime,
		Open: func() (SourceFile, error) { return memFile{bytes.NewReader(content)}, nil },
	}
}

type memFile struct{ *bytes.Reader }

func (memFile) Close() error { return nil }

func (v VirtualFile) entry(name string) *flist.Entry {
	return &flist.Entry{
		Name: name, Size: v.Size, Mode: flist.TypeRegular | v.Mode&0o7777, UID: v.UID, GID: v.GID,
		Mtime: v.ModTime.Unix(), Nsec: uint32(v.ModTime.Nanosecond()),
	}
}

// NewFileSource is a Source of one virtual file, for the sessions of case (d).
func NewFileSource(name string, f VirtualFile) Source { return fileSource{name, f} }

type fileSource struct {
	name string
	file VirtualFile
}

func (s fileSource) List(context.Context) ([]*flist.Entry, int32, error) {
	return []*flist.Entry{s.file.entry(s.name)}, 0, nil
}

func (s fileSource) Open(name string) (SourceFile, error) {
	if name != s.name {
		return nil, fmt.Errorf("open %q: %w", name, fs.ErrNotExist)
	}
	return s.file.Open()
}
