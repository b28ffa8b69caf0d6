package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Times between two lines about a transfer under way: in the log, and in a file of its
// own.
const (
	progressInterval = 10 * time.Second
	progressFileStep = time.Second
)

// A progress tells how far the transfer is, in the way that the option progress asks
// for. What counts is what goes over the data connections: a file of hundreds of
// gigabytes is no single step.
type progress struct {
	role, verb string // "donor", "sent"
	to         string // Settings.Progress
	bytes      func() int64
	total      func() int64 // of what will come; 0: not known
	infof      func(string, ...any)
	warn       func(string)
}

// run says it until ctx ends.
func (p progress) run(ctx context.Context) {
	switch p.to {
	case noProgress:
		return
	case "":
		p.each(ctx, progressInterval, p.short)
		return
	case logProgress:
		p.each(ctx, progressInterval, p.long)
		return
	}
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() { p.each(ctx, progressInterval, p.short) })
	f := watchedFile{path: p.to, fd: -1}
	defer f.close()
	p.each(ctx, progressFileStep, func(m moment) {
		if err := f.write(time.Now().Format("2006-01-02 15:04:05 ") + p.text(m) + "\n"); err != nil {
			p.warn(fmt.Sprintf("progress=%s: %v; nothing more is written there", p.to, err))
		}
	})
}

// A moment is how things are.
type moment struct {
	bytes, more int64         // and since the moment before
	since       time.Duration // that one
	elapsed     time.Duration // since the beginning
	last        bool          // the transfer is over
}

// each calls f with every step, and once at the end.
func (p progress) each(ctx context.Context, step time.Duration, f func(moment)) {
	t := time.NewTicker(step)
	defer t.Stop()
	began := time.Now()
	before, then := p.bytes(), began
	for last := false; !last; {
		select {
		case <-ctx.Done():
			last = true
		case <-t.C:
		}
		n, now := p.bytes(), time.Now()
		f(moment{bytes: n, more: n - before, since: now.Sub(then), elapsed: now.Sub(began), last: last})
		before, then = n, now
	}
}

// short is silent while nothing moves, and at the end, where others tell more.
func (p progress) short(m moment) {
	if m.more > 0 && !m.last {
		p.infof("%s %s so far (%s now)", p.verb, bytesText(m.bytes), rateText(m.more, m.since))
	}
}

func (p progress) long(m moment) { p.infof("%s", p.text(m)) }

// text has what pv showed: bytes, part of the whole, rates, time, and time to come.
func (p progress) text(m moment) string {
	s := fmt.Sprintf("%s: %s %s", p.role, p.verb, bytesText(m.bytes))
	total := p.total()
	if known := total > 0 && m.bytes <= total; known {
		s += fmt.Sprintf(" of %s (%d %%)", bytesText(total), int64(float64(m.bytes)/float64(total)*100))
	}
	s += fmt.Sprintf(", %s now, %s on average, %.0f s", rateText(m.more, m.since), rateText(m.bytes, m.elapsed), m.elapsed.Seconds())
	if m.bytes > 0 && m.bytes < total && !m.last {
		s += fmt.Sprintf(", about %.0f s left", m.elapsed.Seconds()*float64(total-m.bytes)/float64(m.bytes))
	}
	return s
}

// A watchedFile is a file or FIFO that an operator watches. An SST never waits for who
// reads it: without a reader, or with one that is slow, lines are lost.
type watchedFile struct {
	path   string
	fd     int // -1: not open
	failed bool
}

// write adds a line. An error is told once.
func (f *watchedFile) write(line string) error {
	if f.failed {
		return nil
	}
	err := f.open()
	if err == nil {
		_, err = unix.Write(f.fd, []byte(line))
	}
	switch {
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EPIPE): // a FIFO that nobody reads
		f.close()
		return nil
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	}
	f.failed = true
	return err
}

func (f *watchedFile) open() (err error) {
	if f.fd >= 0 {
		return nil
	}
	const flags = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	f.fd, err = unix.Open(f.path, flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		f.fd, err = unix.Open(f.path, flags|unix.O_CREAT|unix.O_EXCL, 0o640)
	}
	return err
}

func (f *watchedFile) close() {
	if f.fd >= 0 {
		unix.Close(f.fd)
		f.fd = -1
	}
}

// A countedLink counts what it moves.
type countedLink struct {
	link
	moved *atomic.Int64
}

func (c countedLink) Read(p []byte) (int, error) {
	n, err := c.link.Read(p)
	c.moved.Add(int64(n))
	return n, err
}

func (c countedLink) Write(p []byte) (int, error) {
	n, err := c.link.Write(p)
	c.moved.Add(int64(n))
	return n, err
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
