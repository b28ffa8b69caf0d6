package sst

import (
	"context"
	"fmt"
	"time"

	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/tls"
)

// sst is the whole of an SST from the moment that the joiner is known.
func (d *donor) sst(ctx context.Context) error {
	began, cpu := time.Now(), cpuTime()
	d.began = began
	d.status.Change(func(r *status.Run) { r.Total = d.plan.Total.Size })
	stop := d.sayProgress(ctx)
	defer func() { stop() }()
	var c *copier
	before := d.rehearse
	if d.ranges {
		c = newCopier(d)
		defer c.close()
		before = c.beforeLock
	}
	end := d.stage("Donor-Precopy")
	err := before(ctx)
	end()
	if err != nil {
		return err
	}
	if r := d.rehearsed; r != nil {
		defer r.close()
	}
	// mariadbd writes its answer twice: it goes at the end, too.
	defer func() {
		if err := d.flush.forget(d.root); err != nil {
			d.warn(err.Error())
		}
	}()
	asked := time.Now()
	p, stamped, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer d.holds(false)
	content := &d.literal
	if c != nil {
		content = &d.sent
	}
	locked, sent := time.Now(), content.Load()
	if err := d.underLock(ctx, c, stamped); err != nil {
		return err
	}
	now := time.Now()
	sum := summary{waited: locked.Sub(asked), copied: now.Sub(locked), whole: now.Sub(began), sent: content.Load(), locked: content.Load() - sent, use: d.used(began, cpu)}
	if c != nil {
		sum.rounds = c.rounds
	} else if d.rehearsed != nil {
		sum.rounds = d.rehearsed.rounds
	}
	err = d.sendLast(ctx, p, sum.String())
	stop() // what mariadbd is told after done, it does not read
	if err != nil {
		return err
	}
	d.infof("to %s: %s", peerName(d.joiner), sum)
	d.infof("joiner %s; %d connections", credentials(d.joiner), d.made.Load())
	return d.done(p)
}

// lock asks mariadbd for its lock, and waits for it. stamped is when it came, on the
// clock that stamps files.
func (d *donor) lock(ctx context.Context) (p position, stamped time.Time, err error) {
	if d.hand != nil { // it is stopped, or locked, and since when nobody tells
		d.holds(true)
		return d.hand.position(), time.Time{}, nil
	}
	asked := time.Now()
	if d.rehearsed != nil {
		defer d.rehearsed.shows(ctx)()
	}
	if err := d.out.FlushTables(); err != nil {
		return position{}, stamped, fail(exitPipe, err)
	}
	d.tell(status.Waiting, "waiting for mariadbd to flush and lock its tables")
	end := d.stage("Donor-Flush")
	p, stamped, err = d.flush.wait(ctx, d.root)
	end()
	if err != nil {
		return position{}, stamped, err
	}
	d.holds(true)
	d.infof("Tables flushed at %s after %.1f s", p, time.Since(asked).Seconds())
	return p, stamped, nil
}

// underLock sends what must not change, and gives the lock back. c is nil for a joiner
// that runs a script.
func (d *donor) underLock(ctx context.Context, c *copier, stamped time.Time) (err error) {
	d.tell(status.Transferring, "tables are locked, sending")
	end := d.stage("Donor-Transfer")
	if c != nil {
		err = c.final(ctx, stamped)
	} else if err = d.planAgain(ctx); err == nil {
		err = d.sendAll(ctx, stamped)
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
	return nil
}

// holds notes whether the tables are locked, which makes us less patient.
func (d *donor) holds(locked bool) {
	d.locked.Store(locked)
	d.passing.lock(locked)
	d.status.Change(func(r *status.Run) {
		r.Locked = time.Time{}
		if locked {
			r.Locked = time.Now()
		}
	})
	c := d.control.Load()
	if c == nil {
		return
	}
	silence := d.settings.Silence
	if locked {
		silence = d.settings.SilenceLocked
	}
	c.hurry(silence)
	c.tell(c.said()) // with the figures as they are now
}

// sendLast sends the magic file. The joiner ends when it is there, so a connection that
// breaks after that is as good as one that does not.
func (d *donor) sendLast(ctx context.Context, p position, summary string) error {
	err := d.again(ctx, func(ctx context.Context) error {
		h := hello{Summary: summary}
		if d.hand != nil {
			h.Replica = d.hand.replica
		}
		conn, err := d.dialWith(ctx, h)
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
	use                   use
}

func (s summary) String() string {
	rounds := fmt.Sprintf(" in %d rounds", s.rounds)
	switch s.rounds {
	case 0:
		rounds = ""
	case 1:
		rounds = " in 1 round"
	}
	return fmt.Sprintf("waited %.2f s for the server to lock and flush its tables, copied for %.2f s under its lock, of %.1f s; sent %s%s, %s of it under the lock, %s; %s",
		s.waited.Seconds(), s.copied.Seconds(), s.whole.Seconds(), bytesText(s.sent), rounds, bytesText(s.locked), rateText(s.sent, s.whole-s.waited), s.use.boundBy())
}

// credentials say who a peer has shown himself to be, and how what he sends is kept
// secret.
func credentials(p tls.Peer) string {
	if p.Cipher == "" {
		return p.Addr + ", " + p.Version
	}
	text := fmt.Sprintf("%s, %s, %s", p.Addr, p.Version, p.Cipher)
	if p.Fingerprint == "" {
		return text + ", without a certificate"
	}
	return fmt.Sprintf("%s, certificate %s, serial %s, SHA-256 %s", text, p.Subject, p.Serial, p.Fingerprint)
}
