package sst

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/status"
)

// statusFiles finds out where the status file may be. Whoever asks for it by the same
// option files must find the same places, so nothing that only one role is told counts.
// It is outside the data directory, where a joiner's mariadbd would wonder about it.
func (l *settingsLoader) statusFiles() {
	const key = "status-file"
	socket := l.server("socket").Value
	if o, ok := l.get(key); ok {
		switch {
		case o.Value == "off":
		case !filepath.IsAbs(o.Value):
			l.warn("%s: %s=%s is no absolute path, no status file is written", where(o), key, o.Value)
		default:
			l.s.StatusFiles = []string{filepath.Clean(o.Value)}
		}
		return
	}
	datadir := filepath.Clean(l.args.Datadir)
	if real, err := filepath.EvalSymlinks(datadir); err == nil {
		datadir = real // whatever the path was that led to it
	}
	if filepath.IsAbs(socket) && !inside(filepath.Dir(socket), l.args.Datadir) && !inside(filepath.Dir(socket), datadir) {
		l.s.StatusFiles = append(l.s.StatusFiles, strings.TrimSuffix(socket, filepath.Ext(socket))+".sst-status.json")
	}
	h := fnv.New64a()
	h.Write([]byte(datadir))
	l.s.StatusFiles = append(l.s.StatusFiles, filepath.Join(os.TempDir(), fmt.Sprintf("wsrep_sst-status-%016x.json", h.Sum64())))
	l.record(key, strings.Join(l.s.StatusFiles, ", else "), byDefault)
}

// inside says whether dir is the directory parent or below it.
func inside(dir, parent string) bool {
	rel, err := filepath.Rel(parent, dir)
	return err == nil && filepath.IsLocal(rel)
}

// statusFile is the first place that can be written to, or the last; "" if no file is
// wanted.
func (r *run) statusFile() (name string) {
	for i := len(r.settings.StatusFiles) - 1; i >= 0; i-- {
		file := r.settings.StatusFiles[i]
		if name == "" || unix.Access(filepath.Dir(file), unix.W_OK|unix.X_OK) == nil {
			name = file
		}
	}
	return name
}

// begin starts the status file.
func (r *run) begin() {
	role := "donor"
	if r.args.Role == Joiner {
		role = "joiner"
	}
	r.status = status.Start(r.statusFile(), status.Run{
		Role: role, Method: r.args.Method.String(), Silence: stuckAfter(r.settings.Silence).Seconds(),
	}, r.count, r.warn, status.Metrics(r.settings.MetricsFile))
}

// stuckAfter is when an SST without progress counts as stuck: some time after it
// should have given up by itself.
func stuckAfter(silence time.Duration) time.Duration {
	if silence <= 0 {
		return 0
	}
	return silence + time.Minute
}

// endUnlocked is end for a run that has not come as far as the lock of the data
// directory. If somebody else has that, the file tells of them.
func (r *run) endUnlocked(err error) {
	dir, e := os.Open(r.args.Datadir)
	if e != nil {
		return
	}
	defer dir.Close()
	if flock(dir) == nil {
		r.end(err)
	}
}

// end says in the status file how the run ended, also if it ended before it began to
// do anything.
func (r *run) end(err error) {
	if r.status == nil && err != nil {
		r.count = func() int64 { return 0 }
		r.begin()
	}
	if err == nil {
		r.status.End(0, "")
		return
	}
	r.status.Change(func(s *status.Run) { s.Class = reasonOf(err) })
	r.status.End(statusOf(err), err.Error())
}

// sayOnSignal logs the progress at each SIGUSR1, until the function that it returns is
// called.
func (r *run) sayOnSignal(ctx context.Context) (stop func()) {
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGUSR1)
	ctx, cancel := context.WithCancel(ctx)
	var saying sync.WaitGroup
	saying.Go(func() {
		for {
			select {
			case <-ch:
				r.say(progressText(r.status.Now(), time.Now()))
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(ch)
		cancel()
		saying.Wait()
	}
}

// progressText is a run in one line.
func progressText(s status.Run, now time.Time) string {
	text := fmt.Sprintf("SIGUSR1: %s for %.0f s", s.Phase, now.Sub(s.Began).Seconds())
	if s.Doing != "" {
		text += ", " + s.Doing
	}
	if s.Peer != "" {
		text += ", with " + s.Peer
	}
	if s.Bytes > 0 {
		text += ", " + bytesText(s.Bytes)
		if s.Total > 0 {
			text += " of " + bytesText(s.Total)
		}
	}
	if !s.Locked.IsZero() {
		text += fmt.Sprintf(", tables locked for %.1f s", now.Sub(s.Locked).Seconds())
	}
	return text
}
