package sst

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// A joiner that runs a script takes rsync sessions only. So the sessions that fill it
// under the lock are rehearsed before it: the same modules, rules and order, while
// mariadbd writes on. Under the lock they run again, and now the joiner has something to
// compare with: what the rules of skip.go prove to be unchanged is listed, but not sent,
// and everything else goes by rsync's own delta. The magic file is in neither: it comes
// at the very end, once, and is all that the script waits for.

const (
	// tinyDatabase: where files are sent whole, less than this is sent in the time that
	// comparing it would take.
	tinyDatabase = 128 << 20
	// maxRehearsals and longRehearsal: what mariadbd changes in a round of that length is
	// worth another one. For a script's rsync each reads everything that has changed, at
	// both ends.
	maxRehearsals = 2
	longRehearsal = 10 * time.Second
	// showInterval is short beside any sensible time-out of a joiner.
	showInterval = 15 * time.Second
)

// A rehearsal knows what a script's joiner has got before the lock.
type rehearsal struct {
	*donor
	skip   skipping
	cache  *pageCache
	polite *polite
	rounds int

	mu     sync.Mutex
	copies map[fileKey]copied
	left   tally // files that were not sent under the lock
}

// rehearse runs the sessions before the lock, unless there is nothing to be gained by it.
func (d *donor) rehearse(ctx context.Context) error {
	if d.hand != nil { // nobody writes
		return nil
	}
	why := d.whyNoRounds()
	if size := d.plan.Total.Allocated; why == "" && size < d.seams.tiny && d.args.Method != RsyncWan {
		why = fmt.Sprintf("the database is small (%s), and method %s sends whole files", bytesText(size), d.args.Method)
	}
	if why != "" {
		d.infof("nothing is copied before the lock: %s", why)
		return nil
	}
	r := &rehearsal{donor: d, skip: d.seams.skipping(), cache: newPageCache(d.memoryLimit), polite: newPolite(d.settings.PrecopyRate), copies: map[fileKey]copied{}}
	r.skip.writes = d.writes
	defer r.polite.close()
	defer d.writes.start()()
	err := r.run(ctx)
	if err != nil {
		r.close()
	}
	return err
}

func (r *rehearsal) close() { r.cache.giveBack() }

// shows lets the joiner see that we live, until the function that it returns is called. A
// joiner that has got something gives up a donor from whom nothing comes for its time-out,
// and mariadbd may take longer than that for its lock.
func (r *rehearsal) shows(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(r.seams.show)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// What fails here shows again when there is something to send.
			if conn, err := r.dial(ctx); err == nil {
				_, _ = r.modules(ctx, conn)
				conn.Close()
			}
		}
	})
	return func() {
		cancel()
		showing.Wait()
	}
}

func (r *rehearsal) run(ctx context.Context) error {
	began := time.Now()
	for {
		round, sent := time.Now(), r.literal.Load()
		if r.rounds > 0 {
			if err := r.planAgain(ctx); err != nil {
				return err
			}
		}
		r.passing.enter(r.rounds+1, r.plan.Total.Size, r.flows.moved.Load)
		r.tell(status.Transferring, fmt.Sprintf("copying while the tables are in use, round %d", r.rounds+1))
		r.cache.refill()
		if err := r.inOrder(ctx, sessionsOf(r.plan), politeThreads(), r.session); err != nil {
			return err
		}
		r.rounds++
		r.rehearsed = r // from now on there is something to compare with
		took := time.Since(round)
		r.infof("round %d before the lock: %d sessions, %s sent in %.1f s", r.rounds, len(r.plan.Sessions), bytesText(r.literal.Load()-sent), took.Seconds())
		limit := r.settings.PrecopyMaxTime
		if took < longRehearsal || r.rounds >= min(maxRehearsals, r.settings.PrecopyRounds) || limit > 0 && time.Since(began) >= limit {
			return nil
		}
	}
}

// session rehearses one session. What goes wrong with its files is no matter: they are
// sent under the lock.
func (r *rehearsal) session(ctx context.Context, s *sentSession) error {
	src, rules, err := openSource(s.Session, nil)
	if err == nil {
		defer src.Close()
		err = r.sendDue(ctx, s, src, r.options(s.Session, rules))
	}
	_, unlisted := errors.AsType[*listError](err)
	switch {
	case err == nil || isVanished(err):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isPartial(err) || unlisted || errors.Is(err, fs.ErrNotExist):
		r.infof("not all of %s was copied before the lock: %v", s.what(), err)
		return nil
	}
	return err
}

// sendDue sends what has changed since it was copied, and what was copied too soon after
// a change and would be safe now.
func (r *rehearsal) sendDue(ctx context.Context, s *sentSession, src *stampedSource, o transfer.PushOptions) error {
	notes := &noted{Source: src, copies: map[fileKey]copied{}}
	notes.wrap = func(name string, f ext.Source) ext.Source {
		return r.polite.wrap(r.cache.wrap(filepath.Join(s.Dir, name), readAhead(f, guestAhead), r.again(r.countedAs(s, name, s.stamps[name]))))
	}
	notes.pace = func(n int) error { return r.polite.pace(ctx, n) }
	notes.key = func(name string) fileKey { return keyOfFile(s, name) }
	err := r.sendBut(ctx, s, src, notes, o, func(f *counted, last copied) bool {
		return last.whole && last.stamp == f.stamp && (!r.skip.mayRest(f) || r.skip.settled(last) || !r.skip.ripe(f, time.Now()))
	})
	if err == nil || isVanished(err) {
		notes.into(r)
	}
	return err
}

// sendRest sends under the lock what is not proven to be at the joiner.
func (r *rehearsal) sendRest(ctx context.Context, s *sentSession, src *stampedSource, o transfer.PushOptions) error {
	var left tally
	err := r.sendBut(ctx, s, src, src, o, func(f *counted, last copied) bool {
		sure := r.skip.sure(f, last)
		if sure {
			left.files, left.read = left.files+1, left.read+f.stamp.Size
		}
		return sure
	})
	if err == nil {
		r.mu.Lock()
		r.left.add(left)
		r.mu.Unlock()
	}
	return err
}

// sendBut sends a session. Files that may be left out are in its list, so that they are
// not deleted; when there are any, their contents take no part, which needs a session for
// the list, which alone deletes, and one for contents. from is where these are read.
func (r *rehearsal) sendBut(ctx context.Context, s *sentSession, src *stampedSource, from transfer.Source, o transfer.PushOptions, leave func(*counted, copied) bool) error {
	s.listed = time.Now()
	entries, ioError, err := src.List(ctx)
	if err != nil {
		return fail(exitOther, &listError{fmt.Errorf("list %s: %w", s.what(), err)})
	}
	s.stamps = src.stamps
	all := fixedSource{entries, ioError, from}
	var due []string
	regular := 0
	for _, e := range entries {
		if !e.IsRegular() {
			continue
		}
		regular++
		if stamp, real := s.stamps[e.Name]; !real || !r.leaves(s, e.Name, stamp, leave) {
			due = append(due, e.Name)
		}
	}
	if len(due) == regular {
		return r.pushSource(ctx, all, s.what(), o)
	}
	list := o
	list.ListOnly = true
	err = r.pushSource(ctx, fixedSource{unsent(entries), ioError, from}, "the list of "+s.what(), list)
	if err != nil && !isVanished(err) || len(due) == 0 {
		return err
	}
	o.Delete, o.Rules = false, nil
	return r.pushSource(ctx, newPartSource(all, due), s.what(), o)
}

// A listError is why a session was not begun: before the lock most likely a database that
// was dropped meanwhile.
type listError struct{ err error }

func (e *listError) Error() string { return e.err.Error() }

func (e *listError) Unwrap() error { return e.err }

func (r *rehearsal) leaves(s *sentSession, name string, stamp ext.Stamp, leave func(*counted, copied) bool) bool {
	f := r.countedAs(s, name, stamp)
	r.mu.Lock()
	defer r.mu.Unlock() // also for what the rules remember
	last, known := r.copies[f.fileKey]
	return known && leave(f, last)
}

// again says that a file will be read once more.
func (r *rehearsal) again(f *counted) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rounds > 0 || r.skip.readAgain(f, time.Now())
}

// countedAs is a file as the rules know it.
func (r *rehearsal) countedAs(s *sentSession, name string, stamp ext.Stamp) *counted {
	base := &selected{Session: plan.Session{Dir: filepath.Join(s.Dir, topOf(s))}}
	return &counted{fileKey: keyOfFile(s, name), stamp: stamp, src: base}
}

// topOf is the way from a session's directory to its root: a session of one database lies
// one level down.
func topOf(s *sentSession) string {
	if s.Path != "" {
		return ".."
	}
	return "."
}

// keyOfFile names a file as [counted] does.
func keyOfFile(s *sentSession, name string) fileKey {
	return fileKey{uint8(s.Root), path.Join(s.Path, name)}
}

// A fixedSource has one list, whatever happens to the directory.
type fixedSource struct {
	entries []*flist.Entry
	ioError int32
	from    transfer.Source
}

func (s fixedSource) List(context.Context) ([]*flist.Entry, int32, error) {
	return append([]*flist.Entry(nil), s.entries...), s.ioError, nil
}

func (s fixedSource) Open(name string) (transfer.SourceFile, error) { return s.from.Open(name) }

// noted is a source that notes how its files were read.
type noted struct {
	transfer.Source
	wrap func(string, ext.Source) ext.Source
	pace func(int) error
	key  func(string) fileKey

	mu     sync.Mutex
	copies map[fileKey]copied
}

// into hands the notes over, when the joiner has what was read.
func (n *noted) into(r *rehearsal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, c := range n.copies {
		r.copies[key] = c
	}
}

// Open implements transfer.Source.
func (n *noted) Open(name string) (transfer.SourceFile, error) {
	f, err := n.Source.Open(name)
	if err != nil {
		return nil, err
	}
	size := f.Size()
	src, err := ext.FromSource(f)
	if err != nil {
		return nil, err
	}
	before, err := src.Stat()
	if err != nil {
		src.Close()
		return nil, err
	}
	return &notedFile{Source: n.wrap(name, src), noted: n, name: name, size: size, before: before, begun: time.Now()}, nil
}

// A notedFile is read from its beginning to its end, by one goroutine.
type notedFile struct {
	ext.Source
	noted  *noted
	name   string
	size   int64
	before ext.Stamp
	begun  time.Time
	end    int64 // so far it was read without a gap
	short  bool  // it has become shorter
}

func (f *notedFile) Size() int64 { return f.size }

// ReadAt implements io.ReaderAt. A file that has become shorter is filled up: it goes
// again under the lock, and to fail now would help nobody.
func (f *notedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.noted.pace(len(p)); err != nil {
		return 0, err
	}
	n, err := f.Source.ReadAt(p, off)
	if off <= f.end {
		f.end = max(f.end, off+int64(n))
	}
	if errors.Is(err, io.EOF) && n < len(p) && off+int64(len(p)) <= f.size {
		clear(p[n:])
		f.short = true
		return len(p), nil
	}
	return n, err
}

// Close implements io.Closer.
func (f *notedFile) Close() error {
	after, err := f.Stat()
	f.noted.mu.Lock()
	f.noted.copies[f.noted.key(f.name)] = copied{
		stamp: f.before, begun: f.begun,
		whole: err == nil && after == f.before && !f.short && f.end == f.before.Size && f.size == f.before.Size,
	}
	f.noted.mu.Unlock()
	return f.Source.Close()
}
