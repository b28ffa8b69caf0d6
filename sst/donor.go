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
	"wsrep_sst_rsync_tunnel/sst/status"
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
	moved   atomic.Int64 // bytes on the data connections
	threads int          // sessions at a time

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
}

func newDonor(r *run) *donor {
	d := &donor{run: r, flush: newFlushWait(r.say), id: newSecret(), threads: r.settings.BackupThreads}
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

// sst is the whole of an SST from the moment that the joiner is known.
func (d *donor) sst(ctx context.Context) error {
	began := time.Now()
	var c *copier
	if d.ranges {
		c = newCopier(d)
		defer c.close()
		defer d.sayProgress(ctx)()
		end := d.stage("Donor-Precopy")
		err := c.beforeLock(ctx)
		end()
		if err != nil {
			return err
		}
	}
	asked := time.Now()
	if err := d.out.FlushTables(); err != nil {
		return fail(exitPipe, err)
	}
	// mariadbd writes its answer twice: it goes at the end, too.
	defer func() {
		if err := d.flush.forget(d.root); err != nil {
			d.warn(err.Error())
		}
	}()
	d.tell(status.Waiting, "waiting for mariadbd to flush and lock its tables")
	end := d.stage("Donor-Flush")
	p, stamped, err := d.flush.wait(ctx, d.root)
	end()
	if err != nil {
		return err
	}
	locked, before := time.Now(), d.sent.Load()
	d.holds(true)
	defer d.holds(false)
	d.infof("Tables flushed at %s after %.1f s", p, locked.Sub(asked).Seconds())
	d.status.Change(func(r *status.Run) { r.Locked = locked })
	d.tell(status.Transferring, "tables are locked, sending")
	end = d.stage("Donor-Transfer")
	if c != nil {
		err = c.final(ctx, stamped)
	} else if err = d.planAgain(ctx); err == nil {
		err = d.sendAll(ctx)
	}
	end()
	if err != nil {
		return err
	}
	d.infof("Sending continue to donor")
	if err := d.out.Continue(); err != nil {
		return fail(exitPipe, err)
	}
	d.holds(false)
	d.status.Change(func(r *status.Run) { r.Locked = time.Time{} })
	now := time.Now()
	sum := summary{waited: locked.Sub(asked), copied: now.Sub(locked), whole: now.Sub(began), sent: d.sent.Load(), locked: d.sent.Load() - before}
	if c != nil {
		sum.rounds = c.rounds
	}
	if err := d.sendLast(ctx, p, sum.String()); err != nil {
		return err
	}
	d.infof("to %s: %s", peerName(d.joiner), sum)
	return d.done(p)
}

// holds notes whether the tables are locked, which makes us less patient.
func (d *donor) holds(locked bool) {
	d.locked.Store(locked)
	if c := d.control.Load(); c != nil && locked {
		c.hurry(d.settings.SilenceLocked)
	} else if c != nil {
		c.hurry(d.settings.Silence)
	}
}

// sendLast sends the magic file. The joiner ends when it is there, so a connection that
// breaks after that is as good as one that does not.
func (d *donor) sendLast(ctx context.Context, p position, summary string) error {
	err := d.again(ctx, func(ctx context.Context) error {
		conn, err := d.dialWith(ctx, hello{Summary: summary})
		if err == nil {
			defer conn.Close()
			err = d.sendMagic(ctx, conn, p)
		}
		if err != nil && d.arrived.Load() {
			return nil
		}
		return err
	})
	return err
}

// A summary is what an SST has cost, in three times of which the last is ours.
type summary struct {
	waited, copied, whole time.Duration
	sent, locked          int64 // bytes of content
	rounds                int
}

func (s summary) String() string {
	rounds := fmt.Sprintf("in %d rounds, ", s.rounds)
	switch s.rounds {
	case 0:
		rounds = ""
	case 1:
		rounds = "in 1 round, "
	}
	return fmt.Sprintf("waited %.2f s for the server to lock and flush its tables, copied for %.2f s under its lock, of %.1f s; sent %s %s%s of it under the lock",
		s.waited.Seconds(), s.copied.Seconds(), s.whole.Seconds(), bytesText(s.sent), rounds, bytesText(s.locked))
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
	p, err := plan.Donor(ctx, d.settings.Places, d.args.moduleBase(), d.offers)
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

// connected finds out who the joiner is and what it offers, and calls f with the
// control connection up, if it is one of ours. Nothing is locked before f.
//
// With TLS 1.3 a joiner's refusal of our certificate shows when something is read
// from it: the hello, or the greeting of its daemon.
func (d *donor) connected(ctx context.Context, f func(context.Context) error) error {
	conn, err := d.dialRaw(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if !conn.Own() {
		d.infof("joiner %s connected: plain rsync, as with a script; %s", peerName(d.joiner), conn.Peer().Version)
		d.bundles = true
		return d.offered(ctx, conn, f)
	}
	ours := d.ourTraits(ctx)
	theirs, err := d.greet(ctx, conn, hello{Control: true, Need: d.plan.Total.Allocated, Needs: d.plan.Needs(), Traits: ours})
	if err != nil {
		return err
	}
	if theirs.Sessions > 0 {
		d.threads = min(d.threads, theirs.Sessions)
	}
	for _, doubt := range doubts(theirs.Traits, ours) {
		d.warn("joiner: " + doubt)
	}
	d.infof("joiner %s connected, version %s, %s; %s are free there, %s will come", peerName(d.joiner), theirs.Version,
		conn.Peer().Version, bytesText(theirs.Free), bytesText(d.plan.Total.Allocated))
	d.ranges, d.oldData = theirs.can(rangesCapability), theirs.OldData
	return d.controlled(ctx, conn, func(ctx context.Context) error {
		second, err := d.dial(ctx)
		if err != nil {
			return err
		}
		defer second.Close()
		return d.offered(ctx, second, f)
	})
}

// controlled calls f while the control connection is watched: its end ends f. What
// f fails with goes to the joiner, and the joiner's reason, if it has one, takes the
// place of the broken connections that f saw.
func (d *donor) controlled(ctx context.Context, conn link, f func(context.Context) error) error {
	d.control.Store(d.newControl(conn))
	inner, cancel := context.WithCancelCause(ctx)
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.watchJoiner(watching); err != nil {
			cancel(fail(exitOther, err))
		}
	}()
	err := f(inner)
	if _, broken := errors.AsType[*peerError](err); broken && inner.Err() == nil {
		// The joiner may be telling why at this moment.
		limit := reasonLimit
		if d.locked.Load() {
			limit = reasonLimitLocked
		}
		select {
		case <-ended:
		case <-time.After(limit):
		}
	}
	stop()
	<-ended
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		err = context.Cause(inner)
	}
	cancel(nil)
	if err != nil {
		d.control.Load().giveUp(reasonFor(ctx, err))
	}
	return err
}

func (d *donor) newControl(conn link) *control {
	return newControl(conn, "joiner "+peerName(d.joiner), d.settings.Silence)
}

// watchJoiner runs the control connection, and those that take its place, until ctx
// ends, the joiner has everything, or its end is certain.
func (d *donor) watchJoiner(ctx context.Context) error {
	for {
		c := d.control.Load()
		err := c.run(ctx, func(state string) { d.infof("joiner: %s", state) })
		if err == nil {
			d.arrived.Store(ctx.Err() == nil)
			return nil
		}
		if !d.ranges || !isBroken(err) {
			return err
		}
		conn, again := d.redial(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if again != nil {
			return fmt.Errorf("%w, and it could not be reached again: %v", err, again)
		}
		defer conn.Close()
		d.infof("the control connection broke and was made again")
		next := d.newControl(conn)
		next.tell(c.said())
		d.control.Store(next)
		d.holds(d.locked.Load())
	}
}

// reasonFor is what the other side is told.
func reasonFor(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// tell says in the status file and on the control connection what we do.
func (d *donor) tell(phase status.Phase, state string) {
	d.status.Enter(phase, state)
	if c := d.control.Load(); c != nil {
		c.tell(state)
	}
}

// offered asks for the modules, makes the plan fit them, and calls f.
func (d *donor) offered(ctx context.Context, conn link, f func(context.Context) error) error {
	modules, err := d.modules(ctx, conn)
	if err != nil {
		return err
	}
	conn.Close()
	base := d.args.moduleBase()
	missing := slices.ContainsFunc(plan.Roots, func(r plan.Root) bool { return !slices.Contains(modules, base+r.Suffix()) })
	if missing {
		d.offers, d.ranges = modules, false
		if d.plan, err = d.makePlan(ctx); err != nil {
			return err
		}
	}
	return f(ctx)
}

// modules asks the joiner for what it offers. That also shows whether it accepts our
// certificate.
func (d *donor) modules(ctx context.Context, conn link) ([]string, error) {
	modules, err := transfer.ListModules(ctx, conn)
	if err != nil {
		return nil, fail(exitOther, &peerError{fmt.Errorf("joiner %s: %w", peerName(d.joiner), conn.Explain(err))})
	}
	if base := d.args.moduleBase(); !slices.Contains(modules, base) {
		return nil, advise(failf(exitInvalid, "joiner %s offers no module %s, but %s", peerName(d.joiner), base, plain(strings.Join(modules, " "))),
			"another program may hold the port, or wsrep_sst_method may differ between the nodes")
	}
	return modules, nil
}

// dial connects as often as needed, always to the same joiner, up to the rsync
// greeting. What is sent from there on counts for rlimit.
func (d *donor) dial(ctx context.Context) (link, error) { return d.dialWith(ctx, hello{}) }

// dialWith is dial with what the hello is to say to a joiner of ours.
func (d *donor) dialWith(ctx context.Context, h hello) (link, error) {
	conn, err := d.dialRaw(ctx)
	if err != nil {
		return nil, err
	}
	if conn.Own() {
		if _, err := d.greet(ctx, conn, h); err != nil {
			conn.Close()
			return nil, err
		}
	}
	if d.limit != nil {
		conn = newLimitedLink(conn, d.limit)
	}
	return countedLink{conn, &d.moved}, nil
}

func (d *donor) dialRaw(ctx context.Context) (link, error) {
	limit, key := d.settings.Silence, "sst-timeout"
	if d.ranges {
		limit, key = max(d.patience(nil), time.Second), "sst-reconnect-timeout"
	}
	if d.joiner.Addr != "" && limit > 0 {
		// Once the joiner is known, tables may be locked: whatever sockopt says of
		// retry and forever, one that is gone is given up as one that is silent.
		limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection for %v (%s)", limit, key))
		defer cancel()
		ctx = limited
	}
	at := d.args.Address.Host
	if d.joiner.Addr != "" {
		at = host(d.joiner.Addr) // a resolver that fails now must not end an SST under the lock
	}
	conn, err := d.channel.Dial(ctx, at, d.args.Address.Port)
	if err != nil {
		return nil, fail(exitOther, &peerError{err})
	}
	d.made.Add(1)
	peer := conn.Peer()
	switch {
	case d.joiner.Addr == "":
		d.joiner = peer
		d.status.Change(func(r *status.Run) { r.Peer = peerName(peer) })
	case d.joiner.Fingerprint != peer.Fingerprint:
		conn.Close()
		return nil, failf(exitOther, "another joiner answers at %s now: %s instead of %s", d.args.Address.HostPort(), peerName(peer), peerName(d.joiner))
	}
	return conn, nil
}

// greet exchanges hellos on a connection to a joiner of ours.
func (d *donor) greet(ctx context.Context, conn link, h hello) (hello, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	h.Version, h.Capabilities, h.Role, h.ID, h.PageSize = Version, capabilities(), "donor", d.id, d.settings.PageSize
	err := sendHello(conn, h)
	var theirs hello
	if err == nil {
		theirs, err = receiveHello(conn, "joiner")
	}
	if ctx.Err() != nil {
		return hello{}, context.Cause(ctx)
	}
	if err != nil {
		return hello{}, fail(exitOther, &peerError{fmt.Errorf("joiner %s: %w", peerName(d.joiner), conn.Explain(err))})
	}
	if theirs.Refused != "" {
		return hello{}, fail(exitOther, fmt.Errorf("joiner %s will not take this SST: %s", peerName(d.joiner), theirs.Refused))
	}
	return theirs, nil
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
