package sst

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Times between two lines about a transfer under way. The log has the operator's
// attention in the first minute, and is not to be flooded in the hours after it. Who
// watches a file or a terminal wants to see things move.
const (
	progressFirst  = 10 * time.Second
	progressLater  = 60 * time.Second
	progressMinute = time.Minute

	watchedFirst = 200 * time.Millisecond // in the first progressFirst
	watchedLater = time.Second
)

// A progress tells how far the transfer is, in the way that the option progress asks
// for. What counts as sent or received is what goes over the data connections: a file of
// hundreds of gigabytes is no single step.
type progress struct {
	role, verb string        // "donor", "sent"
	to         string        // Settings.Progress
	every      time.Duration // Settings.ProgressInterval: of the lines in the log; 0: as above
	bytes      func() int64
	pass       func() pass          // what is being done
	since      func() time.Time     // when the transfer began; zero: not yet
	news       <-chan struct{}      // the pass has changed; nil: nobody tells
	stdout     func(pass)           // tells mariadbd (--progress 1); nil: it must not be told
	live       func(string)         // shows the line of a terminal; nil: there is none
	infof      func(string, ...any) // to the log
	warn       func(string)
}

// A moment is how things are.
type moment struct {
	at          time.Time
	bytes, more int64         // and since the moment before
	since       time.Duration // that one
	elapsed     time.Duration // since the beginning
	pass        pass
	moved       bool // something has happened since
	last        bool // the transfer is over
}

// An outlet is one place that is told, at times of its own.
type outlet struct {
	every   func(elapsed time.Duration) time.Duration
	tell    func(moment)
	changes bool // a new pass is told at once

	next   time.Time
	then   time.Time // of the moment before
	before int64
	done   pass
}

// run tells until ctx ends, and once more then.
func (p progress) run(ctx context.Context) {
	outlets, end := p.outlets()
	defer end()
	if len(outlets) == 0 {
		return
	}
	now := time.Now()
	for _, s := range outlets {
		s.then, s.before, s.next = now, p.bytes(), now.Add(s.every(0))
	}
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		t.Reset(time.Until(slices.MinFunc(outlets, func(a, b *outlet) int { return a.next.Compare(b.next) }).next))
		changed := false
		select {
		case <-ctx.Done():
			p.tell(outlets, true, true)
			return
		case <-p.news:
			changed = true
		case <-t.C:
		}
		p.tell(outlets, changed, false)
	}
}

// tell tells the outlets whose time has come, and with last all of them.
func (p progress) tell(outlets []*outlet, changed, last bool) {
	m := moment{at: time.Now(), bytes: p.bytes(), pass: p.pass(), last: last}
	if began := p.since(); !began.IsZero() {
		m.elapsed = m.at.Sub(began)
	}
	for _, s := range outlets {
		if !last && !(changed && s.changes) && m.at.Before(s.next) {
			continue
		}
		m.more, m.since = m.bytes-s.before, m.at.Sub(s.then)
		m.moved = m.more > 0 || m.pass != s.done
		s.tell(m)
		s.before, s.then, s.done, s.next = m.bytes, m.at, m.pass, m.at.Add(s.every(m.elapsed))
	}
}

// outlets are all that is to be told. end closes them.
func (p progress) outlets() (all []*outlet, end func()) {
	end = func() {}
	inLog := func(elapsed time.Duration) time.Duration {
		switch {
		case p.every > 0:
			return p.every
		case elapsed < progressMinute:
			return progressFirst
		}
		return progressLater
	}
	watched := func(elapsed time.Duration) time.Duration {
		if elapsed < progressFirst {
			return watchedFirst
		}
		return watchedLater
	}
	if p.stdout != nil {
		all = append(all, &outlet{every: inLog, tell: func(m moment) { p.stdout(m.pass) }, changes: true})
	}
	if p.live != nil {
		all = append(all, &outlet{every: watched, tell: p.onTerminal, changes: true})
		end = func() { p.live("") }
	} else if p.to != noProgress {
		all = append(all, &outlet{every: inLog, tell: p.inLog})
	}
	if p.to != "" && p.to != noProgress && p.to != logProgress {
		f := &watchedFile{path: p.to, fd: -1}
		closed := end
		end = func() { f.close(); closed() }
		all = append(all, &outlet{every: watched, changes: true, tell: func(m moment) {
			if err := f.write(p.line(m)); err != nil {
				p.warn(fmt.Sprintf("progress=%s: %v; nothing more is written there", p.to, err))
			}
		}})
	}
	return all, end
}

// inLog is silent while nothing moves, and at the end, where others tell more.
func (p progress) inLog(m moment) {
	if m.moved && !m.last {
		p.infof("%s", p.text(m))
	}
}

func (p progress) onTerminal(m moment) {
	if m.elapsed > 0 && !m.last {
		p.live(p.text(m))
	}
}

// amount tells bytes, time and rate in one.
func amount(n int64, d time.Duration) string {
	return fmt.Sprintf("%s in %.1f s (%s)", bytesText(n), d.Seconds(), rateText(n, d))
}

// rateText is in MB/s: 10^6, as networks and disks are sold.
func rateText(n int64, d time.Duration) string {
	if d <= 0 {
		d = time.Nanosecond
	}
	return fmt.Sprintf("%.0f MB/s", float64(n)/1e6/d.Seconds())
}
