package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// generator walks the list: it makes directories, links and special files, removes
// what is to go, and asks for the data of regular files. It is the only writer of
// the stream to the client. It runs ahead of the receiver without a limit and
// relies on the sender to read what it asks (§19).
type generator struct {
	*session
	basis   Basis
	asked   int             // requests since the last flush
	going   bool            // the first request is on its way
	dirs    []int32         // directories whose attributes come last
	deleted [4]int32        // files, directories, links, specials
	stopped bool            // deletion stopped because of an I/O error
	skipDir map[string]bool // directories that could not be made
	newDirs map[string]bool // directories that were made
}

// flushEvery bounds how many requests wait for company before they are sent.
const flushEvery = 32

func (g *generator) run(ctx context.Context, firstPass, finished <-chan struct{}) error {
	for i, e := range g.list.Entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.Cleared {
			continue
		}
		if err := g.entry(ctx, int32(i), e); err != nil {
			return err
		}
	}
	g.w.NDX(ndxDone)
	if err := g.w.Flush(); err != nil {
		return err
	}
	if err := wait(ctx, firstPass); err != nil {
		return err
	}
	for _, i := range g.board.redo {
		if err := g.request(ctx, i, iflagTransfer, true); err != nil {
			return err
		}
	}
	g.w.NDX(ndxDone) // end of the redo phase
	g.w.NDX(ndxDone) // end of delayed updates, of which there are none
	if g.proto >= 31 {
		g.sendDeleted()
		g.w.NDX(ndxDone)
	}
	if err := g.w.Flush(); err != nil {
		return err
	}
	if err := wait(ctx, finished); err != nil {
		return err
	}
	if err := g.finishDirs(); err != nil {
		return err
	}
	if err := g.reports.flush(ctx); err != nil {
		return err
	}
	g.w.NDX(ndxDone)
	return g.w.Flush()
}

func wait(ctx context.Context, event <-chan struct{}) error {
	select {
	case <-event:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}

// sendDeleted sends the counts of §14.2.
func (g *generator) sendDeleted() {
	total := int32(0)
	for _, n := range g.deleted {
		total += n
	}
	g.stats.Deleted = int(total)
	if !g.args.delete {
		return
	}
	g.w.NDX(ndxDelStats)
	g.w.Varint(g.deleted[0])
	g.w.Varint(g.deleted[1])
	g.w.Varint(g.deleted[2])
	g.w.Varint(0) // devices: never
	g.w.Varint(g.deleted[3])
}

// entry brings one file of the list into being, or asks for it.
func (g *generator) entry(ctx context.Context, i int32, e *flist.Entry) error {
	full := g.path(e)
	if err := g.guard(full, e.IsDir()); err != nil {
		g.complain(e.Name, err)
		if e.IsDir() {
			g.skip(e.Name)
		}
		return nil
	}
	if g.skipDir[parentOf(e.Name)] {
		if e.IsDir() {
			g.skip(e.Name)
		}
		return nil
	}
	var err error
	switch {
	case e.IsDir():
		err = g.dir(ctx, i, e, full)
	case e.IsRegular():
		err = g.file(ctx, i, e, full)
	case e.IsSymlink() && g.args.links:
		err = g.symlink(ctx, e, full)
	case e.IsSpecial() && g.args.specials:
		err = g.special(ctx, e, full)
	case e.IsDevice() && g.args.devices:
		err = fmt.Errorf("%s is a device, which this server does not make", flist.Quote(e.Name))
	default:
		g.reports.say(wire.Info, "skipping non-regular file "+flist.Quote(e.Name))
	}
	if err == nil || Fatal(err) || ctx.Err() != nil || g.w.Err() != nil {
		return err
	}
	g.complain(e.Name, err)
	if e.IsDir() {
		g.skip(e.Name)
	}
	return nil
}

func (g *generator) skip(dir string) { note(&g.skipDir, dir) }

func note(dirs *map[string]bool, dir string) {
	if *dirs == nil {
		*dirs = map[string]bool{}
	}
	(*dirs)[dir] = true
}

// standing describes what is at path, nil for nothing. Something of another type
// than wanted is removed first (§10.3).
func (g *generator) standing(ctx context.Context, path string, wanted uint32) (*Stat, error) {
	info, err := g.module.Store.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case info.Mode&flist.TypeMask == wanted:
		return &info, nil
	}
	if err := g.makeRoom(ctx, path, info); err != nil {
		return nil, err
	}
	return nil, nil
}

func (g *generator) dir(ctx context.Context, i int32, e *flist.Entry, path string) error {
	info, err := g.standing(ctx, path, flist.TypeDir)
	if err != nil {
		return err
	}
	if info == nil {
		if err := g.module.Store.Mkdir(path); err != nil {
			return err
		}
		note(&g.newDirs, e.Name)
	} else if info.Mode&0o700 != 0o700 && os.Geteuid() != 0 {
		// Mode and times come last; until then we must be able to work in it.
		if err := g.module.Store.SetAttrs(path, Attrs{SetMode: true, Mode: info.Mode&0o7777 | 0o700}); err != nil {
			return err
		}
	}
	g.dirs = append(g.dirs, i)
	if info != nil && g.args.delete && !e.NoContent {
		return g.deleteIn(ctx, e.Name)
	}
	return nil
}

// finishDirs sets the attributes of directories, contents before containers.
func (g *generator) finishDirs() error {
	for n := len(g.dirs) - 1; n >= 0; n-- {
		e := g.list.Entries[g.dirs[n]]
		if err := g.module.Store.SetAttrs(g.path(e), g.attrs(e, false)); err != nil {
			if Fatal(err) {
				return err
			}
			g.complain(e.Name, err)
		}
	}
	return nil
}

func (g *generator) file(ctx context.Context, i int32, e *flist.Entry, path string) error {
	if g.args.limited && e.Size > g.args.maxSize {
		return g.leave(ctx, e, path)
	}
	info, err := g.standing(ctx, path, flist.TypeRegular)
	if err != nil {
		return err
	}
	if info == nil {
		return g.request(ctx, i, iflagTransfer|iflagIsNew, false)
	}
	same, err := g.same(ctx, e, info, path)
	if err != nil {
		return err
	}
	if same {
		return g.module.Store.SetAttrs(path, g.attrs(e, false))
	}
	return g.request(ctx, i, iflagTransfer, false)
}

// leave lets a file be that is longer than --max-size. Where the client also has
// surplus files removed, something of another type in its place is one of them; real
// rsync leaves that, too, but then nothing but a later session could put it right.
func (g *generator) leave(ctx context.Context, e *flist.Entry, path string) error {
	if !g.args.delete || g.newDirs[parentOf(e.Name)] {
		return nil // in a directory that we made there is nothing yet
	}
	_, err := g.standing(ctx, path, flist.TypeRegular)
	return err
}

// same decides whether a file that is there need not be sent (§10.3).
func (g *generator) same(ctx context.Context, e *flist.Entry, info *Stat, path string) (bool, error) {
	switch {
	case g.args.ignoreTimes:
		return false, nil
	case info.Size != e.Size:
		return false, nil
	case g.args.checksum:
		f, err := g.module.Store.Open(path)
		if err != nil {
			return false, nil
		}
		defer f.Close()
		sum, err := digest(ctx, f, e.Size, g.sum)
		if err != nil {
			return false, ctx.Err()
		}
		return string(sum) == string(e.Sum), nil
	case g.args.sizeOnly:
		return true, nil
	}
	return info.Mtime == e.Mtime && (g.proto < 31 || info.Nsec == e.Nsec), nil
}

// request asks for a file (§10.1).
func (g *generator) request(ctx context.Context, i int32, iflags uint16, redo bool) error {
	e := g.list.Entries[i]
	g.board.set(i, requested)
	g.w.NDX(i)
	g.w.Short(iflags)
	// The head has to be on the board before the request can be answered, which is
	// not before the next flush that holds it whole; a long list of sums flushes
	// by itself, but its end comes with the last of them.
	isNew := iflags&iflagIsNew != 0
	head, err := g.basis.WriteSums(ctx, g.w, g.path(e), isNew, redo)
	if err != nil {
		return fmt.Errorf("%s: %w", flist.Quote(e.Name), err)
	}
	g.board.setWant(i, want{head, isNew})
	if g.asked++; g.asked >= flushEvery || head.Count > 0 || g.firstFlush() {
		g.asked = 0
		return g.w.Flush()
	}
	return g.w.Err()
}

// firstFlush is true once: the first request is sent at once, to get the sender
// going.
func (g *generator) firstFlush() bool {
	first := !g.going
	g.going = true
	return first
}

func (g *generator) symlink(ctx context.Context, e *flist.Entry, path string) error {
	info, err := g.standing(ctx, path, flist.TypeSymlink)
	if err != nil {
		return err
	}
	if info != nil {
		if target, err := g.module.Store.Readlink(path); err == nil && target == e.Link {
			return g.module.Store.SetAttrs(path, g.attrs(e, false))
		}
		if err := g.module.Store.Remove(path); err != nil {
			return err
		}
	}
	if err := g.module.Store.Symlink(path, e.Link); err != nil {
		return err
	}
	return g.module.Store.SetAttrs(path, g.attrs(e, true))
}

func (g *generator) special(ctx context.Context, e *flist.Entry, path string) error {
	info, err := g.standing(ctx, path, e.Mode&flist.TypeMask)
	if err != nil {
		return err
	}
	if info == nil {
		if err := g.module.Store.Mknod(path, e.Mode); err != nil {
			return err
		}
	}
	return g.module.Store.SetAttrs(path, g.attrs(e, info == nil))
}

// parentOf is the directory of a name: path.Dir for names in normal form, of which there are many.
func parentOf(name string) string {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i]
	}
	return "."
}
