// Package tree describes directory trees so that two of them can be compared: type,
// permissions, owner, length, link target, content, and the room taken on disk.
//
// It promises to see everything that a copy of a data directory could get wrong,
// holes included; with Options.Content what it says of a file's content is a
// SHA-256 of all its bytes.
//
// It leaves to others which files should be equal at all ([Tree.Only]), and what
// to do about a difference.
package tree

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is what there is to compare of one name.
type File struct {
	Mode     uint32 // type and permission bits, Linux numbering
	UID, GID uint32
	Size     int64             // regular files
	Blocks   int64             // bytes that a regular file takes on disk
	Link     string            // target of a symbolic link
	Sum      [sha256.Size]byte // regular files, with Options.Content
	Mtime    int64             // nanoseconds, with Options.Times
}

// Tree maps names below a root to what is there; "." is the root. Names are raw
// bytes, separated by slashes.
type Tree map[string]File

// Options say what Read looks at.
type Options struct {
	Content bool
	Times   bool // of regular files: a directory's changes with each name in it
	// Through says which symbolic links to directories are entered, as if they were
	// the directories. nil: none.
	Through func(name string) bool
}

// Read describes what is below root.
func Read(ctx context.Context, root string, o Options) (Tree, error) {
	r := reader{ctx: ctx, options: o, tree: Tree{}, buffer: make([]byte, 1<<20)}
	if err := r.read(root, "."); err != nil {
		return nil, fmt.Errorf("read the tree %s: %w", root, err)
	}
	return r.tree, nil
}

// Only is the part of t whose names pass.
func (t Tree) Only(pass func(name string) bool) Tree {
	out := maps.Clone(t)
	maps.DeleteFunc(out, func(name string, _ File) bool { return !pass(name) })
	return out
}

// Size is the length of all regular files together.
func (t Tree) Size() (sum int64) {
	for _, f := range t {
		sum += f.Size
	}
	return sum
}

// IsRegular says whether f is a regular file.
func (f File) IsRegular() bool { return f.Mode&unix.S_IFMT == unix.S_IFREG }

type reader struct {
	ctx     context.Context
	options Options
	tree    Tree
	buffer  []byte
}

// read describes path, whose name is name, and what is below it.
func (r *reader) read(path, name string) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	link := st.Mode&unix.S_IFMT == unix.S_IFLNK
	if link && r.options.Through != nil && r.options.Through(name) {
		if err := unix.Stat(path, &st); err != nil {
			return &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		link = false
	}
	f := File{Mode: st.Mode, UID: st.Uid, GID: st.Gid}
	var err error
	switch {
	case link:
		f.Link, err = os.Readlink(path)
	case f.IsRegular():
		f.Size, f.Blocks = st.Size, st.Blocks*512
		if r.options.Times {
			f.Mtime = st.Mtim.Nano()
		}
		if r.options.Content {
			f.Sum, err = r.sum(path)
		}
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		err = r.below(path, name)
	}
	if err != nil {
		return err
	}
	r.tree[name] = f
	return nil
}

func (r *reader) below(dir, name string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := r.read(dir+"/"+e.Name(), filepath.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) sum(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	for {
		n, err := f.Read(r.buffer)
		h.Write(r.buffer[:n])
		if err == io.EOF {
			h.Sum(sum[:0])
			return sum, nil
		}
		if err == nil {
			err = context.Cause(r.ctx)
		}
		if err != nil {
			return sum, err
		}
	}
}
