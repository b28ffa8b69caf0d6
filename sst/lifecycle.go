package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
)

// Prefixes of the names under which files wait at the joiner. mariadbd looks at
// neither: they are no directories, and no name of its own begins with a dot.
const (
	newPrefix = ".wsrep_sst_new." // arrived, but not yet what the name says
	oldPrefix = ".wsrep_sst_old." // was here before the SST
)

// What an exit message says of the data directory.
const (
	saysUntouched  = "datadir untouched"
	saysIncomplete = "datadir incomplete: the next start takes a new SST"
	saysComplete   = "datadir complete"
)

// A datadir is the joiner's data directory with the other places of the plan,
// through its three states.
//
// untouched: nothing was done. incomplete: the system table space, undo and redo
// of before are renamed aside, the new ones arrive under foreign names, so that
// mariadbd sees no InnoDB at all and asks for a new SST. Measured: any mixture of
// old and new files can pass for a good node, with a valid position, or stop it
// for good. complete: everything is on the disk and has its name, ibdata1 last.
//
// Its methods are not for concurrent use; the joiner holds a lock.
type datadir struct {
	plan   plan.Places // which files are which
	places []place
	disk   disk
	state  string
}

// A place is one directory that the joiner receives into. Several modules may have
// the same one.
type place struct {
	kind     plan.Root
	dir      string
	root     *os.Root
	dev, ino uint64
}

// disk is what a datadir asks of the kernel beyond os.Root, for tests to refuse.
type disk struct {
	move    func([]move) error
	remove  func(root *os.Root, name string) error
	syncAll func(root *os.Root) error // the whole file system
	space   func(root *os.Root) (free int64, err error)
}

func realDisk() disk {
	return disk{
		move:    moveAll,
		remove:  (*os.Root).Remove,
		syncAll: withDir(func(f *os.File) error { return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd()))) }),
		space:   freeSpace,
	}
}

func withDir(f func(*os.File) error) func(*os.Root) error {
	return func(root *os.Root) error {
		d, err := root.Open(".")
		if err != nil {
			return err
		}
		defer d.Close()
		return f(d)
	}
}

// openDatadir opens the places, all of which must be there: we never make one.
func openDatadir(p plan.Places) (*datadir, error) {
	d := &datadir{plan: p, disk: realDisk(), state: saysUntouched}
	for _, kind := range plan.Roots {
		at, err := openPlace(kind, p.Dir(kind))
		if err != nil {
			d.close()
			return nil, fail(exitMissing, fmt.Errorf("open %s: %w", kind.Key(), err))
		}
		d.places = append(d.places, at)
	}
	return d, nil
}

func openPlace(kind plan.Root, dir string) (place, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return place{}, err
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return place{}, err
	}
	p := place{kind: kind, dir: dir, root: root}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		p.dev, p.ino = st.Dev, st.Ino
	}
	return p, nil
}

// distinct gives each directory once, in the order of the places.
func (d *datadir) distinct() []place {
	var out []place
	for _, p := range d.places {
		if !slices.ContainsFunc(out, func(q place) bool { return q.dev == p.dev && q.ino == p.ino }) {
			out = append(out, p)
		}
	}
	return out
}

// alias is the name on disk of a file that is not yet what its name says.
func (d *datadir) alias(dir string) func(name string) (string, bool) {
	return func(name string) (string, bool) {
		if d.plan.Swapped(dir, name) {
			return newPrefix + name, true
		}
		return "", false
	}
}

// elsewhere is for the module of the data directory: the files of InnoDB that this
// node keeps in other places. A donor that knows two modules, or an old stock one,
// sends all of them to the data directory.
func (d *datadir) elsewhere(dir string) (alias func(string) (string, bool), others []transfer.Elsewhere) {
	for _, p := range d.distinct() {
		if p.dir == dir || p.kind == plan.DataDir {
			continue
		}
		has := func(name string) bool { return !d.plan.Swapped(dir, name) && d.plan.Swapped(p.dir, name) }
		others = append(others, transfer.Elsewhere{Root: p.root, Has: has})
	}
	here := d.alias(dir)
	return func(name string) (string, bool) {
		if slices.ContainsFunc(others, func(o transfer.Elsewhere) bool { return o.Has(name) }) {
			return newPrefix + name, true
		}
		return here(name)
	}, others
}

// isForeign says whether a file of a place arrived under a foreign name.
func (d *datadir) isForeign(dir, name string) bool {
	real, ok := strings.CutPrefix(name, newPrefix)
	return ok && d.plan.Swapped(dir, real)
}

func isOld(_, name string) bool { return strings.HasPrefix(name, oldPrefix) }

// A topFile is a file at the top of a place.
type topFile struct {
	place
	name string
}

// files lists the files (no directories) at the top of all places that pass, in the
// order in which they get their names: the system table space after undo and redo,
// its first file after all. Without that one mariadbd takes nothing for a database.
func (d *datadir) files(pass func(dir, name string) bool) ([]topFile, error) {
	var out []topFile
	for _, p := range d.distinct() {
		entries, err := fs.ReadDir(p.root.FS(), ".")
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", p.dir, err)
		}
		for _, e := range entries {
			if !e.IsDir() && pass(p.dir, e.Name()) {
				out = append(out, topFile{p, e.Name()})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b topFile) int { return d.rank(a) - d.rank(b) })
	return out, nil
}

// lastRank is that of the first file of the system table space.
const lastRank = 3

// firstSystemFile is ibdata1, or what innodb_data_file_path has in its place.
func (d *datadir) firstSystemFile() string {
	if len(d.plan.SystemFiles) > 0 {
		return filepath.Base(d.plan.SystemFiles[0])
	}
	return "ibdata1"
}

func (d *datadir) rank(f topFile) int {
	name := strings.TrimPrefix(f.name, newPrefix)
	switch d.plan.In(f.dir, name) {
	case plan.System:
		if name == d.firstSystemFile() {
			return lastRank
		}
		return 2
	case plan.Redo:
		return 1
	}
	return 0
}

// setAside takes the datadir from untouched to incomplete. What an earlier attempt
// set aside is the older state and stays; whatever stands in its place now is what
// mariadbd made since, and goes.
func (d *datadir) setAside(say func(string)) error {
	old, err := d.files(isOld)
	if err != nil {
		return err
	}
	files, err := d.files(func(dir, name string) bool { return d.plan.Swapped(dir, name) || d.plan.Stale(dir, name) })
	if err != nil {
		return err
	}
	d.state = saysIncomplete
	slices.Reverse(files) // ibdata1 first: from then on no mixture can pass for a database
	var moves []move
	for _, f := range files {
		m := move{root: f.root, from: f.name}
		if len(old) == 0 {
			m.to = oldPrefix + f.name
		}
		moves = append(moves, m)
	}
	if err := d.disk.move(d.andSync(moves)); err != nil {
		return fmt.Errorf("set the old InnoDB aside: %w", err)
	}
	switch {
	case len(old) > 0:
		say(fmt.Sprintf("an earlier SST was not completed here: what it set aside stays, %d newer files are removed", len(files)))
	case len(files) > 0:
		say(fmt.Sprintf("set aside %d files of the old InnoDB; from here on this datadir needs an SST to its end", len(files)))
	}
	return nil
}

// isSpread says whether the places are on several file systems.
func (d *datadir) isSpread() bool {
	return slices.ContainsFunc(d.places, func(p place) bool { return p.dev != d.places[0].dev })
}

// andSync adds that the names of all places become durable.
func (d *datadir) andSync(moves []move) []move {
	for _, p := range d.distinct() {
		moves = append(moves, move{root: p.root})
	}
	return moves
}

// finish takes the datadir from incomplete to complete: everything that arrived is
// written to the disks, then the files get their names, then the old ones go.
// others are further roots that received files (links inside the data directory).
//
// If ctx has ended no name is given: when mariadbd is dead, the next one may be
// making files of its own by now.
func (d *datadir) finish(ctx context.Context, others []*os.Root, warn func(string)) error {
	arrived, err := d.files(d.isForeign)
	if err != nil {
		return err
	}
	if err := d.whole(arrived); err != nil {
		return err
	}
	if err := d.syncAll(others); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// The first file of the system table space gets its name after all others, and when
	// those are on their disks, if it is not theirs: one file system keeps the order of
	// renames. Between the first and the last no server starts here, so nothing else
	// may come in between: whoever kills the child too (the end of a container) should
	// have no more than a few microseconds for it.
	var moves []move
	for _, last := range []bool{false, true} {
		for _, f := range arrived {
			if (d.rank(f) == lastRank) == last {
				moves = append(moves, move{f.root, f.name, strings.TrimPrefix(f.name, newPrefix)})
			}
		}
		if last || d.isSpread() {
			moves = d.andSync(moves)
		}
	}
	if err := d.disk.move(moves); err != nil {
		return err
	}
	d.state = saysComplete
	if err := d.removeOld(); err != nil {
		warn(fmt.Sprintf("the SST is complete, but files set aside before it only take room now; remove %s* by hand: %v", oldPrefix, err))
	}
	return nil
}

// whole refuses a transfer without the files that no InnoDB is without: mariadbd
// would make an empty system table space and call it the donor's state.
func (d *datadir) whole(arrived []topFile) error {
	for _, part := range []struct {
		file string
		has  func(topFile) bool
	}{
		{d.firstSystemFile(), func(f topFile) bool { return d.rank(f) == lastRank }},
		{"ib_logfile0", func(f topFile) bool { return d.plan.In(f.dir, strings.TrimPrefix(f.name, newPrefix)) == plan.Redo }},
	} {
		if !slices.ContainsFunc(arrived, part.has) {
			return advise(fmt.Errorf("the donor says that all is sent, but %s has not arrived", part.file),
				"compare innodb_data_file_path, innodb_data_home_dir and innodb_log_group_home_dir of both nodes")
		}
	}
	return nil
}

// syncAll writes every file system that received something to its disk, once.
func (d *datadir) syncAll(others []*os.Root) error {
	roots := slices.Clone(others)
	var seen []uint64
	for _, p := range d.distinct() {
		if !slices.Contains(seen, p.dev) {
			seen = append(seen, p.dev)
			roots = append(roots, p.root)
		}
	}
	for _, root := range roots {
		if err := d.disk.syncAll(root); err != nil {
			return fmt.Errorf("write %s to the disk: %w", root.Name(), err)
		}
	}
	return nil
}

// removeOld removes what was set aside.
func (d *datadir) removeOld() error {
	old, err := d.files(isOld)
	for _, f := range old {
		if e := d.disk.remove(f.root, f.name); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = fmt.Errorf("remove %s of %s: %w", f.name, f.dir, e)
		}
	}
	if err == nil && len(old) > 0 {
		err = d.disk.move(d.andSync(nil))
	}
	return err
}

// close closes the roots.
func (d *datadir) close() {
	for _, p := range d.places {
		p.root.Close()
	}
}
