package transfer

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// deleteIn removes from a directory of the list what the list does not have and no
// rule protects (§15.2). It runs when the list is complete, never before.
func (g *generator) deleteIn(ctx context.Context, dir string) error {
	g.mu.Lock()
	bits := g.list.IOError | g.ioError
	g.mu.Unlock()
	if bits&ioErrorGeneral != 0 && !g.args.ignoreErrors {
		if !g.stopped {
			g.stopped = true
			g.reports.say(wire.Info, "IO error encountered -- skipping file deletion")
		}
		return nil
	}
	infos, parent, err := g.extras(dir)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, e := range g.list.Dir(dir) {
		listed[e.Name] = true
	}
	for _, info := range infos {
		name := join(dir, info.Name)
		if listed[name] || g.kept(name, info.IsDir(), false) {
			continue
		}
		if _, err := g.remove(ctx, name, info, parent.Dev); err != nil {
			return err
		}
	}
	return nil
}

// extras lists a directory of the destination, last name first.
func (g *generator) extras(dir string) ([]Stat, Stat, error) {
	path := join(g.dest, dir)
	parent, err := g.module.Store.Lstat(path)
	if err != nil {
		return nil, parent, err
	}
	infos, err := g.module.Store.ReadDir(path)
	slices.SortFunc(infos, func(a, b Stat) int { return cmp.Compare(b.Name, a.Name) })
	return infos, parent, err
}

// kept says whether a rule of the client's or of the module's keeps a file. Rules
// marked perishable do not count inside a directory that is itself to go.
func (g *generator) kept(name string, dir, doomed bool) bool {
	if g.protected(join(g.dest, name), dir) {
		return true
	}
	if g.rules == nil {
		return false
	}
	if doomed {
		return g.rules.ExcludedPerishable(filter.Receiver, name, dir)
	}
	return g.rules.Excluded(filter.Receiver, name, dir)
}

// remove removes a file, or a directory with all that is in it. A directory in
// which something is protected stays, and so does a mount point.
func (g *generator) remove(ctx context.Context, name string, info Stat, dev uint64) (gone bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if info.IsDir() && g.isLink(name) {
		_, err := g.empty(ctx, name)
		return false, err
	}
	if info.IsDir() {
		if info.Dev != dev {
			g.reports.say(wire.Info, "cannot delete mount point: "+flist.Quote(name))
			return false, nil
		}
		empty, err := g.empty(ctx, name)
		if err != nil {
			return false, err
		}
		if !empty {
			g.reports.say(wire.Info, "cannot delete non-empty directory: "+flist.Quote(name))
			return false, nil
		}
	}
	if err := g.module.Store.Remove(join(g.dest, name)); err != nil {
		if Fatal(err) {
			return false, err
		}
		g.complain(name, fmt.Errorf("delete: %w", err))
		return false, nil
	}
	g.countDeleted(name, info)
	return true, nil
}

// empty removes the contents of a directory and says whether nothing is left.
func (g *generator) empty(ctx context.Context, dir string) (bool, error) {
	infos, parent, err := g.extras(dir)
	if err != nil {
		if Fatal(err) {
			return false, err
		}
		g.complain(dir, fmt.Errorf("delete: %w", err))
		return false, nil
	}
	all := true
	for _, info := range infos {
		name := join(dir, info.Name)
		if g.kept(name, info.IsDir(), true) {
			all = false
			continue
		}
		gone, err := g.remove(ctx, name, info, parent.Dev)
		if err != nil {
			return false, err
		}
		all = all && gone
	}
	return all, nil
}

// countDeleted tells the client what is gone (§5.2): the path, and for a directory
// a NUL behind it.
func (g *generator) countDeleted(name string, info Stat) {
	payload := []byte(name)
	switch info.Mode & flist.TypeMask {
	case flist.TypeDir:
		g.deleted[1]++
		payload = append(payload, 0)
	case flist.TypeSymlink:
		g.deleted[2]++
	case flist.TypeRegular:
		g.deleted[0]++
	default:
		g.deleted[3]++
	}
	if len(payload) <= wire.MaxName {
		_ = g.w.Message(wire.Deleted, payload) // a failure shows at the next flush
	}
}

// makeRoom removes what stands where something of another type is to come. That is
// not counted as a deletion.
func (g *generator) makeRoom(ctx context.Context, path string, info Stat) error {
	if info.IsDir() && (g.args.delete || g.args.force) {
		name := path
		if g.dest != "." {
			name = path[len(g.dest)+1:]
		}
		empty, err := g.empty(ctx, name)
		if err != nil {
			return err
		}
		if !empty {
			return fmt.Errorf("cannot make room for %s: a directory is there, and something in it is protected", flist.Quote(path))
		}
	}
	return g.module.Store.Remove(path)
}
