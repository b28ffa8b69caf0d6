package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A file of a set.
type file struct {
	name string // below the directory
	size int64
}

// A set is the data that is copied: all regular files in the donor's data directory but
// the one with its position.
type set struct {
	dir   string
	files []file
	bytes int64
}

// room is what a set and its copy take at most, in bytes.
func room(bytes int64, files int, copies int64) int64 {
	const block, spare = 8 << 10, 64 << 20
	return (bytes+int64(files)*block)*copies + spare
}

// listSet finds the files below dir; links to directories in dir itself are followed.
func listSet(dir string) (*set, error) {
	s := &set{dir: dir}
	top, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range top {
		name := e.Name()
		if name == mariadbd.PositionFile {
			continue
		}
		walk := filepath.Join(dir, name)
		if e.Type()&fs.ModeSymlink != 0 {
			if walk, err = filepath.EvalSymlinks(walk); err != nil {
				return nil, err
			}
		}
		if err := s.add(walk, name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// add adds what is below path, which is called name in the set.
func (s *set) add(path, name string) error {
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		s.files = append(s.files, file{name + strings.TrimPrefix(p, path), info.Size()})
		s.bytes += info.Size()
		return nil
	})
}

// arrived says what of a set is not in a directory with its length.
func (s *set) arrived(dir string) error {
	for _, f := range s.files {
		info, err := os.Stat(filepath.Join(dir, f.name))
		if err != nil {
			return fmt.Errorf("a file did not arrive: %w", err)
		}
		if info.Size() != f.size {
			return fmt.Errorf("a file did not arrive: %s has %d bytes and should have %d", f.name, info.Size(), f.size)
		}
	}
	return nil
}

// isDatadir: a directory without the system table space is taken for one schema.
func isDatadir(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "ibdata1"))
	return err == nil
}

// topFiles are the names of files at the top of a data directory that an SST sends.
var topFiles = []string{"ibdata*", "undo[0-9]*", "ib_logfile*", "aria_log*"}

// given lists data of the user: what of it an SST sends. Its second result is how many
// bytes of that are in files that have to be copied, because an SST does not follow
// links to them.
func given(dir string) (*set, int64, error) {
	s, err := listSet(dir)
	if err != nil {
		return nil, 0, fmt.Errorf("--dir: %w", err)
	}
	if !isDatadir(dir) {
		return s, 0, nil
	}
	out := &set{dir: dir}
	var copied int64
	for _, f := range s.files {
		switch {
		case strings.Contains(f.name, "/"):
			if hidden(f.name) {
				continue
			}
		case !isTopFile(f.name):
			continue
		default:
			copied += f.size
		}
		out.files = append(out.files, f)
		out.bytes += f.size
	}
	return out, copied, nil
}

func hidden(name string) bool { return name[0] == '.' || strings.HasPrefix(name, "lost+found/") }

func isTopFile(name string) bool {
	for _, pattern := range topFiles {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// view makes a data directory in to that shows the user's data: links to its schemas, and
// copies of what is at its top. So no program writes into the user's directory. What no
// server can be without and the user has not is made.
func view(ctx context.Context, from, to string) error {
	d, err := lookalike.NewPlain(ctx, to, 0, 0)
	if err != nil {
		return err
	}
	if from, err = filepath.Abs(from); err != nil {
		return err
	}
	if !isDatadir(from) {
		return os.Symlink(from, filepath.Join(d.Dir, "data"))
	}
	top, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range top {
		name := e.Name()
		info, err := os.Stat(filepath.Join(from, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // a link that leads nowhere
		case err != nil:
			return err
		case info.IsDir() && !hidden(name+"/"):
			err = os.Symlink(filepath.Join(from, name), filepath.Join(to, name))
		case info.Mode().IsRegular() && isTopFile(name):
			err = copyFile(ctx, filepath.Join(from, name), filepath.Join(to, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func copyFile(ctx context.Context, from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, contextReader{ctx, in})
	return errors.Join(err, out.Close())
}

// A contextReader ends with a context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.Reader.Read(p)
}
