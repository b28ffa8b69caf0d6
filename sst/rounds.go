package sst

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// The rounds before the lock. mariadbd writes on while they run, so nothing that they
// copy has to be right, or even to be one state: what counts is how little is left for
// the pass under the lock.

const (
	// smallRest: when a round has sent no more than this, another one would not make
	// the pass under the lock any shorter.
	smallRest = 16 << 20
	// largeRest: files of this length together that the next round could settle are
	// worth one.
	largeRest = 256 << 20
	// shrinks: a round that sends more than this part of the one before shows that
	// mariadbd writes as fast as we copy.
	shrinks = 0.75
)

// beforeLock runs the rounds, unless there is nothing to be gained by them.
func (c *copier) beforeLock(ctx context.Context) error {
	if c.hand != nil { // nobody writes
		return nil
	}
	if why := c.whyNoRounds(); why != "" {
		c.infof("nothing is copied before the lock: %s", why)
		return nil
	}
	return c.preCopy(ctx)
}

// whyNoRounds says why nothing is copied before the lock; "" if it is.
func (d *donor) whyNoRounds() string {
	switch {
	case !d.settings.Precopy:
		return "precopy=off"
	case d.settings.RejectsQueries:
		return "wsrep_sst_donor_rejects_queries is on, so nobody is served meanwhile"
	}
	return ""
}

// preCopy runs the rounds. Its error is the end of the SST.
func (c *copier) preCopy(ctx context.Context) error {
	g := newPolite(c.settings.PrecopyRate)
	c.polite.Store(g)
	c.sender.Use(politeThreads())
	defer func() {
		c.sender.Use(maxStreams)
		c.polite.Store(nil)
		g.close()
	}()
	defer c.writes.start()()
	began := time.Now()
	sel, now, err := c.take(ctx, nil)
	if err != nil {
		return err
	}
	due := c.due(now)
	for before := int64(-1); ; {
		t, err := c.round(ctx, now, due)
		sel.close()
		if err != nil {
			return err
		}
		c.rounds++
		if sel, now, err = c.take(ctx, nil); err != nil {
			return err
		}
		due = c.due(now)
		c.infof("round %d before the lock: %d files, %s read, %s sent in %.1f s; %s in %d files changed meanwhile",
			c.rounds, t.files, bytesText(t.read), bytesText(t.sent), t.took.Seconds(), bytesText(bytesOf(due)), len(due))
		if why := c.enough(t, before, due, time.Since(began), func() (int64, bool) { return c.sample(ctx, due) }); why != "" {
			c.infof("%s: now for the lock", why)
			sel.close()
			return nil
		}
		before = t.sent
	}
}

// round copies the files that are due.
func (c *copier) round(ctx context.Context, now *census, due []*counted) (tally, error) {
	if err := c.bring(ctx, now); err != nil {
		return tally{}, err
	}
	c.passing.enter(c.rounds+1, bytesOf(due), c.read.Load)
	c.tell(status.Transferring, fmt.Sprintf("copying while the tables are in use, round %d", c.rounds+1))
	g := c.polite.Load()
	c.cache.refill()
	var files sync.Mutex // for what the rules remember
	clock := time.Now()
	t, missing, err := c.send(ctx, due, func(f *counted, s ext.Source) ext.Source {
		// What has changed since the round before will have changed under the lock, too.
		files.Lock()
		again := c.rounds > 0 || c.skip.readAgain(f, clock)
		files.Unlock()
		return g.wrap(c.cache.wrap(f.path(), readAhead(s, guestAhead), again))
	})
	if err == nil && len(missing) > 0 {
		c.infof("%d files were not copied yet, the first: %v", len(missing), missing[0])
	}
	return t, err
}

// due are the files that a round should copy: those that have changed since they were
// copied, and those that were copied too soon after a change and would be safe now.
func (c *copier) due(now *census) (due []*counted) {
	clock := time.Now()
	for i := range now.files {
		f := &now.files[i]
		last, known := c.copies[f.fileKey]
		if !known || !last.whole || last.stamp != f.stamp ||
			c.skip.mayRest(f) && !c.skip.settled(last) && c.skip.ripe(f, clock) {
			due = append(due, f)
		}
	}
	return due
}

// enough says why no further round is to be run; "" if one is. t is the last round, before
// what the one before that sent, took the time of all. guess estimates how much the next one
// would send.
func (c *copier) enough(t tally, before int64, due []*counted, took time.Duration, guess func() (int64, bool)) string {
	rest := bytesOf(due)
	switch {
	case len(due) == 0:
		return "all files are copied"
	case c.rounds >= c.settings.PrecopyRounds:
		return "precopy-rounds is reached"
	case c.settings.PrecopyMaxTime > 0 && took >= c.settings.PrecopyMaxTime:
		return "precopy-max-time is reached"
	case rest <= smallRest:
		return "what has changed is small"
	case c.rounds > 1 && t.sent <= smallRest && rest-t.read <= largeRest:
		return "what changes in a round is small"
	case c.rounds > 2 && float64(t.sent) > shrinks*float64(before) && rest-t.read <= largeRest:
		return "what changes in a round does not shrink"
	case c.cache.gone(due) <= largeRest:
		if n, ok := guess(); ok && n <= smallRest {
			return fmt.Sprintf("by a sample, about %s of that differ", bytesText(n))
		}
	}
	return ""
}

const (
	// sampleEvery is the part of a file of which one block is looked at: what is found to differ
	// in a few of them is no more than smallRest.
	sampleEvery = smallRest / 4
	// maxSampled bounds the files that are opened for it.
	maxSampled = 4096
)

// sample looks at a block here and there of files that the joiner has, and guesses how many
// bytes of them differ by now. It is not known where a file cannot be read.
func (c *copier) sample(ctx context.Context, due []*counted) (differ int64, ok bool) {
	if len(due) > maxSampled {
		return 0, false
	}
	g := c.polite.Load()
	block := make([]byte, ext.BlockSize)
	for _, f := range due {
		n, err := c.sampleFile(ctx, g, f, block)
		if err != nil {
			return 0, false
		}
		differ += n
	}
	return differ, true
}

func (c *copier) sampleFile(ctx context.Context, g *polite, f *counted, block []byte) (differ int64, err error) {
	s, err := f.file(c.names, func(_ *counted, s ext.Source) ext.Source { return g.wrap(s) }).Open()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for at := int64(0); at < f.stamp.Size; at += sampleEvery {
		part := min(sampleEvery, f.stamp.Size-at)
		off := at + rand.Int64N((part+ext.BlockSize-1)/ext.BlockSize)*ext.BlockSize
		if err := g.pace(ctx, ext.BlockSize); err != nil {
			return 0, err
		}
		n, err := s.ReadAt(block, off)
		if err != nil && err != io.EOF {
			return 0, err
		}
		if !c.memory.Same(f.root, f.name, off, block[:n]) {
			differ += part
		}
	}
	return differ, nil
}
