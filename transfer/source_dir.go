package transfer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// DirSourceOptions says what of a directory is sent.
type DirSourceOptions struct {
	Rules *filter.List // nil: everything
	// Recursive lists all levels; otherwise directories of the first level are
	// listed without their content (rsync's --dirs).
	Recursive bool
	// Dirs, if there are any, are the directories of the first level that are listed:
	// nothing else of it is looked at. One that is not there makes List fail, as a
	// receiver would take it for dropped.
	Dirs []string
	// Links, Specials: symbolic links; FIFOs and sockets. What is not asked for is
	// left out and named in Skipped. Devices are never sent.
	Links, Specials bool
	// Follow are directories of the first level that are symbolic links, opened where
	// they lead: they are listed as directories of their names.
	Follow map[string]*os.Root
	// Visit is called with each entry that is listed, and with what the entry does not
	// tell; not for Extra. nil: not wanted.
	Visit func(e *flist.Entry, s Stat)
	// Extra are files at the top that exist only while they are sent. The rules
	// apply to them as to the others, and they stand in for real files of the name.
	Extra map[string]VirtualFile
}

// DirSource is the Source that a directory is. It follows no links: not while
// listing, nor between listing and opening.
type DirSource struct {
	tree *tree
	o    DirSourceOptions

	skipped []string
}

// NewDirSource opens a Source at root. It and those of Follow stay the caller's to
// close, and may be closed before the source.
func NewDirSource(root *os.Root, o DirSourceOptions) (*DirSource, error) {
	if o.Rules == nil {
		o.Rules = &filter.List{}
	}
	t, err := newTree(root, o.Follow)
	if err != nil {
		return nil, err
	}
	return &DirSource{tree: t, o: o}, nil
}

// Close releases the descriptors.
func (s *DirSource) Close() error { return s.tree.close() }

// Skipped names what the last List left out because of its type, or because it
// could not be read, one line each.
func (s *DirSource) Skipped() []string { return s.skipped }

// List implements Source.
func (s *DirSource) List(ctx context.Context) ([]*flist.Entry, int32, error) {
	s.skipped = nil
	defer s.tree.forget() // what is opened later is looked for where its name leads then
	info, err := s.tree.lstat(".")
	if err != nil {
		return nil, 0, err
	}
	top := entryOf(".", info)
	top.TopDir = true
	entries := []*flist.Entry{top}
	for _, name := range slices.Sorted(maps.Keys(s.o.Extra)) {
		if !s.o.Rules.Excluded(filter.Sender, name, false) {
			entries = append(entries, s.o.Extra[name].entry(name))
		}
	}
	var ioError int32
	if err := s.walk(ctx, ".", &entries, &ioError); err != nil {
		return nil, 0, err
	}
	return entries, ioError, s.missing(entries)
}

// missing fails if one of Dirs was not listed.
func (s *DirSource) missing(entries []*flist.Entry) error {
	if len(s.o.Dirs) == 0 {
		return nil
	}
	listed := map[string]bool{}
	for _, e := range entries {
		listed[e.Name] = e.IsDir()
	}
	for _, name := range s.o.Dirs {
		if !listed[name] {
			return pathError("list", name, errors.New("is gone, or no directory any more"))
		}
	}
	return nil
}

// names lists a directory.
func (s *DirSource) names(dir string) ([]string, error) {
	if dir == "." && len(s.o.Dirs) > 0 {
		return slices.Clone(s.o.Dirs), nil
	}
	return s.tree.names(dir)
}

func (s *DirSource) walk(ctx context.Context, dir string, entries *[]*flist.Entry, ioError *int32) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	names, err := s.names(dir)
	if err != nil {
		return s.missed(dir, err, ioError)
	}
	slices.Sort(names)
	infos, errs := s.lstats(dir, names)
	for i, base := range names {
		name := join(dir, base)
		if _, virtual := s.o.Extra[name]; virtual {
			continue
		}
		info, err := infos[i], errs[i]
		if err != nil {
			if err := s.missed(name, err, ioError); err != nil {
				return err
			}
			continue
		}
		if s.o.Rules.Excluded(filter.Sender, name, info.IsDir()) {
			continue
		}
		e, err := s.entry(name, info)
		if err != nil {
			if err := s.missed(name, err, ioError); err != nil {
				return err
			}
			continue
		}
		if e == nil {
			continue
		}
		*entries = append(*entries, e)
		if s.o.Visit != nil {
			s.o.Visit(e, info)
		}
		if info.IsDir() && s.o.Recursive {
			if err := s.walk(ctx, name, entries, ioError); err != nil {
				return err
			}
		}
	}
	return nil
}

// lstats describes files of a directory. At the top some are in other places.
func (s *DirSource) lstats(dir string, names []string) (infos []Stat, errs []error) {
	if dir != "." {
		return s.tree.lstats(dir, names)
	}
	infos, errs = make([]Stat, len(names)), make([]error, len(names))
	for i, name := range names {
		infos[i], errs[i] = s.tree.lstat(name)
	}
	return infos, errs
}

// entry makes the list entry of a file, nil for a type that is not to be sent.
func (s *DirSource) entry(name string, info Stat) (*flist.Entry, error) {
	e := entryOf(name, info)
	switch {
	case e.IsDir():
		e.NoContent = !s.o.Recursive
	case e.IsRegular():
	case e.IsSymlink() && s.o.Links:
		target, err := s.tree.readlink(name)
		if err != nil {
			return nil, err
		}
		e.Link, e.Size = target, int64(len(target))
	case e.IsSpecial() && s.o.Specials:
		e.Size = 0
	default:
		s.skipped = append(s.skipped, flist.Quote(name)+": not a file, directory or link that can be sent")
		return nil, nil
	}
	return e, nil
}

// missed decides what a file that cannot be read means: one that went away is no
// error of the session, one that may not be read stops deletion at the receiver,
// as in rsync.
func (s *DirSource) missed(name string, err error, ioError *int32) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		*ioError |= ioErrorVanished
	case name == ".":
		return err
	default:
		*ioError |= ioErrorGeneral
	}
	s.skipped = append(s.skipped, err.Error())
	return nil
}

func entryOf(name string, info Stat) *flist.Entry {
	e := &flist.Entry{
		Name: name, Size: info.Size, Mode: info.Mode, UID: info.UID, GID: info.GID,
		Mtime: info.Mtime, Nsec: info.Nsec,
	}
	return e
}

// Open implements Source.
func (s *DirSource) Open(name string) (SourceFile, error) {
	if v, ok := s.o.Extra[name]; ok {
		return v.Open()
	}
	f, err := s.tree.openLeaf(name, unix.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// idNames gives the names that the local system has for the ids of a list.
func idNames(entries []*flist.Entry) (users, groups map[uint32]string) {
	users, groups = map[uint32]string{}, map[uint32]string{}
	for _, e := range entries {
		if _, done := users[e.UID]; !done {
			users[e.UID] = userName(e.UID)
		}
		if _, done := groups[e.GID]; !done {
			groups[e.GID] = groupName(e.GID)
		}
	}
	unnamed := func(_ uint32, name string) bool { return name == "" || len(name) > 255 }
	maps.DeleteFunc(users, unnamed)
	maps.DeleteFunc(groups, unnamed)
	return users, groups
}

func userName(id uint32) string {
	u, err := user.LookupId(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return ""
	}
	return u.Username
}

func groupName(id uint32) string {
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return ""
	}
	return g.Name
}

// SystemOwners maps an owner by his name, as rsync does: a name that the local
// system does not know, and id 0, keep their number.
type SystemOwners struct{}

// UID implements Owners.
func (SystemOwners) UID(id uint32, name string) uint32 {
	if id == 0 || name == "" {
		return id
	}
	u, err := user.Lookup(name)
	if err != nil {
		return id
	}
	return parseID(u.Uid, id)
}

// GID implements Owners.
func (SystemOwners) GID(id uint32, name string) uint32 {
	if id == 0 || name == "" {
		return id
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return id
	}
	return parseID(g.Gid, id)
}

func parseID(s string, fallback uint32) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return fallback
	}
	return uint32(n)
}
