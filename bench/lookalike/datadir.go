package lookalike

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A Fate is what an SST has to make of a name.
type Fate int

// The fates. Sent and Home are those of a donor's files, Gone and Kept those of a
// joiner's: what is sent takes the place of what is Gone.
const (
	Sent Fate = iota + 1 // arrives at the joiner as it is
	Home                 // stays with the donor
	Gone                 // removed, or written over
	Kept                 // not touched
)

// Datadir is a data directory that was made.
type Datadir struct {
	Dir  string
	fate map[string]Fate
	link map[string]bool
}

// Fate is what becomes of a name in the directory; of one that it does not know it
// is the fate of the directory around it, 0 at the top.
func (d *Datadir) Fate(name string) Fate {
	for ; name != "."; name = path.Dir(name) {
		if f, ok := d.fate[name]; ok {
			return f
		}
	}
	return 0
}

// Linked says whether a name is a database that is a symbolic link: its content is
// elsewhere and counts as if it were here.
func (d *Datadir) Linked(name string) bool { return d.link[name] }

// Owner is a user and a group by number.
type Owner struct{ UID, GID int }

// Owners says whose files are made. The zero value means: of whoever makes them.
type Owners struct {
	// Give: files are given to Server and some to Other, which takes root.
	Give          bool
	Server, Other Owner
}

// Size is how much data a donor gets: Megabytes, in round numbers.
type Size struct{ Megabytes int }

// part is 1/n of the size in pages, at least so many.
func (s Size) part(n, least int64) int64 {
	return max(int64(s.Megabytes)<<20/n/pageSize, least)
}

// A maker makes the files of one directory; the first error stays.
type maker struct {
	*Datadir
	owners Owners
	err    error
}

func newMaker(dir string, owners Owners) *maker {
	m := &maker{Datadir: &Datadir{Dir: dir, fate: map[string]Fate{}, link: map[string]bool{}}, owners: owners}
	m.err = os.Mkdir(dir, 0o700)
	if m.err == nil {
		m.err = m.settle(".", 0o750, owners.Server)
	}
	return m
}

func (m *maker) path(name string) string { return filepath.Join(m.Dir, name) }

// settle gives a name its mode, whatever the umask is, and its owner.
func (m *maker) settle(name string, mode os.FileMode, to Owner) error {
	if err := os.Chmod(m.path(name), mode); err != nil {
		return err
	}
	return m.give(name, to)
}

func (m *maker) give(name string, to Owner) error {
	if !m.owners.Give {
		return nil
	}
	return os.Lchown(m.path(name), to.UID, to.GID)
}

// file makes a file; content writes it.
func (m *maker) file(name string, fate Fate, mode os.FileMode, content func(*os.File) error) {
	if m.err != nil {
		return
	}
	m.fate[name] = fate
	f, err := os.OpenFile(m.path(name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = cmp.Or(content(f), f.Close())
	}
	if err == nil {
		err = m.settle(name, mode, m.owners.Server)
	}
	m.failed(name, err)
}

// files makes several small ones that are alike. Content is the name, repeated, so
// that none is like another.
func (m *maker) files(fate Fate, mode os.FileMode, names ...string) {
	for _, name := range names {
		m.file(name, fate, mode, text(name))
	}
}

func (m *maker) directory(fate Fate, names ...string) {
	for _, name := range names {
		if m.err != nil {
			return
		}
		m.fate[name] = fate
		err := os.Mkdir(m.path(name), 0o700)
		if err == nil {
			err = m.settle(name, 0o700, m.owners.Server)
		}
		m.failed(name, err)
	}
}

// symlink makes a link that travels as a link, or stays as one.
func (m *maker) symlink(name string, fate Fate, target string) {
	if m.err != nil {
		return
	}
	m.fate[name] = fate
	err := os.Symlink(target, m.path(name))
	if err == nil {
		err = m.give(name, m.owners.Server)
	}
	m.failed(name, err)
}

// linkedDatabase makes a database beside the data directory and a link to it.
func (m *maker) linkedDatabase(name string, fate Fate) {
	if m.err != nil {
		return
	}
	elsewhere := filepath.Join("..", filepath.Base(m.Dir)+"-elsewhere")
	err := os.Mkdir(m.path(elsewhere), 0o700)
	if err == nil {
		err = m.settle(elsewhere, 0o700, m.owners.Server)
	}
	if err != nil {
		m.failed(name, err)
		return
	}
	m.symlink(name, fate, elsewhere)
	m.link[name] = true
}

func (m *maker) socket(name string, fate Fate) {
	if m.err != nil {
		return
	}
	m.fate[name] = fate
	m.failed(name, unix.Mknod(m.path(name), unix.S_IFSOCK|0o600, 0))
}

// foreign gives a file to somebody else than the server.
func (m *maker) foreign(name string) {
	if m.err == nil {
		m.failed(name, m.give(name, m.owners.Other))
	}
}

func (m *maker) failed(name string, err error) {
	if err != nil {
		m.err = fmt.Errorf("make %q of a data directory: %w", name, err)
	}
}

func (m *maker) done() (*Datadir, error) { return m.Datadir, m.err }

// text is a small file that differs with its name.
func text(name string) func(*os.File) error {
	return func(f *os.File) error {
		_, err := f.WriteString(strings.Repeat("content of "+name+"\n", 40))
		return err
	}
}
