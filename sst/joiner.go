package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// A joiner fills its data directory from a donor.
type joiner struct {
	*run
	channel  channel
	secret   string // that the donor must know; "" if none was made
	dir      *datadir
	grastate grastate
	links    map[string]*os.Root // databases that are links of ours
	filled   sync.Map            // those of them that the donor has sent, by name
	stores   []*transfer.DirStore
	daemon   transfer.Daemon // without Begin, which each connection has of its own
	received atomic.Int64    // bytes of files
	receiver ext.Receiver    // of the streams
	memory   *ext.Memory     // of what they brought
	flows    flows           // of the data connections
	followed followed        // what a donor of ours is at

	// Memory for the file lists of all sessions together: of the donor's, and of those
	// that where no certificate is demanded may be anybody's.
	lists, guestLists *flist.Pool

	intake   *intake
	children chan struct{} // has a place for each session at a time; nil: no limit
	turned   refusals      // connections that came to nothing
	deciding sync.Mutex    // held while the first session's fate is decided
	checked  bool          // space and grastate.dat are as they must be
	oldData  bool          // there was data when we started
	contact  contact
	summary  atomic.Pointer[string]          // the donor's last words
	replica  atomic.Pointer[ReplicaPosition] // where its own server stands; nil: it does not say
}

func newJoiner(r *run) *joiner {
	j := &joiner{
		run: r, grastate: newGrastate(r.args.Datadir),
		lists: flist.NewPool(flist.DefaultMaxBytes), guestLists: flist.NewPool(guestListBytes),
		followed: followed{news: make(chan struct{}, 1)},
	}
	r.count = j.received.Load
	return j
}

// guestListBytes is enough for the top level of a data directory with 25000 databases,
// which is what a donor sends first.
const guestListBytes = 4 << 20

// whole is the joiner from the certificates to the position. A failure is in the log
// when it returns, and in the last line what has become of the data directory.
func (j *joiner) whole(ctx context.Context) error {
	j.infof("%s SST started on joiner", j.args.Method)
	defer j.wholeTime()()
	err := j.do(ctx)
	state := saysUntouched
	if j.dir != nil {
		state = j.dir.state
	}
	j.release()
	j.status.Change(func(s *status.Run) { s.Datadir = state })
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx) // whatever broke, it broke because of this
	}
	j.log.Error(j.blame(err))
	j.log.Say(report.Error, fmt.Sprintf("%s SST failed on joiner: %s", j.args.Method, state))
	j.end(err) // now, not after the wait for mariadbd
	j.outlive(ctx)
	return saidError{err}
}

// outliveLimit is longer than a cluster takes to find out that a member is gone.
const outliveLimit = 30 * time.Second

// outlive waits for the end of mariadbd after a failed transfer. mariadbd aborts for
// two reasons: the donor has reported the failure to the cluster, or its SST program
// has ended. Both at the same moment crash it, or hang it for ever (measured), so
// the abort is left to the report as long as one can be expected: a donor has come,
// and has not been told that all is well.
func (j *joiner) outlive(ctx context.Context) {
	if ctx.Err() != nil || j.hand != nil || j.intake == nil || !j.intake.begun() || j.intake.closing() {
		return
	}
	j.infof("waiting for mariadbd to end, at most %v: the donor reports the failure to the cluster", outliveLimit)
	limit := time.NewTimer(outliveLimit)
	defer limit.Stop()
	select {
	case <-ctx.Done():
	case <-limit.C:
		j.warn("mariadbd has not ended by itself")
	}
}

func (j *joiner) do(ctx context.Context) error {
	if err := j.prepare(); err != nil {
		return err
	}
	j.confine(j.needs())
	end := j.stage("Joiner-Receive, with the wait for a donor,")
	err := j.receive(ctx)
	end()
	if err != nil {
		return err
	}
	p, err := j.complete(ctx)
	if err != nil {
		return err
	}
	kind := "IST"
	if j.dir.state == saysComplete {
		kind = "SST"
		j.infof("received %s from %s", amount(j.received.Load(), time.Since(j.intake.since())), j.intake.donor())
		if s := j.summary.Load(); s != nil {
			j.infof("the donor has %s", *s)
		} else {
			j.say(j.flows.boundBy())
		}
		j.say(j.intake.account())
	}
	if j.hand != nil {
		j.hand.note(p, j.replica.Load())
	}
	j.infof("Galera co-ords from recovery: %s", p)
	if err := j.out.Position(p.String()); err != nil {
		return fail(exitPipe, err)
	}
	j.infof("%s %s completed on joiner", j.args.Method, kind)
	return nil
}

// prepare does all that can fail before anybody connects.
func (j *joiner) prepare() (err error) {
	if j.channel, err = j.channelOfJoiner(); err != nil {
		return err
	}
	base, magic := j.args.moduleBase(), j.args.magicFile()
	places := j.settings.Places
	receive, err := plan.Joiner(places, base, magic)
	if err != nil {
		return fail(exitMissing, err)
	}
	for _, w := range receive.Warnings {
		j.warn(w)
	}
	for _, dir := range receive.Missing {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fail(exitMissing, fmt.Errorf("make a configured directory: %w", err))
		}
		j.infof("made the configured directory %s", dir)
	}
	if j.dir, err = openDatadir(places); err != nil {
		return err
	}
	for _, name := range []string{magic, plan.BinlogArchive} {
		if err := removeControl(j.root, name); err != nil {
			return err
		}
	}
	return j.makeDaemon(receive)
}

// makeDaemon makes the modules on the places.
func (j *joiner) makeDaemon(r *plan.Receive) error {
	owners, err := newOwners(j.root)
	if err != nil {
		return err
	}
	j.links = map[string]*os.Root{}
	for name, dir := range r.Links {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return fail(exitMissing, fmt.Errorf("database %s is a symbolic link: %w", name, err))
		}
		j.links[name] = root
	}
	j.daemon = transfer.Daemon{
		Timeout: j.settings.Silence, PageSize: int64(j.settings.PageSize), Owners: owners, Log: j.logSession,
		Progress: func(n int64) { j.received.Add(n) },
	}
	for i, m := range r.Modules {
		at := j.dir.places[i]
		o := transfer.StoreOptions{
			Alias: j.dir.alias(at.dir), AliasPrefix: newPrefix,
			Hidden: func(name string) bool { return isOld(at.dir, name) },
			Older:  func(name string) (string, bool) { return oldPrefix + name, j.dir.plan.Swapped(at.dir, name) },
			Sparse: plan.Sparse, ModeMask: 0o6000,
		}
		if m.Root == plan.DataDir {
			o.Links = j.links
			o.Alias, o.Elsewhere = j.dir.elsewhere(at.dir)
		}
		store, err := transfer.NewDirStore(at.root, o)
		if err != nil {
			return err
		}
		j.stores = append(j.stores, store)
		protect, err := filter.Parse(m.Protect...)
		if err != nil {
			return fmt.Errorf("rules of the module %s: %w", m.Name, err)
		}
		j.daemon.Modules = append(j.daemon.Modules, transfer.Module{Name: m.Name, Comment: m.Root.Key(), Store: store, Protect: protect})
	}
	j.prepareStreams(r.Modules, owners)
	j.oldData = j.dir.holdsData()
	return nil
}

// release closes what prepare opened.
func (j *joiner) release() {
	if j.memory != nil {
		j.receiver.Close()
		j.memory.Close()
	}
	for _, s := range j.stores {
		s.Close()
	}
	for _, root := range j.links {
		root.Close()
	}
	if j.dir != nil {
		j.dir.close()
	}
}

// channelOfJoiner loads the channel. Nothing came with an address.
func (j *joiner) channelOfJoiner() (channel, error) {
	auth, err := j.remoteAuth()
	if err != nil {
		return nil, err
	}
	return j.loadChannel(tls.Joiner, auth)
}

// invite is what stands before the address where certificates are verified: the
// name of our own, and a secret.
func (j *joiner) invite() string {
	if j.settings.Clear || j.settings.Mode != tls.VerifyCA && j.settings.Mode != tls.VerifyIdentity {
		return ""
	}
	name := j.channel.CommonName()
	if strings.IndexFunc(name, func(r rune) bool { return r > 0x7f || !isAddressByte(byte(r)) }) >= 0 {
		j.warn(fmt.Sprintf("the name %s of this node's certificate has characters that newer servers refuse in an address: letters, digits and . _ - are safe", plain(name)))
	}
	j.secret = newSecret()
	return name + ":" + j.secret + "@"
}

// receive says ready and serves the donor until all has arrived.
func (j *joiner) receive(ctx context.Context) error {
	a := j.args.Address
	ready, err := a.Ready(j.args.moduleBase())
	if err != nil {
		return err
	}
	l, err := j.channel.Listen(ctx, a.Host, a.Port)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fail(exitBusy, err)
	}
	if err != nil {
		return fail(exitInvalid, err)
	}
	defer l.Close()
	if l.Note() != "" {
		j.say(l.Note())
	}
	j.infof("listening on %s", l.Addr())
	if err := j.out.Ready(j.invite() + ready); err != nil {
		return fail(exitPipe, err)
	}
	j.status.Enter(status.Waiting, "waiting for a donor")
	if err := j.serve(ctx, l); err != nil {
		return err
	}
	return fail(exitPipe, j.receiver.Close())
}

// complete takes the datadir to its last state and gives the position. Whatever
// may fail comes before the files get their names.
func (j *joiner) complete(ctx context.Context) (position, error) {
	if ctx.Err() != nil {
		return position{}, context.Cause(ctx)
	}
	magic := j.args.magicFile()
	text, err := readControl(j.root, magic, maxMagic)
	if err != nil {
		return position{}, failf(exitPipe, "read the magic file: %w", err)
	}
	said, err := parseMagic(text)
	if err != nil {
		return position{}, failf(exitPipe, "magic file %s: %w", magic, err)
	}
	if err := said.checkSecret(j.secret); err != nil {
		return position{}, fail(exitPipe, err)
	}
	if j.dir.state == saysIncomplete {
		end := j.stage("Joiner-Binlogs")
		err := j.unpackBinlogs()
		end()
		if err != nil {
			return position{}, fail(exitPipe, err)
		}
		j.status.Enter(status.Finishing, "writing to disk")
		began := time.Now()
		defer j.stage("Joiner-Sync")()
		j.dropLinks()
		links := slices.Collect(maps.Values(j.links))
		if err := j.dir.finish(ctx, links, j.warn); err != nil {
			return position{}, fail(exitPipe, err)
		}
		j.infof("all is on the disk, after %.1f s", time.Since(began).Seconds())
	}
	return said.position, removeControl(j.root, magic)
}

// unpackBinlogs puts the donor's binlogs in the place of ours, if he sent some and
// we keep any.
func (j *joiner) unpackBinlogs() error {
	f, err := j.root.OpenFile(plan.BinlogArchive, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("binlogs from the donor: %w", err)
	}
	defer f.Close()
	if j.settings.Binlog.On() {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		names, err := UnpackBinlogs(f, info.Size(), j.settings.Binlog, j.args.Datadir)
		if err != nil {
			return err
		}
		j.infof("binlog files extracted: %d %s", len(names), strings.Join(names, " "))
	}
	return removeControl(j.root, plan.BinlogArchive)
}
