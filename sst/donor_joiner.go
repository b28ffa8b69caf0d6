package sst

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer"
)

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
		if err := d.hand.admits(false); err != nil {
			return err
		}
		d.bundles = true
		return d.offered(ctx, conn, f)
	}
	ours := d.ourTraits(ctx)
	theirs, err := d.greet(ctx, conn, hello{Control: true, Need: d.plan.Total.Allocated, Needs: d.plan.Needs(), Traits: ours})
	if err != nil {
		return err
	}
	if err := d.hand.admits(theirs.ByHand); err != nil {
		return err
	}
	if theirs.Sessions > 0 {
		d.threads, d.lists = min(d.threads, theirs.Sessions), min(d.lists, theirs.Sessions)
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
	c := newControl(conn, "joiner "+peerName(d.joiner), d.settings.Silence)
	c.measure = func(n *notice) {
		now := d.passing.at()
		n.Round, n.Locked, n.Done, n.Total = now.round, !now.locked.IsZero(), now.done, now.total
	}
	return c
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
	return d.flows.link(conn), nil
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
