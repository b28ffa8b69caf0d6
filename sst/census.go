package sst

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// A fileKey names a regular file at both ends: the number of its root, and its name
// below that.
type fileKey struct {
	root uint8
	name string
}

// inDatabase says whether the file is one of a database. The others lie at the top of
// a root.
func (k fileKey) inDatabase() bool {
	return plan.Root(k.root) == plan.DataDir && strings.Contains(k.name, "/")
}

// A selection is what the lists of a plan select, opened.
type selection struct {
	lists []*selected
	about int64 // how many regular files there are, more or less
}

// selected is one of the lists.
type selected struct {
	plan.Session
	rules *filter.List
	src   *transfer.DirSource
	visit func(*flist.Entry, transfer.Stat)
}

// openSelection opens what the plan's lists name. extra are files at the top of the
// first, which are in the lists but not among the files of a census.
func openSelection(p *plan.Plan, extra map[string]transfer.VirtualFile) (*selection, error) {
	s := &selection{about: p.Total.Files}
	for i, session := range p.Lists {
		if i > 0 {
			extra = nil
		}
		l, err := openSelected(session, extra)
		if err != nil {
			s.close()
			return nil, fail(exitOther, err)
		}
		s.lists = append(s.lists, l)
	}
	return s, nil
}

func openSelected(s plan.Session, extra map[string]transfer.VirtualFile) (*selected, error) {
	l := &selected{Session: s}
	var err error
	if l.rules, err = filter.Parse(s.Rules...); err != nil {
		return nil, fmt.Errorf("rules for %s: %w", s.Dir, err)
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // the source has a descriptor of its own
	follow := map[string]*os.Root{}
	for name, dir := range s.Follow {
		if follow[name], err = os.OpenRoot(dir); err != nil {
			return nil, err
		}
		defer follow[name].Close()
	}
	l.src, err = transfer.NewDirSource(root, transfer.DirSourceOptions{
		Rules: l.rules, Recursive: s.Recursive, Links: true, Specials: true, Follow: follow, Extra: extra,
		Visit: func(e *flist.Entry, st transfer.Stat) { l.visit(e, st) },
	})
	return l, err
}

func (s *selection) close() {
	for _, l := range s.lists {
		l.src.Close()
	}
}

// A census is everything that a selection has at one moment, or over the time that it
// takes to look.
type census struct {
	lists []*rootList
	files []counted
}

// A rootList is what a list session carries.
type rootList struct {
	*selected
	entries []*flist.Entry
	mark    [sha256.Size]byte // of all that the session would do
}

// counted is a regular file.
type counted struct {
	fileKey
	entry *flist.Entry
	stamp ext.Stamp
	src   *selected
}

// path is where the file lies, for people and for statfs.
func (c *counted) path() string {
	if top, rest, ok := strings.Cut(c.name, "/"); ok {
		if dir, linked := c.src.Follow[top]; linked {
			return filepath.Join(dir, rest)
		}
	}
	return filepath.Join(c.src.Dir, c.name)
}

// count looks at everything.
func (s *selection) count(ctx context.Context) (*census, error) {
	c := &census{files: make([]counted, 0, s.about+s.about/64)}
	for _, l := range s.lists {
		if err := c.add(ctx, l); err != nil {
			return nil, fail(exitOther, err)
		}
	}
	return c, nil
}

// ioErrorGeneral is the bit of a file list that says that something could not be read
// (rsync-wire.md §5.2).
const ioErrorGeneral = 1

func (c *census) add(ctx context.Context, l *selected) error {
	l.visit = func(e *flist.Entry, st transfer.Stat) {
		if e.IsRegular() {
			c.files = append(c.files, counted{fileKey{uint8(l.Root), e.Name}, e, stampOfStat(st), l})
		}
	}
	entries, ioError, err := l.src.List(ctx)
	if err != nil {
		return err
	}
	if skipped := l.src.Skipped(); ioError&ioErrorGeneral != 0 && len(skipped) > 0 {
		return fmt.Errorf("list %s: %s", l.Dir, skipped[len(skipped)-1])
	}
	c.lists = append(c.lists, &rootList{selected: l, entries: entries, mark: markOf(entries)})
	return nil
}

func stampOfStat(st transfer.Stat) ext.Stamp {
	return ext.Stamp{
		Dev: st.Dev, Ino: st.Inode, Size: st.Size,
		MtimeNs: st.Mtime*1e9 + int64(st.Nsec), CtimeNs: st.Ctime*1e9 + int64(st.CtimeNsec),
	}
}

// markOf tells two lists apart that a list session would make a difference of: names,
// and all of what is no regular file.
func markOf(entries []*flist.Entry) (mark [sha256.Size]byte) {
	h := sha256.New()
	var b []byte
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint32(b[:0], e.Mode&flist.TypeMask)
		if !e.IsRegular() {
			b = binary.LittleEndian.AppendUint32(b, e.Mode)
			b = binary.LittleEndian.AppendUint32(b, e.UID)
			b = binary.LittleEndian.AppendUint32(b, e.GID)
		}
		b = append(append(b, e.Name...), 0)
		b = append(append(b, e.Link...), 0)
		h.Write(b)
	}
	h.Sum(mark[:0])
	return mark
}

// keys are the names of all regular files.
func (c *census) keys() map[fileKey]bool {
	keys := make(map[fileKey]bool, len(c.files))
	for _, f := range c.files {
		keys[f.fileKey] = true
	}
	return keys
}

// source is what a list session sends. Regular files are listed with a length that no
// such session sends, the empty ones too: what has content at the joiner, and what its
// memory of digests describes, is changed by streams alone.
func (l *rootList) source() transfer.Source { return listSource(unsent(l.entries)) }

func unsent(entries []*flist.Entry) []*flist.Entry {
	entries = slices.Clone(entries)
	for i, e := range entries {
		if e.IsRegular() && e.Size == 0 {
			longer := *e
			longer.Size = 1
			entries[i] = &longer
		}
	}
	return entries
}

type listSource []*flist.Entry

func (s listSource) List(context.Context) ([]*flist.Entry, int32, error) {
	return slices.Clone(s), 0, nil
}

func (s listSource) Open(name string) (transfer.SourceFile, error) {
	return nil, fmt.Errorf("open %q: no data is sent in a list session", name)
}

// A wrapper changes how a file is read.
type wrapper func(*counted, ext.Source) ext.Source

// file makes what the streams send of it.
func (c *counted) file(names *idNames, wrap wrapper) ext.File {
	e := c.entry
	return ext.File{
		Root: c.root, Name: c.name, Size: c.stamp.Size, Mode: e.Mode & 0o7777, UID: e.UID, GID: e.GID,
		User: names.user(e.UID), Group: names.group(e.GID),
		Open: func() (ext.Source, error) {
			f, err := c.src.src.Open(c.name)
			if err != nil {
				return nil, err
			}
			s, err := ext.FromSource(f)
			if err != nil {
				return nil, err
			}
			return wrap(c, s), nil
		},
	}
}

// A tarSource is the archive of the binlogs, which is in no file system.
type tarSource struct{ *BinlogTar }

// Stat implements ext.Source. The archive itself does not change: it has the sizes of
// the moment when it was opened.
func (t tarSource) Stat() (ext.Stamp, error) {
	return ext.Stamp{Size: t.Size(), MtimeNs: t.ModTime.UnixNano(), CtimeNs: t.ModTime.UnixNano()}, nil
}

func (tarSource) Close() error { return nil } // it may be opened again

var (
	_ ext.Source  = tarSource{}
	_ io.ReaderAt = tarSource{}
)
