package sst

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// A copier brings the donor's files to a joiner of ours: in rounds while mariadbd
// writes on, and exactly while it is locked (docs/own-protocol.md). Lists go by rsync
// sessions, contents by streams.
type copier struct {
	*donor
	sender *ext.Sender
	skip   skipping
	names  *idNames
	cache  *pageCache
	polite atomic.Pointer[polite] // while the tables are in use

	copies map[fileKey]copied              // what the joiner has
	marks  map[plan.Root][sha256.Size]byte // the lists that it has
	rounds int
	sent   atomic.Int64 // bytes of content, as they went over the wire
	read   atomic.Int64 // bytes of files
}

func newCopier(d *donor) *copier {
	c := &copier{
		donor: d, skip: d.seams.skipping(), names: newIDNames(), cache: newPageCache(d.memoryLimit),
		copies: map[fileKey]copied{}, marks: map[plan.Root][sha256.Size]byte{},
	}
	c.skip.writes = d.writes
	c.sender = ext.New(ext.Options{
		Connections: min(d.threads, maxStreams), Dial: d.dialStream, Memory: c.memory, Sums: d.oldData, Compress: d.settings.Compress,
		Progress: func(read, sent int64) {
			c.read.Add(read)
			c.sent.Add(sent)
			d.sent.Add(sent)
		},
		Log: func(line string) { d.infof("%s", line) },
		Pace: func(ctx context.Context, n int) error {
			g := c.polite.Load()
			if g == nil {
				return nil
			}
			began := time.Now()
			defer func() { d.paced.Add(int64(time.Since(began))) }()
			return g.pace(ctx, n)
		},
	})
	return c
}

// maxStreams is the most that a Sender takes.
const maxStreams = 16

func (c *copier) close() {
	c.sender.Close()
	c.cache.giveBack()
}

// asOwner reads at full speed: the tables are locked.
func (c *copier) asOwner(f *counted, s ext.Source) ext.Source {
	return c.cache.wrap(f.path(), readAhead(s, ownerAhead), true)
}

// bring makes the joiner's lists those of the census, where they differ, and forgets
// what is in none of them: it is gone at the joiner, too.
func (c *copier) bring(ctx context.Context, now *census) error {
	var due []*rootList
	for _, l := range now.lists {
		if c.marks[l.Root] != l.mark {
			due = append(due, l)
		}
	}
	if len(due) == 0 {
		return nil
	}
	keys := now.keys()
	c.memory.Keep(func(root uint8, name string) bool { return keys[fileKey{root, name}] || name == plan.BinlogArchive })
	for key := range c.copies {
		if !keys[key] {
			delete(c.copies, key)
		}
	}
	if len(c.marks) == 0 {
		// The first of all takes the joiner's data directory from untouched to incomplete.
		if err := c.list(ctx, due[0]); err != nil {
			return err
		}
		due = due[1:]
	}
	if err := inParallel(ctx, min(c.lists, len(due)), due, c.list); err != nil {
		return err
	}
	for _, l := range now.lists {
		c.marks[l.Root] = l.mark
	}
	return nil
}

// list runs one list session. Names that went away meanwhile are the next one's.
func (c *copier) list(ctx context.Context, l *rootList) error {
	o := c.options(l.Session, l.rules)
	o.ListOnly = true
	return c.again(ctx, func(ctx context.Context) error {
		err := c.pushSource(ctx, l.source(), "the list of "+l.Dir, o)
		if isVanished(err) {
			err = nil
		}
		return err
	})
}

// A tally says what one pass did.
type tally struct {
	files      int
	read, sent int64
	took       time.Duration
}

func (t *tally) add(o tally) {
	t.files, t.read, t.sent, t.took = t.files+o.files, t.read+o.read, t.sent+o.sent, t.took+o.took
}

// send brings the contents of files, and notes how each was copied, and of more that are
// in no census. The error is the end of the SST; missing tells of files that were not
// copied.
func (c *copier) send(ctx context.Context, some []*counted, wrap wrapper, more ...ext.File) (t tally, missing []error, err error) {
	files := append(make([]ext.File, 0, len(more)+len(some)), more...)
	for _, f := range some {
		files = append(files, f.file(c.names, wrap))
	}
	began, read, sent := time.Now(), c.read.Load(), c.sent.Load()
	results, err := c.sender.Send(ctx, files)
	if err != nil {
		return t, nil, c.sendError(ctx, err)
	}
	for i, r := range results {
		if i < len(more) {
			if r.Err != nil {
				return t, nil, fail(exitOther, r.Err)
			}
			continue
		}
		f := some[i-len(more)]
		if r.Err == nil {
			last := copiedBy(r)
			// The owner and the permissions are those that were counted.
			last.whole = last.whole && last.stamp == f.stamp
			c.copies[f.fileKey] = last
			continue
		}
		delete(c.copies, f.fileKey)
		if !errors.Is(r.Err, fs.ErrNotExist) {
			missing = append(missing, r.Err)
		}
	}
	return tally{len(files), c.read.Load() - read, c.sent.Load() - sent, time.Since(began)}, missing, nil
}

func (c *copier) sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, gaveUp := errors.AsType[*ext.GaveUpError](err); gaveUp {
		return fail(exitOther, fmt.Errorf("joiner %s: %w", peerName(c.joiner), err))
	}
	return fail(exitOther, &peerError{fmt.Errorf("send to joiner %s: %w", peerName(c.joiner), err)})
}

// take plans anew and looks at everything. The selection is the caller's to close.
func (c *copier) take(ctx context.Context, extra map[string]transfer.VirtualFile) (*selection, *census, error) {
	if err := c.planAgain(ctx); err != nil {
		return nil, nil, err
	}
	s, err := openSelection(c.plan, extra)
	if err != nil {
		return nil, nil, err
	}
	now, err := s.count(ctx)
	for try := 1; err != nil && try < maxLooks && ctx.Err() == nil; try++ {
		now, err = s.count(ctx) // what is dropped while we look is no error
	}
	if err != nil {
		s.close()
		return nil, nil, err
	}
	return s, now, nil
}

// maxLooks is how often a census is tried.
const maxLooks = 3

// bytesOf is the length of files together.
func bytesOf(files []*counted) (n int64) {
	for _, f := range files {
		n += f.stamp.Size
	}
	return n
}

// vital are the files that must not be older than any page of a table: what they say
// is done to it. They are copied last.
func vital(f *counted) bool { return plan.Root(f.root) != plan.DataDir }

func parted(files []*counted) (tables, last []*counted) {
	files = slices.Clone(files)
	i := 0
	for _, f := range files {
		if vital(f) {
			last = append(last, f)
		} else {
			files[i], i = f, i+1
		}
	}
	return files[:i], last
}
