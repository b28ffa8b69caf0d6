package bench

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// discard is a Store that keeps nothing: what is received is hashed and verified, and
// dropped.
type discard struct{}

func (discard) Lstat(name string) (transfer.Stat, error) {
	if name == "." {
		return transfer.Stat{Name: name, Mode: unix.S_IFDIR | 0o700}, nil
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
func (dropped) Zero(int64, int64) error                { return nil }
func (dropped) Opened() transfer.Stat                  { return transfer.Stat{} }
func (dropped) Commit(int64, transfer.Attrs) error     { return nil }
func (dropped) Abandon(int64) error                    { return nil }

// grown is a Store that makes the directories of its files: in an SST a session of rsync
// does that before.
type grown struct{ *transfer.DirStore }

func (g grown) Update(name string, inPlace bool) (transfer.File, error) {
	f, err := g.DirStore.Update(name, inPlace)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := g.mkdirs(path.Dir(name)); err != nil {
		return nil, err
	}
	return g.DirStore.Update(name, inPlace)
}

func (g grown) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	if err := g.mkdirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := g.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) { // another connection was faster
		return err
	}
	return nil
}

// nobody gives all that is received to the user that we are.
type nobody struct{}

func (nobody) UID(uint32, string) uint32 { return uint32(os.Geteuid()) }
func (nobody) GID(uint32, string) uint32 { return uint32(os.Getegid()) }

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

func (f invented) Stat() (ext.Stamp, error) { return ext.Stamp{Size: f.size}, nil }
func (invented) Close() error               { return nil }

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
