package sst

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
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
	places []place
	// incoming says which top-level files arrive under foreign names, stale which
	// ones are not sent and must not meet the new data.
	incoming, stale func(name string) bool
	disk            disk
	state           string
}

// A place is one directory that the joiner receives into. Several modules may have
// the same one.
type place struct {
	module   string // suffix of the module's name: "", "log_dir", ...
	root     *os.Root
	dev, ino uint64
}

// disk is what a datadir asks of the kernel beyond os.Root, for tests to refuse.
type disk struct {
	rename  func(root *os.Root, from, to string) error
	remove  func(root *os.Root, name string) error
	syncDir func(root *os.Root) error
	syncAll func(root *os.Root) error // the whole file system
	space   func(root *os.Root) (free int64, err error)
}

func realDisk() disk {
	return disk{
		rename:  (*os.Root).Rename,
		remove:  (*os.Root).Remove,
		syncDir: withDir((*os.File).Sync),
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

// openPlace opens a directory that must be there: we never make one.
func openPlace(module, dir string) (place, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return place{}, err
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return place{}, err
	}
	p := place{module: module, root: root}
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
func (d *datadir) alias(name string) (string, bool) {
	if d.incoming(name) {
		return newPrefix + name, true
	}
	return "", false
}

// files lists the top-level files (no directories) of a place that pass.
func (p place) files(pass func(name string) bool) ([]string, error) {
	dir, err := p.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && pass(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, byRank)
	return names, nil
}

// byRank sorts the files of a place in the order in which they get their names:
// the system table space after undo and redo, and ibdata1 after all. Without it
// mariadbd takes nothing else for a database.
func byRank(a, b string) int {
	if ra, rb := rank(a), rank(b); ra != rb {
		return ra - rb
	}
	return strings.Compare(a, b)
}

func rank(name string) int {
	name = strings.TrimPrefix(strings.TrimPrefix(name, newPrefix), oldPrefix)
	switch {
	case name == "ibdata1":
		return 3
	case strings.HasPrefix(name, "ibdata"):
		return 2
	case strings.HasPrefix(name, "ib_logfile"):
		return 1
	}
	return 0
}

// setAside takes the datadir from untouched to incomplete. What an earlier attempt
// set aside is the older state and stays; whatever stands in its place now is what
// mariadbd made since, and goes.
func (d *datadir) setAside(say func(string)) error {
	places := d.distinct()
	kept := false
	for _, p := range places {
		old, err := p.files(func(name string) bool { return strings.HasPrefix(name, oldPrefix) })
		if err != nil {
			return fmt.Errorf("look for files of an earlier SST: %w", err)
		}
		kept = kept || len(old) > 0
	}
	type act struct {
		place
		name string
	}
	var acts []act
	for _, p := range places {
		names, err := p.files(func(name string) bool { return d.incoming(name) || d.stale(name) })
		if err != nil {
			return fmt.Errorf("look for files to set aside: %w", err)
		}
		for _, name := range names {
			acts = append(acts, act{p, name})
		}
	}
	// ibdata1 first: from then on no mixture can start.
	slices.SortStableFunc(acts, func(a, b act) int { return byRank(b.name, a.name) })
	d.state = saysIncomplete
	for _, a := range acts {
		var err error
		if kept {
			err = d.disk.remove(a.root, a.name)
		} else {
			err = d.disk.rename(a.root, a.name, oldPrefix+a.name)
		}
		if err != nil {
			return fmt.Errorf("set %s of %s aside: %w", a.name, a.root.Name(), err)
		}
	}
	for _, p := range places {
		if err := d.disk.syncDir(p.root); err != nil {
			return fmt.Errorf("sync %s: %w", p.root.Name(), err)
		}
	}
	switch {
	case kept && len(acts) > 0:
		say(fmt.Sprintf("an earlier SST did not end here: its set-aside files stay, %d newer ones are removed", len(acts)))
	case len(acts) > 0:
		say(fmt.Sprintf("set aside %d files of the old InnoDB; from here on this datadir needs an SST to the end", len(acts)))
	}
	return nil
}

// finish takes the datadir from incomplete to complete: everything that arrived is
// written to the disks, then the files get their names, then the old ones go.
// others are further roots that received files (links inside the data directory).
func (d *datadir) finish(others []*os.Root, warn func(string)) error {
	places := d.distinct()
	arrived := map[place][]string{}
	var all []string
	for _, p := range places {
		names, err := p.files(d.isForeign)
		if err != nil {
			return fmt.Errorf("look for the files that arrived: %w", err)
		}
		arrived[p] = names
		all = append(all, names...)
	}
	if err := whole(all); err != nil {
		return err
	}
	if err := d.syncAll(places, others); err != nil {
		return err
	}
	// ibdata1 gets its name when all other names are on the disk.
	for _, last := range []bool{false, true} {
		for _, p := range places {
			for _, name := range arrived[p] {
				if (rank(name) == 3) != last {
					continue
				}
				if err := d.disk.rename(p.root, name, strings.TrimPrefix(name, newPrefix)); err != nil {
					return fmt.Errorf("give %s of %s its name: %w", strings.TrimPrefix(name, newPrefix), p.root.Name(), err)
				}
			}
		}
		for _, p := range places {
			if err := d.disk.syncDir(p.root); err != nil {
				return fmt.Errorf("sync %s: %w", p.root.Name(), err)
			}
		}
	}
	d.state = saysComplete
	d.removeOld(places, warn)
	return nil
}

func (d *datadir) isForeign(name string) bool {
	real, ok := strings.CutPrefix(name, newPrefix)
	return ok && d.incoming(real)
}

// whole refuses a transfer without the files that no InnoDB is without: mariadbd
// would make an empty system table space and call it the donor's state.
func whole(arrived []string) error {
	for prefix, what := range map[string]string{"ibdata": "system table space (ibdata1)", "ib_logfile": "redo log (ib_logfile0)"} {
		if !slices.ContainsFunc(arrived, func(name string) bool { return strings.HasPrefix(name, newPrefix+prefix) }) {
			return advise(fmt.Errorf("the donor said that all is sent, but no %s has arrived", what),
				"compare innodb_data_home_dir and innodb_log_group_home_dir of both nodes")
		}
	}
	return nil
}

// syncAll writes every file system that received something to its disk, once.
func (d *datadir) syncAll(places []place, others []*os.Root) error {
	roots := make([]*os.Root, 0, len(places)+len(others))
	for i, p := range places {
		if !slices.ContainsFunc(places[:i], func(q place) bool { return q.dev == p.dev }) {
			roots = append(roots, p.root)
		}
	}
	for _, root := range append(roots, others...) {
		if err := d.disk.syncAll(root); err != nil {
			return fmt.Errorf("write %s to the disk: %w", root.Name(), err)
		}
	}
	return nil
}

// removeOld removes what was set aside. The SST is complete already: what cannot
// be removed only takes room.
func (d *datadir) removeOld(places []place, warn func(string)) {
	for _, p := range places {
		names, err := p.files(func(name string) bool { return strings.HasPrefix(name, oldPrefix) })
		for _, name := range names {
			if e := d.disk.remove(p.root, name); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		}
		if err == nil && len(names) > 0 {
			err = d.disk.syncDir(p.root)
		}
		if err != nil {
			warn(fmt.Sprintf("set-aside files of %s could not be removed, remove %s* by hand: %v", p.root.Name(), oldPrefix, err))
		}
	}
}

// close closes the roots.
func (d *datadir) close() {
	for _, p := range d.places {
		p.root.Close()
	}
}
