package sst

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// The pass under the lock, and the fence behind it. Files do change while the tables
// are locked: a transaction that was open before is rolled back, the change buffer is
// merged, Aria makes a checkpoint. A page from before such a change, beside a redo log
// from after it, is no state that InnoDB ever had. So when all is copied all files are
// looked at again, and what has moved since its copy began is compared once more, redo
// log, undo and system table space after the tables, until nothing moves.

const (
	// maxFence bounds the passes of the fence.
	maxFence = 20
	// lateInnoDB and late are how much older than its last read the stamp of a file must
	// be that was written to under the lock: the write may still be in flight when its
	// stamp shows. InnoDB's wait for the disk, the others' for memory.
	lateInnoDB = 2 * time.Second
	late       = 200 * time.Millisecond
)

// final makes the joiner's files what ours are. lockedAt is the time of the lock on the
// clock that stamps files.
func (c *copier) final(ctx context.Context, lockedAt time.Time) error {
	extra, err := c.binlogs()
	if err != nil {
		return fail(exitOther, err)
	}
	if extra.tar != nil {
		defer extra.tar.Close()
	}
	sel, now, err := c.take(ctx, extra.files)
	if err != nil {
		return err
	}
	defer sel.close()
	if err := c.bring(ctx, now); err != nil {
		return err
	}
	var due []*counted
	rest := int64(0)
	for i := range now.files {
		if f := &now.files[i]; !c.skip.sure(f, c.copies[f.fileKey]) {
			due = append(due, f)
		} else {
			rest += f.stamp.Size
		}
	}
	c.passing.enter(0, bytesOf(due), c.read.Load)
	tables, last := parted(due)
	var archive []ext.File
	if extra.tar != nil {
		archive = append(archive, extra.file(c.names))
	}
	t, _, err := c.send(ctx, tables, c.asOwner, archive...) // what is missing shows in the fence
	if err != nil {
		return err
	}
	part, _, err := c.send(ctx, last, c.asOwner)
	if err != nil {
		return err
	}
	t.add(part)
	c.infof("under the lock: %d files compared, %s read, %s sent in %.2f s; %d files, %s, had not changed",
		t.files, bytesText(t.read), bytesText(t.sent), t.took.Seconds(), len(now.files)-len(due), bytesText(rest))
	c.seams.beforeFence()
	return c.fence(ctx, sel, lockedAt)
}

// fence looks again and again until nothing has moved.
func (c *copier) fence(ctx context.Context, sel *selection, lockedAt time.Time) error {
	var missing []error
	for pass := 1; ; pass++ {
		now, err := sel.count(ctx)
		if err != nil {
			return err
		}
		if err := c.bring(ctx, now); err != nil {
			return err
		}
		moved, wait := c.moved(now, lockedAt)
		if len(moved) == 0 {
			return nil
		}
		if pass > maxFence {
			if restless(moved, missing) == nil {
				c.warn(fmt.Sprintf("%d files go on changing while the tables are locked, %s; they are sent as they were last", len(moved), moved[0].path()))
				return nil
			}
			return restless(moved, missing)
		}
		if wait > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(wait):
			}
		}
		c.infof("%d files changed while the tables were locked, compared again: %s", len(moved), someOf(moved))
		missing = nil
		tables, last := parted(moved)
		for _, part := range [][]*counted{tables, last} {
			_, errs, err := c.send(ctx, part, c.asOwner)
			if err != nil {
				return err
			}
			missing = append(missing, errs...)
		}
	}
}

// moved are the files whose copy may not be what they are. wait is how long to wait
// before they are read again: not at all if some were written to since their copy.
func (c *copier) moved(now *census, lockedAt time.Time) (moved []*counted, wait time.Duration) {
	var landing []*counted
	clock := time.Now()
	for i := range now.files {
		f := &now.files[i]
		last, known := c.copies[f.fileKey]
		switch {
		case known && growsUnderLock(f):
		case !known || !last.whole || last.stamp != f.stamp:
			moved = append(moved, f)
		case changed(f.stamp).After(lockedAt) && last.begun.Sub(changed(f.stamp)) < latency(f):
			landing = append(landing, f)
			wait = max(wait, latency(f)-clock.Sub(changed(f.stamp)))
		}
	}
	if len(moved) > 0 {
		return moved, 0
	}
	return landing, min(wait, lateInnoDB)
}

// latency is how long a write to the file may be in flight.
func latency(f *counted) time.Duration {
	if innoDB(f) {
		return lateInnoDB
	}
	return late
}

// innoDB says whether a file must fit the redo log.
func innoDB(f *counted) bool {
	switch plan.Root(f.root) {
	case plan.HomeDir, plan.LogDir, plan.UndoDir:
		return true
	}
	return strings.HasSuffix(f.name, ".ibd")
}

// growsUnderLock: the log tables take a line for each statement, reads too. What was
// sent of them is a prefix, which is all that can be had.
func growsUnderLock(f *counted) bool {
	if plan.Root(f.root) != plan.DataDir || !strings.HasPrefix(f.name, "mysql/") {
		return false
	}
	switch strings.TrimPrefix(f.name, "mysql/") {
	case "general_log.CSV", "general_log.CSM", "slow_log.CSV", "slow_log.CSM":
		return true
	}
	return false
}

// restless is the error of files that do not become quiet. nil if none of them is a
// table's: somebody's log file in a database must not keep a node down.
func restless(moved []*counted, missing []error) error {
	if len(missing) > 0 {
		return fail(exitOther, missing[0])
	}
	for _, f := range moved {
		if vital(f) || plan.OfTable(filepath.Base(f.name)) {
			return advise(failf(exitOther, "%s and %d more files go on changing while the tables are locked", f.path(), len(moved)-1),
				"most likely a long transaction that was open before the lock is rolled back; wait for its end, then start the joiner again")
		}
	}
	return nil
}

// someOf names at most five files.
func someOf(files []*counted) string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.name
	}
	return some(names)
}
