package sst

import (
	"context"
	"fmt"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// A joinerSession is one rsync session as the joiner sees it.
type joinerSession struct {
	*joiner
	peer  tls.Peer
	conn  *arrived
	kind  sessionKind
	key   string // the part of the data that it fills
	fatal error  // why the SST cannot go on
}

type sessionKind int

const (
	idle  sessionKind = iota // nothing was sent or will be changed
	magic                    // brings the magic file and nothing else
	data                     // everything else: it changes the data directory
)

// begin is called when the first complete list of the session is in, before it
// changes anything.
func (s *joinerSession) begin(ctx context.Context, t *transfer.Session) error {
	if err := s.intake.claim(s.peer); err != nil {
		return err
	}
	s.conn.letIn()
	isMagic, err := s.isMagic(t)
	if err != nil {
		return err
	}
	if isMagic {
		s.kind = magic
		s.intake.beginMagic()
		return nil
	}
	s.deciding.Lock()
	defer s.deciding.Unlock()
	if err := s.decide(ctx, t); err != nil {
		s.fatal = err
		return err
	}
	s.kind, s.key = data, keyOf(t)
	s.noteLinks(t)
	s.intake.begin()
	return nil
}

// keyOf names what a session fills, for one that is made again. Several that each
// bring some whole databases to the data directory are not each other's.
func keyOf(t *transfer.Session) string {
	key := "the session for " + strings.TrimSuffix(t.Module+"/"+t.Path, "/.")
	if t.Path != flist.Root {
		return key
	}
	var whole []string
	for _, e := range topDirs(t) {
		if !e.NoContent {
			whole = append(whole, e.Name)
		}
	}
	if len(whole) == 0 {
		return key
	}
	return fmt.Sprintf("%s (%d databases: %s)", key, len(whole), some(whole))
}

// isMagic says whether the session brings the magic file alone. With other files it
// would say that all is there when it is not.
func (s *joinerSession) isMagic(t *transfer.Session) (bool, error) {
	if t.Module != s.args.moduleBase() || t.Path != flist.Root {
		return false, nil
	}
	name, others := s.args.magicFile(), 0
	found := false
	for _, e := range t.List.Entries {
		switch {
		case e.Name == name && e.IsRegular():
			found = true
		case e.Name != flist.Root:
			others++
		}
	}
	if found && others > 0 {
		return false, fmt.Errorf("the magic file %s comes with %d other files: it must come alone, and last", name, others)
	}
	return found, nil
}

// decide lets the first session that brings data take the datadir from untouched to
// incomplete, if nothing speaks against it; the others follow.
func (s *joinerSession) decide(ctx context.Context, t *transfer.Session) error {
	for _, e := range topDirs(t) {
		if t.Path == flist.Root && s.dir.plan.Swapped(s.dir.plan.Datadir, e.Name) {
			return fmt.Errorf("the donor has a directory %s, which is the name of an InnoDB file here", e.Name)
		}
	}
	if s.dir.state != saysUntouched {
		return nil
	}
	if !s.checked { // no donor of ours has introduced itself
		s.infof("donor %s sends a whole state", peerName(s.peer))
		need := map[string]int64{strings.TrimPrefix(t.Module, s.args.moduleBase()): listBytes(t.List)}
		if err := s.check(ctx, need); err != nil {
			return err
		}
	}
	s.status.Change(func(r *status.Run) {
		r.Phase, r.Doing, r.Peer = status.Transferring, "receiving", peerName(s.peer)
	})
	return s.dir.setAside(s.say)
}

func listBytes(l *flist.List) (sum int64) {
	for _, e := range l.Entries {
		if e.IsRegular() {
			sum += e.Size
		}
	}
	return sum
}

// fits is our verdict on what a donor of ours announces.
func (j *joiner) fits(ctx context.Context, h hello, traits traits) error {
	if ours := j.settings.PageSize; h.PageSize != 0 && h.PageSize != ours {
		return advise(fmt.Errorf("the donor has innodb_page_size=%d, this node has %d", h.PageSize, ours), "it must be the same on all nodes")
	}
	if err := misfit(traits, h.Traits); err != nil {
		return err
	}
	for _, d := range doubts(traits, h.Traits) {
		j.warn(d)
	}
	need := h.Needs
	if need == nil {
		need = map[string]int64{"": h.Need}
	}
	j.deciding.Lock()
	defer j.deciding.Unlock()
	if err := j.check(ctx, need); err != nil {
		return err
	}
	j.checked = true
	return nil
}

// check makes sure that the old state may be given up and the new one has room.
func (j *joiner) check(ctx context.Context, need map[string]int64) error {
	if err := j.grastate.wait(ctx, j.say); err != nil {
		return err
	}
	return j.dir.fits(ctx, need, j.settings.gcachePage, j.warn)
}

// end draws the conclusion from a session. Its error ends the SST.
func (s *joinerSession) end(ctx context.Context, err error) error {
	switch {
	case s.fatal != nil:
		return s.fatal
	case s.kind == idle:
		if err != nil {
			s.turnedAway(ctx, s.peer.Addr, err)
		}
		return nil
	case s.kind == data:
		s.intake.end(s.key, err)
	default:
		if err == nil {
			s.infof("magic file received from %s", peerName(s.peer))
		}
		s.intake.endMagic(err)
	}
	if err == nil {
		return nil
	}
	if s.contact.resumes() && isBroken(err) {
		s.infof("donor %s: %v; waiting for it to come again", peerName(s.peer), err)
		return nil
	}
	// Most likely the donor's end, and he may be telling why at this moment.
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(s.contact.patience()):
	}
	return fail(exitPipe, fmt.Errorf("donor %s: %w", peerName(s.peer), err))
}

// sayProgress tells how far the transfer is.
func (j *joiner) sayProgress(ctx context.Context) {
	p := progress{role: "joiner", verb: "received", to: j.settings.Progress, every: j.settings.ProgressInterval, bytes: j.flows.moved.Load,
		pass: func() pass { return j.followed.at(j.flows.moved.Load()) }, news: j.followed.news, since: j.intake.since, live: j.live,
		infof: j.infof, warn: j.warn}
	if j.args.Progress {
		p.stdout = j.tellServer
	}
	p.run(ctx)
}
