package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
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

	// The last parent directories used, the latest first: names come sorted, so nearly every look-up
	// is in the directory of one before.
	parents []*parent
}

// A parent is a directory that holds files, open.
type parent struct {
	dir   string
	fd    int
	users int  // of fd, at this moment
	gone  bool // not among the parents any more: the last user closes it
}

// maxParents is how many are kept: the workers of a transfer may be in as many directories.
const maxParents = 4

const dirFlags = unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

func newTree(root *os.Root, links map[string]*os.Root) (*tree, error) {
	base, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", root.Name(), err)
	}
	t := &tree{base: base, links: map[string]*os.File{}}
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
	t.forget()
	for _, f := range t.links {
		f.Close()
	}
	return t.base.Close()
}

// forget drops all remembered parents.
func (t *tree) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.parents {
		p.drop()
	}
	t.parents = nil
}

// forgetBelow drops the remembered parents that are name or below: that directory is about to go.
func (t *tree) forgetBelow(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parents = slices.DeleteFunc(t.parents, func(p *parent) bool {
		below := p.dir == name || strings.HasPrefix(p.dir, name+"/")
		if below {
			p.drop()
		}
		return below
	})
}

// drop closes a parent that is not kept any more, when nobody uses it.
func (p *parent) drop() {
	if p.gone = true; p.users == 0 {
		unix.Close(p.fd)
	}
}

// enter gives the parent of that name, open until leave.
func (t *tree) enter(dir string) (*parent, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, p := range t.parents {
		if p.dir == dir {
			copy(t.parents[1:i+1], t.parents[:i])
			t.parents[0] = p
			p.users++
			return p, nil
		}
	}
	fd, err := t.openDir(dir, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	p := t.keep(dir, fd)
	p.users++
	return p, nil
}

// keep remembers a directory, which is the tree's to close now, in the place of one of that name. The
// caller holds the lock.
func (t *tree) keep(dir string, fd int) *parent {
	for i, p := range t.parents {
		if p.dir == dir || i == maxParents-1 {
			p.drop()
			t.parents = slices.Delete(t.parents, i, i+1)
			break
		}
	}
	p := &parent{dir: dir, fd: fd}
	t.parents = slices.Insert(t.parents, 0, p)
	return p
}

func (t *tree) leave(p *parent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.users--; p.users == 0 && p.gone {
		unix.Close(p.fd)
	}
}

// at calls f with a descriptor of the directory that holds name, and the last
// component. For "." and for a link of the owner's the descriptor is the
// directory itself and the leaf ".".
func (t *tree) at(name string, f func(dir int, leaf string) error) error {
	if !filepath.IsLocal(name) || path.Clean(name) != name {
		return pathError("use", name, errors.New("is not a path below the root"))
	}
	if l, ok := t.links[name]; ok {
		return f(int(l.Fd()), ".")
	}
	dir, leaf := path.Split(name)
	if dir == "" {
		return f(int(t.top(leaf).Fd()), leaf)
	}
	p, err := t.enter(dir[:len(dir)-1])
	if err != nil {
		return err
	}
	defer t.leave(p)
	return f(p.fd, leaf)
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
func (t *tree) openLeaf(name string, flags int, mode uint32) (f *sizedFile, err error) {
	err = t.at(name, func(dir int, leaf string) error {
		f, err = openRegular(dir, leaf, name, flags, mode)
		return err
	})
	return f, err
}

func openRegular(dir int, leaf, name string, flags int, mode uint32) (*sizedFile, error) {
	if flags&unix.O_RDWR == 0 {
		flags |= unix.O_NONBLOCK // to read and write a FIFO is opened at once
	}
	fd, err := openat(dir, leaf, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NOCTTY, mode)
	if err != nil {
		if errors.Is(err, unix.ELOOP) {
			return nil, pathError("open", name, errors.New("is a symbolic link"))
		}
		return nil, pathError("open", name, err)
	}
	f := &sizedFile{handle: handle{name: name, fd: fd}}
	if err := f.Restat(&f.st); err != nil {
		f.Close()
		return nil, err
	}
	if f.st.Mode&unix.S_IFMT != unix.S_IFREG {
		f.Close()
		return nil, pathError("open", name, errors.New("is not a regular file"))
	}
	return f, nil
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

// lstats is lstat for many names of one directory. Where they are very many, several look at once.
func (t *tree) lstats(dir string, names []string) (stats []Stat, errs []error) {
	stats, errs = make([]Stat, len(names)), make([]error, len(names))
	p, err := t.enter(dir)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return stats, errs
	}
	defer t.leave(p)
	const share = 500 // what is worth a goroutine
	var looking sync.WaitGroup
	parts := min(runtime.GOMAXPROCS(0), 1+len(names)/share)
	for part := range parts {
		from, to := part*len(names)/parts, (part+1)*len(names)/parts
		looking.Go(func() {
			var st unix.Stat_t
			for i := from; i < to; i++ {
				if err := unix.Fstatat(p.fd, names[i], &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
					errs[i] = pathError("stat", join(dir, names[i]), err)
				}
				stats[i] = infoOf(names[i], &st)
			}
		})
	}
	looking.Wait()
	return stats, errs
}

// names lists a directory. It is opened anew, and what is looked up next is looked up in it, also if
// another one had the name before.
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
	if name != "." && t.links[name] == nil {
		if fd, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return nil, pathError("list", name, err)
		}
		t.mu.Lock()
		t.keep(name, fd)
		t.mu.Unlock()
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
		Ctime: st.Ctim.Sec, CtimeNsec: uint32(st.Ctim.Nsec),
	}
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: flist.Quote(name), Err: err}
}
