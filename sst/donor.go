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
	limit   *rateLimit // of the data connections together; nil: none
	joiner  tls.Peer   // as the first connection showed it
	control *control   // to a joiner of ours; nil otherwise
	// gone gets the error that ended the control connection, and is closed then.
	gone chan error
}

func newDonor(r *run) *donor {
	d := &donor{run: r, flush: newFlushWait(r.say), gone: make(chan error, 1), threads: r.settings.BackupThreads}
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
	p, err := d.flush.wait(ctx, d.root)
	end()
	if err != nil {
		return err
	}
	locked := time.Now()
	d.infof("Tables flushed at %s after %.1f s", p, locked.Sub(began).Seconds())
	if err := d.planAgain(ctx); err != nil {
		return err
	}
	d.status.Change(func(r *status.Run) { r.Locked = locked })
	d.tell(status.Transferring, "tables are locked, sending")
	end = d.stage("Donor-Transfer")
	err = d.sendAll(ctx)
	end()
	if err != nil {
		return err
	}
	d.infof("Sending continue to donor")
	if err := d.out.Continue(); err != nil {
		return fail(exitPipe, err)
	}
	lock := time.Since(locked)
	d.status.Change(func(r *status.Run) { r.Locked = time.Time{} })
	conn, err := d.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := d.sendMagic(ctx, conn, p); err != nil {
		return err
	}
	d.infof("sent %s to %s; tables were locked for %.1f s", amount(d.sent.Load(), lock), peerName(d.joiner), lock.Seconds())
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
	theirs, err := d.greet(ctx, conn, hello{Control: true, Need: d.plan.Total.Allocated, Needs: d.plan.Needs()})
	if err != nil {
		return err
	}
	if theirs.Sessions > 0 {
		d.threads = min(d.threads, theirs.Sessions)
	}
	d.infof("joiner %s connected, version %s, %s; %s are free there, %s will come", peerName(d.joiner), theirs.Version,
		conn.Peer().Version, bytesText(theirs.Free), bytesText(d.plan.Total.Allocated))
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
	d.control = newControl(conn, "joiner "+peerName(d.joiner), d.settings.Silence)
	inner, cancel := context.WithCancelCause(ctx)
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.control.run(watching, func(state string) { d.infof("joiner: %s", state) }); err != nil {
			cancel(fail(exitOther, err))
		}
	}()
	err := f(inner)
	if _, broken := errors.AsType[*peerError](err); broken && inner.Err() == nil {
		// The joiner may be telling why at this moment.
		select {
		case <-ended:
		case <-time.After(lastWords):
		}
	}
	stop()
	<-ended
	if err != nil && inner.Err() != nil && ctx.Err() == nil {
		err = context.Cause(inner)
	}
	cancel(nil)
	if err != nil {
		d.control.giveUp(reasonFor(ctx, err))
	}
	return err
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
	if d.control != nil {
		d.control.tell(state)
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
		d.offers = modules
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
func (d *donor) dial(ctx context.Context) (link, error) {
	conn, err := d.dialRaw(ctx)
	if err != nil {
		return nil, err
	}
	if conn.Own() {
		if _, err := d.greet(ctx, conn, hello{}); err != nil {
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
	if limit := d.settings.Silence; d.joiner.Addr != "" && limit > 0 {
		// Once the joiner is known, tables may be locked: whatever sockopt says of
		// retry and forever, one that is gone is given up as one that is silent.
		limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no connection for %v (sst-timeout)", limit))
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
	h.Version, h.Role, h.PageSize = Version, "donor", d.settings.PageSize
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
