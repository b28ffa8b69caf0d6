package sst

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// Files do change while the tables are locked: a transaction that was open before
// is rolled back, the change buffer is merged, Aria makes a checkpoint. A page that
// was sent before its change, beside a redo log from after it or the other way
// round, is no state that InnoDB ever had. So when everything is sent, all files are
// looked at again, and what has moved since it was listed goes once more, until
// nothing moves.

// maxRounds bounds that. Each round takes less than the one before unless somebody
// goes on writing.
const maxRounds = 30

// A stampedSource notes the stamps of what it listed.
type stampedSource struct {
	*transfer.DirSource
	stamps map[string]ext.Stamp // of the regular files, as they were then
}

func (s *stampedSource) List(ctx context.Context) ([]*flist.Entry, int32, error) {
	s.stamps = map[string]ext.Stamp{}
	return s.DirSource.List(ctx)
}

func (s *stampedSource) visit(e *flist.Entry, st transfer.Stat) {
	if e.IsRegular() {
		s.stamps[e.Name] = stampOfStat(st)
	}
}

// moved names the regular files that are new or were written to since before.
func moved(before, now map[string]ext.Stamp) []string {
	var names []string
	for name, s := range now {
		if old, there := before[name]; !there || old != s {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// A partSource lists some files of another source, with the directories they are
// in.
type partSource struct {
	transfer.Source
	files map[string]bool
}

func newPartSource(s transfer.Source, files []string) partSource {
	p := partSource{s, map[string]bool{flist.Root: true}}
	for _, name := range files {
		p.files[name] = true
		for i := range name {
			if name[i] == '/' {
				p.files[name[:i]] = true
			}
		}
	}
	return p
}

func (p partSource) List(ctx context.Context) ([]*flist.Entry, int32, error) {
	entries, ioError, err := p.Source.List(ctx)
	return slices.DeleteFunc(entries, func(e *flist.Entry) bool { return !p.files[e.Name] }), ioError, err
}

// A sentSession is a session that was sent, and how its files were then.
type sentSession struct {
	plan.Session
	whole  bool                 // no file may be left out
	stamps map[string]ext.Stamp // as they were listed
	listed time.Time            // just before that
	resent map[string]time.Time // the same for what the fence sent again
}

// begun is a time before the last reading of a file.
func (s *sentSession) begun(name string) time.Time {
	if at, again := s.resent[name]; again {
		return at
	}
	return s.listed
}

// what names the session in messages.
func (s *sentSession) what() string {
	if s.IsBundle() {
		return fmt.Sprintf("%d databases of %s (%s)", len(s.Databases), s.Dir, some(s.Databases))
	}
	return s.Dir
}

// settle sends again what has changed since it was listed, until nothing does.
func (d *donor) settle(ctx context.Context, sent []sentSession, lockedAt time.Time) error {
	for round := 1; ; {
		var vital []string
		total, landing := 0, time.Duration(0)
		for i := range sent {
			names, wait, err := d.settleSession(ctx, &sent[i], lockedAt)
			if err != nil {
				return err
			}
			total += len(names)
			landing = max(landing, wait)
			for _, name := range names {
				if file := sent[i].Dir + "/" + name; d.isInnoDB(&sent[i], name) {
					vital = append(vital, file)
				}
			}
		}
		if total > 0 {
			round++
		}
		switch {
		case total == 0 && landing == 0:
			return nil
		case total == 0:
			if err := pause(ctx, min(landing, fencePoll)); err != nil {
				return err
			}
		case round <= maxRounds:
		case len(vital) == 0:
			d.warn(fmt.Sprintf("%d files go on changing while the tables are locked; they are sent as they were last", total))
			return nil
		default:
			return advise(failf(exitOther, "%s and %d more files of InnoDB go on changing while the tables are locked", vital[0], len(vital)-1),
				"most likely a long transaction is rolled back; wait for its end, then start the joiner again")
		}
	}
}

// settleSession sends what has moved of one session, and names it. landing is as in
// [copier.moved].
func (d *donor) settleSession(ctx context.Context, s *sentSession, lockedAt time.Time) (names []string, landing time.Duration, err error) {
	src, rules, err := openSource(s.Session, nil)
	if err != nil {
		return nil, 0, err
	}
	defer src.Close()
	clock := time.Now()
	if _, _, err := src.List(ctx); err != nil {
		return nil, 0, fail(exitOther, err)
	}
	names = moved(s.stamps, src.stamps)
	for name, stamp := range src.stamps {
		if s.stamps[name] != stamp || s.growsUnderLock(name) {
			continue
		}
		again, wait := inFlight(stamp, s.begun(name), lockedAt, clock, d.latency(d.isInnoDB(s, name)))
		if again {
			names = append(names, name)
		}
		landing = max(landing, wait)
	}
	names = slices.DeleteFunc(names, s.growsUnderLock)
	s.stamps = src.stamps
	if len(names) == 0 {
		return nil, landing, nil
	}
	slices.Sort(names)
	if s.resent == nil {
		s.resent = map[string]time.Time{}
	}
	for _, name := range names {
		s.resent[name] = clock
	}
	d.infof("%d files of %s changed while the tables were locked, sent again: %s", len(names), s.what(), some(names))
	o := d.options(s.Session, rules)
	o.Delete, o.Rules = false, nil
	err = d.pushSource(ctx, newPartSource(src, names), s.what(), o)
	if isVanished(err) {
		err = nil // a temporary table
	}
	return names, landing, err
}

// growsUnderLock: the log tables take a line for each statement, reads too. What
// was sent of them is a prefix, which is all that can be had.
func (s *sentSession) growsUnderLock(name string) bool {
	return path.Dir(path.Join(s.Path, name)) == "mysql" && (strings.HasSuffix(name, ".CSV") || strings.HasSuffix(name, ".CSM"))
}

// isInnoDB says whether a file must fit the redo log.
func (d *donor) isInnoDB(s *sentSession, name string) bool {
	if strings.HasSuffix(name, ".ibd") {
		return true
	}
	switch d.settings.Places.In(s.Dir, name) {
	case plan.System, plan.Undo, plan.Redo:
		return len(s.Databases) == 0
	}
	return false
}

// some names at most five of a list.
func some(names []string) string {
	const most = 5
	text := plain(strings.Join(names[:min(most, len(names))], " "))
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
