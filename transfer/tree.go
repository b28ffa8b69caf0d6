package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// tree reaches the files below a root. Every component of a path is opened from
// the descriptor of its parent without following links, so that neither a link
// the peer planted nor one that changes under our feet leads anywhere else: os.Root
// alone would follow a link that stays inside the root, and would block on a FIFO.
//
// links are top-level directories that are links of the owner's own, opened by
// him beforehand; they are entered by their descriptor.
type tree struct {
	mu    sync.Mutex
	base  *os.File
	links map[string]*os.File
	// away says that a file of the top level is in another directory; nil: it is not.
	away func(name string) *os.File

	// The last parent directory used: names come sorted, so nearly every look-up
	// is in the directory of the one before.
	parent   string
	parentFD int
}

const dirFlags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func newTree(root *os.Root, links map[string]*os.Root) (*tree, error) {
	base, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root.Name(), err)
	}
	t := &tree{base: base, links: map[string]*os.File{}, parentFD: -1}
	for name, l := range links {
		f, err := l.Open(".")
		if err != nil {
			t.close()
			return nil, fmt.Errorf("open %s: %w", l.Name(), err)
		}
		t.links[name] = f
	}
	return t, nil
}

func (t *tree) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget()
	for _, f := range t.links {
		f.Close()
	}
	return t.base.Close()
}

// forget drops the remembered parent.
func (t *tree) forget() {
	if t.parentFD >= 0 {
		unix.Close(t.parentFD)
		t.parentFD = -1
	}
	t.parent = ""
}

// at calls f with a descriptor of the directory that holds name, and the last
// component. For "." and for a link of the owner's the descriptor is the
// directory itself and the leaf ".".
func (t *tree) at(name string, f func(dir int, leaf string) error) error {
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		return pathError("use", name, errors.New("is not a path below the root"))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if l, ok := t.links[name]; ok {
		return f(int(l.Fd()), ".")
	}
	dir, leaf := path.Split(name)
	if dir == "" {
		return f(int(t.top(leaf).Fd()), leaf)
	}
	dir = dir[:len(dir)-1]
	if t.parentFD < 0 || t.parent != dir {
		t.forget()
		fd, err := t.openDir(dir, unix.O_PATH)
		if err != nil {
			return err
		}
		t.parent, t.parentFD = dir, fd
	}
	return f(t.parentFD, leaf)
}

// top gives the directory of a name of the top level.
func (t *tree) top(name string) *os.File {
	if t.away != nil {
		if d := t.away(name); d != nil {
			return d
		}
	}
	return t.base
}

// openDir opens a directory, component by component.
func (t *tree) openDir(dir string, mode int) (int, error) {
	at := int(t.base.Fd())
	rest := dir
	first, after, _ := strings.Cut(dir, "/")
	if l, ok := t.links[first]; ok {
		at, rest = int(l.Fd()), after
		if rest == "" {
			rest = "."
		}
	}
	opened := -1
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		how := dirFlags | unix.O_PATH
		if rest == "" {
			how = dirFlags | mode
		}
		fd, err := openat(at, part, how, 0)
		if opened >= 0 {
			unix.Close(opened)
		}
		if err != nil {
			return -1, pathError("open", dir, err)
		}
		at, opened = fd, fd
	}
	return opened, nil
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// openLeaf opens a regular file and checks that it is one: O_NONBLOCK keeps a
// FIFO from holding us up, O_NOFOLLOW a link from leading away.
func (t *tree) openLeaf(name string, flags int, mode uint32) (f *os.File, st unix.Stat_t, err error) {
	err = t.at(name, func(dir int, leaf string) error {
		f, st, err = openRegular(dir, leaf, name, flags, mode)
		return err
	})
	return f, st, err
}

func openRegular(dir int, leaf, name string, flags int, mode uint32) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	if flags&unix.O_RDWR == 0 {
		flags |= unix.O_NONBLOCK // to read and write a FIFO is opened at once
	}
	fd, err := openat(dir, leaf, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, mode)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			return nil, st, pathError("open", name, errors.New("is a symbolic link"))
		}
		return nil, st, pathError("open", name, err)
	}
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return nil, st, pathError("stat", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil, st, pathError("open", name, errors.New("is not a regular file"))
	}
	if flags&unix.O_NONBLOCK != 0 {
		unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0) // it has served; os.File would ask epoll about it
	}
	return os.NewFile(uintptr(fd), name), st, nil
}

func (t *tree) lstat(name string) (Stat, error) {
	var st unix.Stat_t
	err := t.at(name, func(dir int, leaf string) error {
		if err := unix.Fstatat(dir, leaf, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return pathError("stat", name, err)
		}
		return nil
	})
	return infoOf(path.Base(name), &st), err
}

// names lists a directory.
func (t *tree) names(name string) ([]string, error) {
	t.mu.Lock()
	fd, err := t.openDir(name, unix.O_RDONLY)
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, pathError("list", name, err)
	}
	return names, nil
}

func (t *tree) readlink(name string) (target string, err error) {
	err = t.at(name, func(dir int, leaf string) error {
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, leaf, buf)
		if err != nil {
			return pathError("readlink", name, err)
		}
		target = string(buf[:n])
		return nil
	})
	return target, err
}

func infoOf(name string, st *unix.Stat_t) Stat {
	return Stat{
		Name: name, Mode: st.Mode, Size: st.Size, UID: st.Uid, GID: st.Gid,
		Mtime: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec), Dev: st.Dev, Inode: st.Ino,
	}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: flist.Quote(name), Err: err}
}
