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
	maxFence = 50
	// lateInnoDB and late are how much older than its last read the stamp of a file must
	// be that was written to under the lock: the write may still be in flight when its
	// stamp shows. InnoDB's wait for the disk, which may have shown that it takes longer
	// (writeProbe), the others' for memory.
	lateInnoDB = time.Second
	late       = 200 * time.Millisecond
	// maxLate bounds what a slow disk makes of lateInnoDB.
	maxLate = 10 * time.Second
	// fencePoll is the time between two looks while nothing can be done but wait: what
	// moves meanwhile is sent at once, so that its own time runs, too.
	fencePoll = 100 * time.Millisecond
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
	for pass := 1; ; {
		now, err := sel.count(ctx)
		if err != nil {
			return err
		}
		if err := c.bring(ctx, now); err != nil {
			return err
		}
		moved, landing := c.moved(now, lockedAt)
		if len(moved) == 0 && landing == 0 {
			return nil
		}
		if len(moved) == 0 {
			if err := pause(ctx, min(landing, fencePoll)); err != nil {
				return err
			}
			continue
		}
		if pass > maxFence {
			if restless(moved, missing) == nil {
				c.warn(fmt.Sprintf("%d files go on changing while the tables are locked, %s; they are sent as they were last", len(moved), moved[0].path()))
				return nil
			}
			return restless(moved, missing)
		}
		pass++
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

// moved are the files whose copy may not be what they are, and that can be read now.
// landing is how long it takes until others can, which a write may be on its way to: 0
// if there are none.
func (c *copier) moved(now *census, lockedAt time.Time) (moved []*counted, landing time.Duration) {
	clock := time.Now()
	for i := range now.files {
		f := &now.files[i]
		last, known := c.copies[f.fileKey]
		switch {
		case known && growsUnderLock(f):
		case !known || !last.whole || last.stamp != f.stamp:
			moved = append(moved, f)
		default:
			again, wait := inFlight(f.stamp, last.begun, lockedAt, clock, c.latency(innoDB(f)))
			if again {
				moved = append(moved, f)
			}
			landing = max(landing, wait)
		}
	}
	return moved, landing
}

// inFlight judges the last read of a file, begun then, by its stamp: again says that it
// came too soon after a write under the lock, and that it is time for another; wait is
// how long to wait for that.
func inFlight(s ext.Stamp, begun, lockedAt, clock time.Time, latency time.Duration) (again bool, wait time.Duration) {
	at := changed(s)
	if !at.After(lockedAt) || begun.Sub(at) >= latency {
		return false, 0
	}
	wait = min(latency-clock.Sub(at), latency) // a stamp may lie in the future
	return wait <= 0, max(wait, 0)
}

// latency is how long a write to a file may be in flight.
func (d *donor) latency(innoDB bool) time.Duration {
	if !innoDB {
		return late
	}
	return min(max(lateInnoDB, d.writes.margin()), maxLate)
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
