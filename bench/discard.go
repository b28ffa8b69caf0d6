package bench

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// discard is a Store that keeps nothing: what is received is hashed and verified by the
// engine, and dropped.
type discard struct{}

func (discard) Lstat(name string) (transfer.Stat, error) {
	if name == "." {
		return transfer.Stat{Name: name, Mode: flist.TypeDir | 0o700}, nil
	}
	return transfer.Stat{}, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
}

func (discard) Open(name string) (transfer.SourceFile, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (discard) ReadDir(string) ([]transfer.Stat, error)    { return nil, nil }
func (discard) Readlink(string) (string, error)            { return "", fs.ErrNotExist }
func (discard) Update(string, bool) (transfer.File, error) { return dropped{}, nil }
func (discard) Mkdir(string) error                         { return nil }
func (discard) Symlink(string, string) error               { return nil }
func (discard) Mknod(string, uint32) error                 { return nil }
func (discard) Remove(string) error                        { return nil }
func (discard) SetAttrs(string, transfer.Attrs) error      { return nil }

type dropped struct{}

func (dropped) ReadAt([]byte, int64) (int, error)      { return 0, fs.ErrInvalid }
func (dropped) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (dropped) Commit(int64, transfer.Attrs) error     { return nil }
func (dropped) Abandon(int64) error                    { return nil }

// listed is a Source of some files of a set. Without a directory their content is made
// in memory.
type listed struct {
	files []file
	dir   transfer.Source // nil: none

	content []byte // without one
}

func (l listed) List(context.Context) ([]*flist.Entry, int32, error) {
	now := time.Now().Unix()
	entries := []*flist.Entry{{Name: ".", Mode: flist.TypeDir | 0o700, Mtime: now, TopDir: true}}
	known := map[string]bool{".": true}
	for _, f := range l.files {
		for dir := path.Dir(f.name); !known[dir]; dir = path.Dir(dir) {
			known[dir] = true
			entries = append(entries, &flist.Entry{Name: dir, Mode: flist.TypeDir | 0o700, Mtime: now})
		}
		entries = append(entries, &flist.Entry{Name: f.name, Size: f.size, Mode: flist.TypeRegular | 0o600, Mtime: now})
	}
	return entries, 0, nil
}

func (l listed) Open(name string) (transfer.SourceFile, error) {
	if l.dir != nil {
		return l.dir.Open(name)
	}
	for _, f := range l.files {
		if f.name == name {
			return invented{f.size, l.content}, nil
		}
	}
	return nil, fmt.Errorf("open %q: %w", name, fs.ErrNotExist)
}

// invention is what the content of files that are not there is made from.
func invention() []byte {
	b := make([]byte, 1<<20)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// invented is a file that repeats the invention.
type invented struct {
	size int64
	from []byte
}

func (f invented) Size() int64 { return f.size }
func (invented) Close() error  { return nil }

func (f invented) ReadAt(p []byte, off int64) (n int, err error) {
	whole := int64(len(p))
	if off+whole > f.size {
		whole, err = max(f.size-off, 0), io.EOF
	}
	for int64(n) < whole {
		n += copy(p[n:whole], f.from[(off+int64(n))%int64(len(f.from)):])
	}
	return n, err
}
