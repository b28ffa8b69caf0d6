package sst

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// sendAll sends everything that the plan names, while the tables are locked.
func (d *donor) sendAll(ctx context.Context, lockedAt time.Time) error {
	d.passing.enter(0, d.plan.Total.Size, d.flows.moved.Load)
	extra, err := d.binlogs()
	if err != nil {
		return fail(exitOther, err)
	}
	if extra.tar != nil {
		defer extra.tar.Close()
	}
	sent := sessionsOf(d.plan)
	err = d.inOrder(ctx, sent, d.threads, func(ctx context.Context, s *sentSession) error {
		if s == &sent[0] {
			return d.sendSession(ctx, s, extra.files)
		}
		return d.sendSession(ctx, s, nil)
	})
	if err != nil {
		return err
	}
	databases := 0
	for _, s := range sent {
		databases += len(s.Databases)
	}
	d.infof("Transfer of data done: %d databases", databases)
	if r := d.rehearsed; r != nil {
		d.infof("under the lock: %d files, %s, had not changed", r.left.files, bytesText(r.left.read))
	}
	d.seams.beforeFence()
	return d.settle(ctx, sent, lockedAt)
}

func sessionsOf(p *plan.Plan) []sentSession {
	sent := make([]sentSession, len(p.Sessions))
	for i, s := range p.Sessions {
		sent[i].Session = s
	}
	return sent
}

// inOrder runs all sessions: the top level first, which removes the joiner's stale
// databases and makes the directories, then the rest, n at a time.
func (d *donor) inOrder(ctx context.Context, all []sentSession, n int, run func(context.Context, *sentSession) error) error {
	if err := run(ctx, &all[0]); err != nil {
		return err
	}
	rest := make([]*sentSession, 0, len(all))
	for i := range all[1:] {
		rest = append(rest, &all[1+i])
	}
	return inParallel(ctx, n, rest, run)
}

// sayProgress tells how far we are until the function that it returns is called.
func (d *donor) sayProgress(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var saying sync.WaitGroup
	p := d.progress()
	saying.Go(func() { p.run(ctx) })
	return func() {
		cancel()
		saying.Wait()
	}
}

// progress tells of the pass that we are at.
func (d *donor) progress() progress {
	p := progress{role: "donor", verb: "sent", to: d.settings.Progress, every: d.settings.ProgressInterval, bytes: d.flows.moved.Load,
		pass: d.passing.at, news: d.passing.news, since: func() time.Time { return d.began }, live: d.live, infof: d.infof, warn: d.warn}
	if d.args.Progress {
		p.stdout = d.tellServer
	}
	return p
}

// stages are the stock script's words for what it has sent.
var stages = map[plan.Root]string{
	plan.DataDir: "Transfer of normal directories",
	plan.HomeDir: "Transfer of InnoDB data files",
	plan.LogDir:  "Transfer of InnoDB log files",
	plan.UndoDir: "Transfer of InnoDB undo logs",
	plan.AriaDir: "Transfer of Aria logs",
}

// binlogArchive is the archive of the binlogs, if any are to be sent.
type binlogArchive struct {
	tar   *BinlogTar
	files map[string]transfer.VirtualFile
}

// file makes what the streams send.
func (b binlogArchive) file(names *idNames) ext.File {
	v := b.files[plan.BinlogArchive]
	return ext.File{
		Root: uint8(plan.DataDir), Name: plan.BinlogArchive, Size: v.Size, Mode: v.Mode, UID: v.UID, GID: v.GID,
		User: names.user(v.UID), Group: names.group(v.GID),
		Open: func() (ext.Source, error) { return tarSource{b.tar}, nil },
	}
}

func (d *donor) binlogs() (binlogArchive, error) {
	b := d.settings.Binlog
	if !b.On() || !d.settings.Places.Binlogs {
		return binlogArchive{}, nil
	}
	tar, err := OpenBinlogTar(b, d.args.Datadir, d.settings.MaxBinlogs)
	if err != nil {
		return binlogArchive{}, err
	}
	for _, name := range tar.Missing {
		d.warn(fmt.Sprintf("binlog %s is in the index but does not exist, it is not sent", name))
	}
	if len(tar.Names) == 0 {
		tar.Close()
		return binlogArchive{}, nil
	}
	d.infof("Preparing binlog files for transfer: %s", strings.Join(tar.Names, " "))
	file := transfer.VirtualFile{
		Size: tar.Size(), Mode: 0o660, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid()), ModTime: tar.ModTime,
		Open: func() (transfer.SourceFile, error) { return sharedTar{tar}, nil },
	}
	return binlogArchive{tar, map[string]transfer.VirtualFile{plan.BinlogArchive: file}}, nil
}

// sharedTar is an archive that a session reads but does not close: it may have to
// be sent twice.
type sharedTar struct{ *BinlogTar }

func (sharedTar) Close() error { return nil }

// maxVanished is how often a session is run again because files went away while it
// ran. Temporary tables may, under the lock; nothing else should.
const maxVanished = 3

// sendSession sends one session, on a connection of its own, and notes the stamps of
// its files.
func (d *donor) sendSession(ctx context.Context, s *sentSession, extra map[string]transfer.VirtualFile) error {
	defer d.stage("Donor-Transfer of " + plain(path.Join(s.Module, s.Path)))()
	for try := 1; ; try++ {
		err := d.push(ctx, s, extra)
		switch {
		case isVanished(err) && try < maxVanished:
			d.infof("%s: %v; once more", s.what(), err)
			continue
		case isPartial(err) && !s.whole:
			d.infof("%s: %v; once more, and whole", s.what(), err)
			s.whole = true
			continue
		case err == nil && len(s.Databases) == 0:
			d.infof("%s done", stages[s.Root])
		}
		return err
	}
}

func (d *donor) push(ctx context.Context, s *sentSession, extra map[string]transfer.VirtualFile) error {
	src, rules, err := openSource(s.Session, extra)
	if err != nil {
		return err
	}
	defer src.Close()
	o := d.options(s.Session, rules)
	if d.rehearsed != nil && !s.whole {
		return d.rehearsed.sendRest(ctx, s, src, o)
	}
	s.listed = time.Now()
	err = d.pushSource(ctx, d.seams.source(src), s.what(), o)
	s.stamps = src.stamps
	return err
}

// openSource opens what a session sends.
func openSource(s plan.Session, extra map[string]transfer.VirtualFile) (*stampedSource, *filter.List, error) {
	rules, err := filter.Parse(s.Rules...)
	if err != nil {
		return nil, nil, fmt.Errorf("rules for %s: %w", s.Dir, err)
	}
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return nil, nil, fail(exitOther, err)
	}
	defer root.Close() // the source has a descriptor of its own
	src := &stampedSource{}
	o := transfer.DirSourceOptions{Rules: rules, Recursive: s.Recursive, Links: true, Specials: true, Extra: extra, Visit: src.visit}
	if s.IsBundle() {
		o.Dirs = s.Databases
	}
	src.DirSource, err = transfer.NewDirSource(root, o)
	return src, rules, fail(exitOther, err)
}

// options are those with which the scripts run rsync (script-sessions.md, BASE). Once the
// joiner has a copy, whole files would be a waste whatever the method says.
func (d *donor) options(s plan.Session, rules *filter.List) transfer.PushOptions {
	return transfer.PushOptions{
		Module: s.Module, Path: s.Path, Rules: rules,
		Recursive: s.Recursive, Dirs: !s.Recursive, Delete: true,
		WholeFile: d.args.Method != RsyncWan && d.rehearsed == nil, Inplace: true, IgnoreTimes: true,
		Owner: true, Group: true, Perms: true, Links: true, Specials: true,
	}
}

// pushSource runs one session on a connection of its own. what names it in errors.
func (d *donor) pushSource(ctx context.Context, src transfer.Source, what string, o transfer.PushOptions) error {
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return d.pushOn(ctx, conn, src, what, o)
}

func (d *donor) pushOn(ctx context.Context, conn link, src transfer.Source, what string, o transfer.PushOptions) error {
	o.Timeout = d.silence()
	o.Progress = func(n int64) { d.sent.Add(n) }
	o.Log = func(l transfer.Level, text string) {
		if l != transfer.Info {
			d.warn("joiner: " + text)
		}
	}
	stats, err := transfer.Push(ctx, conn, src, o)
	d.literal.Add(stats.Literal)
	if err != nil {
		return fail(statusOfTransfer(err), &peerError{fmt.Errorf("send %s to joiner %s: %w", what, peerName(d.joiner), conn.Explain(err))})
	}
	return nil
}

// silence is how long the joiner may be silent. A script's rsync is told of it, and then
// sends its keep-alives twice as often.
func (d *donor) silence() time.Duration {
	limit := d.settings.Silence
	if locked := d.settings.SilenceLocked; d.locked.Load() && locked > 0 && (limit == 0 || locked < limit) {
		return locked
	}
	return limit
}

// statusOfTransfer gives a failed session the status that the stock script would.
func statusOfTransfer(err error) int {
	if exit, ok := errors.AsType[*transfer.ExitError](err); ok && exit.Code == transfer.ExitStream {
		return exitProtocol
	}
	return exitOther
}

// magic is what the file says. The tunnel script's joiner prints all of it, so it gets
// the position only.
func (d *donor) magic(p position) magicText {
	if d.args.Method == Tunnel {
		return magicText{position: p}
	}
	return magicText{position: p, secret: d.auth.secret, bypass: d.args.Bypass}
}

// sendMagic sends the file that says that all is there.
func (d *donor) sendMagic(ctx context.Context, conn link, p position) error {
	name := d.args.magicFile()
	file := transfer.BytesFile([]byte(d.magic(p).String()), 0o660, time.Now())
	file.UID, file.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	return d.pushOn(ctx, conn, transfer.NewFileSource(name, file), filepath.Join(d.args.Datadir, name), transfer.PushOptions{
		Module: d.args.moduleBase(), Recursive: true, Links: true, Perms: true, Times: true, Group: true, Owner: true,
		Devices: true, Specials: true, Checksum: true,
	})
}

// inParallel calls f for each item, n at a time. The first error ends the others.
func inParallel[T any](ctx context.Context, n int, items []T, f func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan T)
	var workers sync.WaitGroup
	for range min(n, len(items)) {
		workers.Go(func() {
			for item := range queue {
				if err := f(ctx, item); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	for _, item := range items {
		select {
		case queue <- item:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}
