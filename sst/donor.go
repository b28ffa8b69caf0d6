package sst

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// A donor sends its data directory to a joiner.
type donor struct {
	*run
	channel channel
	flush   flushWait
	plan    *plan.Plan
	offers  []string     // the joiner's modules if it has not all; nil otherwise
	bundles bool         // small databases share sessions: the joiner runs a script
	sent    atomic.Int64 // bytes of files
	literal atomic.Int64 // of rsync's sessions: what of that was not at the joiner already
	flows   flows        // of the data connections
	paced   atomic.Int64 // ns that were waited for precopy-rlimit
	passing *passing     // what we are at
	began   time.Time    // when the transfer did
	threads int          // sessions at a time
	lists   int          // list sessions at a time

	auth    remoteAuth
	limit   *rateLimit              // of the data connections together; nil: none
	joiner  tls.Peer                // as the first connection showed it
	control atomic.Pointer[control] // to a joiner of ours; nil otherwise

	made    atomic.Int64 // connections
	id      string       // of this SST
	ranges  bool         // the joiner can do what docs/own-protocol.md says
	oldData bool         // and has data to compare with
	memory  *ext.Memory  // of what it has
	locked  atomic.Bool  // mariadbd's tables are
	arrived atomic.Bool  // the joiner has said that it has everything
	writes  *writeProbe  // how long the disks take

	memoryLimit int64 // of what the page cache may keep a share of, 0 if there is none

	rehearsed *rehearsal // what a script's joiner got before the lock; nil: nothing
}

// minLists: a list session waits for the network most of the time, a dozen times there and
// back.
const minLists = 8

func newDonor(r *run) *donor {
	d := &donor{run: r, flush: newFlushWait(r.say), id: newSecret(), threads: r.settings.BackupThreads, lists: max(r.settings.BackupThreads, minLists), passing: newPassing()}
	r.count = d.sent.Load
	if rate := r.settings.RateLimit; rate > 0 {
		d.limit = newRateLimit(rate)
	}
	return d
}

// whole is the donor from the certificates to done.
func (d *donor) whole(ctx context.Context) error {
	kind := "SST"
	if d.args.Bypass {
		kind = "IST"
	}
	d.infof("%s %s started on donor", d.args.Method, kind)
	ctx, stop := untilShutdown(ctx, d.args.Socket)
	defer stop()
	defer d.wholeTime()()
	err := d.do(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // whatever broke, it broke because of this
	}
	if err != nil {
		return d.blame(err)
	}
	d.infof("%s %s completed on donor", d.args.Method, kind)
	return nil
}

func (d *donor) do(ctx context.Context) (err error) {
	if d.auth, err = d.remoteAuth(); err != nil {
		return err
	}
	if d.channel, err = d.loadChannel(tls.Donor, d.auth); err != nil {
		return err
	}
	if d.args.Bypass {
		d.confine(d.needs())
		return d.bypass(ctx)
	}
	if d.plan, err = d.makePlan(ctx); err != nil {
		return err
	}
	for _, w := range d.plan.Warnings {
		d.warn(w)
	}
	kept := slices.DeleteFunc(d.plan.NotSent, func(name string) bool { return name == pidFile })
	if len(kept) > 0 {
		d.infof("not sent: %s", plain(shortList(kept, maxKept)))
	}
	if err := d.flush.forget(d.root); err != nil {
		return err
	}
	d.memory = d.newMemory()
	defer d.memory.Close()
	d.memoryLimit = cacheLimit(d.server)
	d.writes = d.seams.writes(d.settings.Places) // before landlock forbids it
	defer d.writes.close()
	d.confine(d.needs())
	return d.connected(ctx, d.sst)
}

// maxKept is how many of the files that stay are named.
const maxKept = 30

// shortList names at most n things.
func shortList(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:n], ", "), len(names)-n)
}

// bypass is an IST: the joiner needs the position only.
func (d *donor) bypass(ctx context.Context) error {
	p, err := parsePosition(strings.TrimSpace(d.args.GTID + " " + d.args.GTIDDomain))
	if err != nil {
		return failf(exitInvalid, "argument --gtid: %w", err)
	}
	d.infof("Bypassing state dump.")
	conn, err := d.dial(ctx)
	if err == nil && !conn.Own() {
		// Only its daemon shows whether a script lets us in, and then it hangs up.
		_, err = d.modules(ctx, conn)
		conn.Close()
		if err == nil {
			conn, err = d.dial(ctx)
		}
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	d.infof("Sending continue to donor")
	if err := d.out.Continue(); err != nil {
		return fail(exitPipe, err)
	}
	if err := d.sendMagic(ctx, conn, p); err != nil {
		return err
	}
	return d.done(p)
}

// planAgain makes the plan of what is there under the lock: mariadbd made and
// dropped databases while it was asked for it. Only now nobody does.
func (d *donor) planAgain(ctx context.Context) error {
	before := d.plan.Warnings
	now, err := d.makePlan(ctx)
	if err != nil {
		return err
	}
	for _, w := range now.Warnings {
		if !slices.Contains(before, w) {
			d.warn(w)
		}
	}
	d.plan = now
	return nil
}

// makePlan makes the plan that fits what is known of the joiner.
func (d *donor) makePlan(ctx context.Context) (*plan.Plan, error) {
	var p *plan.Plan
	var err error
	if d.ranges && d.plan != nil {
		p, err = d.plan.Again(ctx, d.settings.Places, d.args.moduleBase())
	} else {
		p, err = plan.Donor(ctx, d.settings.Places, d.args.moduleBase(), d.offers)
	}
	if err != nil {
		return nil, fail(exitInvalid, err)
	}
	if d.bundles {
		p.Bundle()
	}
	return p, nil
}

func (d *donor) done(p position) error {
	if err := d.out.Done(p.String()); err != nil {
		return fail(exitPipe, err)
	}
	return nil
}

// A peerError is a failure in dealing with the joiner. It may be the joiner's end
// that shows here, before its reason has come.
type peerError struct{ err error }

func (e *peerError) Error() string { return e.err.Error() }

func (e *peerError) Unwrap() error { return e.err }

// isVanished says that a session failed only because files went away meanwhile.
func isVanished(err error) bool {
	exit, ok := errors.AsType[*transfer.ExitError](err)
	return ok && exit.Code == transfer.ExitVanished
}

// isPartial says that a session ended well but for some of its files.
func isPartial(err error) bool {
	exit, ok := errors.AsType[*transfer.ExitError](err)
	return ok && exit.Code == transfer.ExitPartial
}
