package transfer

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// StoreOptions says how a DirStore differs from a plain directory.
type StoreOptions struct {
	// Alias gives the name on disk under which a top-level file is kept while it
	// is not yet what its name says: "ibdata1" may be ".new.ibdata1" until the
	// whole transfer is complete. To the session the file has its real name; a
	// file on disk with the real name is out of its sight.
	Alias func(name string) (onDisk string, ok bool)
	// AliasPrefix begins every name that Alias returns.
	AliasPrefix string
	// Hidden names top-level files on disk that no session sees, writes or removes.
	Hidden func(onDisk string) bool
	// Older gives the name on disk of a file that one which is not there yet can
	// start from, so that only differences travel. It is read and never written.
	Older func(name string) (onDisk string, ok bool)
	// Elsewhere are directories in which some top-level files belong instead: a peer
	// that knows of one place only sends to them, too. Such files are received in
	// place only.
	Elsewhere []Elsewhere
	// Links are top-level directories which the owner of the store keeps as
	// symbolic links to somewhere else, opened by him: they count as directories.
	Links map[string]*os.Root
	// Sparse says of which files runs of zero bytes become holes. nil: of none.
	Sparse func(name string) bool
	// ModeMask is taken out of every mode that is set: 0o6000 keeps set-uid bits out.
	ModeMask uint32
}

// Elsewhere is a directory beside that of a DirStore, and which of the top-level
// files are there.
type Elsewhere struct {
	Root *os.Root
	Has  func(name string) bool
}

// DirStore is a Store in a directory.
type DirStore struct {
	tree *tree
	o    StoreOptions
	root bool // running as root: a chown that fails is an error

	others []*os.File // the directories of Elsewhere
}

// NewDirStore opens a Store at root. The root stays the caller's to close, and
// may be closed before the store.
func NewDirStore(root *os.Root, o StoreOptions) (*DirStore, error) {
	t, err := newTree(root, o.Links)
	if err != nil {
		return nil, err
	}
	s := &DirStore{tree: t, o: o, root: os.Geteuid() == 0}
	for _, e := range o.Elsewhere {
		f, err := e.Root.Open(".")
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("open %s: %w", e.Root.Name(), err)
		}
		s.others = append(s.others, f)
	}
	t.away = s.away
	return s, nil
}

// Close releases the descriptors.
func (s *DirStore) Close() error {
	for _, f := range s.others {
		f.Close()
	}
	return s.tree.close()
}

// away gives the other directory of a name on disk, nil for none.
func (s *DirStore) away(onDisk string) *os.File {
	name := strings.TrimPrefix(onDisk, s.o.AliasPrefix)
	for i, e := range s.o.Elsewhere {
		if e.Has(name) {
			return s.others[i]
		}
	}
	return nil
}

// names lists a directory as it is on disk, the files that belong elsewhere with
// the top level.
func (s *DirStore) names(name string) ([]string, error) {
	names, err := s.tree.names(name)
	if err != nil || name != "." || len(s.others) == 0 {
		return names, err
	}
	s.tree.mu.Lock() // the descriptors have one position each
	defer s.tree.mu.Unlock()
	names = slices.DeleteFunc(names, func(n string) bool { return s.away(n) != nil })
	for _, d := range s.others {
		if _, err := d.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		there, err := d.Readdirnames(-1)
		if err != nil {
			return nil, err
		}
		for _, n := range there {
			if s.away(n) == d {
				names = append(names, n)
			}
		}
	}
	return names, nil
}

var errReserved = errors.New("the name is reserved for files in transfer")

// disk gives the name on disk; only top-level names can differ.
func (s *DirStore) disk(name string) (string, error) {
	if strings.Contains(name, "/") || name == "." {
		return name, nil
	}
	if s.o.Alias != nil {
		if d, ok := s.o.Alias(name); ok {
			return d, nil
		}
		if strings.HasPrefix(name, s.o.AliasPrefix) {
			return "", pathError("use", name, errReserved)
		}
	}
	if s.o.Hidden != nil && s.o.Hidden(name) {
		return "", pathError("use", name, errReserved)
	}
	return name, nil
}

// seen gives the name under which a session sees a top-level file of the disk.
func (s *DirStore) seen(onDisk string) (string, bool) {
	if s.o.Alias != nil {
		if real, ok := strings.CutPrefix(onDisk, s.o.AliasPrefix); ok {
			if d, ok := s.o.Alias(real); ok && d == onDisk {
				return real, true
			}
			return "", false
		}
		if _, aliased := s.o.Alias(onDisk); aliased {
			return "", false
		}
	}
	if s.o.Hidden != nil && s.o.Hidden(onDisk) {
		return "", false
	}
	return onDisk, true
}

// Lstat implements Store.
func (s *DirStore) Lstat(name string) (Stat, error) {
	d, err := s.disk(name)
	if err != nil {
		return Stat{}, err
	}
	info, err := s.tree.lstat(d)
	info.Name = path.Base(name)
	return info, err
}

// ReadDir implements Store. A file that goes away meanwhile is left out.
func (s *DirStore) ReadDir(name string) ([]Stat, error) {
	names, err := s.names(name)
	if err != nil {
		return nil, err
	}
	infos := make([]Stat, 0, len(names))
	for _, n := range names {
		show := n
		if name == "." {
			var ok bool
			if show, ok = s.seen(n); !ok {
				continue
			}
		}
		info, err := s.tree.lstat(join(name, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info.Name = show
		infos = append(infos, info)
	}
	return infos, nil
}

// Readlink implements Store.
func (s *DirStore) Readlink(name string) (string, error) {
	d, err := s.disk(name)
	if err != nil {
		return "", err
	}
	return s.tree.readlink(d)
}

// Open implements Store.
func (s *DirStore) Open(name string) (SourceFile, error) {
	d, err := s.disk(name)
	if err != nil {
		return nil, err
	}
	f, err := s.tree.openLeaf(d, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Update implements Store.
func (s *DirStore) Update(name string, inPlace bool) (File, error) {
	d, err := s.disk(name)
	if err != nil {
		return nil, err
	}
	out := &dirFile{store: s, shown: path.Base(name), name: d, disk: d, sparse: s.o.Sparse != nil && s.o.Sparse(name)}
	if inPlace {
		out.f, err = s.tree.openLeaf(d, unix.O_RDWR|unix.O_CREAT, 0o600)
		if errors.Is(err, fs.ErrPermission) {
			// A read-only file of ours: as its owner we may make it writable.
			if s.SetAttrs(name, Attrs{SetMode: true, Mode: 0o600}) == nil {
				out.f, err = s.tree.openLeaf(d, unix.O_RDWR, 0)
			}
		}
	} else {
		if s.tree.top(d) != s.tree.base {
			return nil, pathError("replace", name, errors.New("it belongs in another directory, and is received in place only"))
		}
		dir, leaf := path.Split(d)
		out.disk = dir + "." + leaf + "." + rand.Text()[:8]
		out.f, err = s.tree.openLeaf(out.disk, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
	}
	if err != nil {
		return nil, err
	}
	out.size.Store(out.f.st.Size)
	return out, nil
}

// Mkdir implements Store: mode 0700 until SetAttrs.
func (s *DirStore) Mkdir(name string) error {
	return s.change("mkdir", name, func(dir int, leaf string) error { return unix.Mkdirat(dir, leaf, 0o700) })
}

// Symlink implements Store.
func (s *DirStore) Symlink(name, target string) error {
	return s.change("symlink", name, func(dir int, leaf string) error { return unix.Symlinkat(target, dir, leaf) })
}

// Mknod implements Store.
func (s *DirStore) Mknod(name string, mode uint32) error {
	switch mode & unix.S_IFMT {
	case unix.S_IFIFO, unix.S_IFSOCK:
	default:
		return pathError("mknod", name, errors.New("only FIFOs and sockets can be made"))
	}
	return s.change("mknod", name, func(dir int, leaf string) error {
		return unix.Mknodat(dir, leaf, mode&^s.o.ModeMask, 0)
	})
}

// Remove implements Store.
func (s *DirStore) Remove(name string) error {
	return s.change("remove", name, func(dir int, leaf string) error {
		err := unix.Unlinkat(dir, leaf, 0)
		if err == unix.EISDIR {
			err = unix.Unlinkat(dir, leaf, unix.AT_REMOVEDIR)
			s.tree.forgetBelow(name)
		}
		return err
	})
}

func (s *DirStore) change(op, name string, f func(dir int, leaf string) error) error {
	d, err := s.disk(name)
	if err != nil {
		return err
	}
	return s.tree.at(d, func(dir int, leaf string) error {
		if err := f(dir, leaf); err != nil {
			return pathError(op, name, err)
		}
		return nil
	})
}

// SetAttrs implements Store: owner first, since a chown clears set-uid bits.
func (s *DirStore) SetAttrs(name string, a Attrs) error {
	d, err := s.disk(name)
	if err != nil {
		return err
	}
	return s.setAttrs(d, a)
}

func (s *DirStore) setAttrs(name string, a Attrs) error {
	return s.tree.at(name, func(dir int, leaf string) error {
		if err := s.chown(dir, leaf, a); err != nil {
			return pathError("chown", name, err)
		}
		if a.SetMode {
			if err := chmodAt(dir, leaf, a.Mode&0o7777&^s.o.ModeMask); err != nil {
				return pathError("chmod", name, err)
			}
		}
		if a.SetTime {
			ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: a.Mtime, Nsec: int64(a.Nsec)}}
			if err := unix.UtimesNanoAt(dir, leaf, ts, unix.AT_SYMLINK_NOFOLLOW); err != nil {
				return pathError("set times of", name, err)
			}
		}
		return nil
	})
}

// chown changes what differs. Only root may give files away; an ordinary user
// keeps what he makes, and that is no error.
func (s *DirStore) chown(dir int, leaf string, a Attrs) error {
	if !a.SetOwner && !a.SetGroup {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, leaf, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	uid, gid := s.newOwner(&st, a)
	if uid < 0 && gid < 0 {
		return nil
	}
	err := unix.Fchownat(dir, leaf, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	if err != nil && !s.root {
		return nil
	}
	return err
}

// newOwner is what a chown of a file has to change, -1 for what stays.
func (s *DirStore) newOwner(st *unix.Stat_t, a Attrs) (uid, gid int) {
	uid, gid = -1, -1
	if a.SetOwner && s.root && a.UID != st.Uid {
		uid = int(a.UID)
	}
	if a.SetGroup && a.GID != st.Gid {
		gid = int(a.GID)
	}
	return uid, gid
}

// chmodAt changes the mode of a file, never through a link. The system call that
// can do that by itself is younger (Linux 6.6) than the machines we run on.
func chmodAt(dir int, leaf string, mode uint32) error {
	fd, err := openat(dir, leaf, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK || st.Mode&0o7777 == mode {
		return nil
	}
	err = unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), mode)
	if err == unix.ENOENT || err == unix.ENOTDIR { // no /proc
		err = unix.Fchmodat(fd, "", mode, unix.AT_EMPTY_PATH)
	}
	return err
}

func join(dir, name string) string {
	if dir == "." || dir == "" {
		return name
	}
	if name == "." {
		return dir
	}
	return dir + "/" + name
}
