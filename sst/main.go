// Package sst is one State Snapshot Transfer as mariadbd sees it: the arguments, the
// dialogue on stdout, the files in the data directory, the two roles, time limits
// and exit statuses.
//
// What it promises: stdout carries the lines of the dialogue and nothing else;
// status 0 only after the last of them. Everything that can be checked is checked
// before the joiner says ready and before the donor says flush tables. Every wait
// ends: with a limit, with the end of mariadbd, or with a signal. The joiner's data
// directory is untouched, incomplete (mariadbd sees no InnoDB and asks for a new
// SST) or complete, at any moment, and the last line of a failure says which.
//
// What it leaves to others: which files are sent (sst/plan), the form of the log
// and of the dialogue (sst/report), the rsync protocol (transfer), the secure
// channel (tls), option files (mycnf).
package sst

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/confine"
	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer"
)

// Version is what we call ourselves to the other side and to people.
const Version = "0.1.0"

// Main runs the SST that mariadbd asks for with argv and returns the exit status.
// The environment is os.Environ's form.
func Main(argv, environ []string, stdin, stdout, stderr *os.File) int {
	log, live, flush := newLog(stderr)
	defer flush()
	args, err := ParseArgs(argv)
	if err != nil {
		log.Error(err)
		return statusOf(err)
	}
	limit := report.DonorLine
	if args.Role == Joiner {
		limit = report.JoinerLine
	}
	r := &run{
		args: args, environ: environ, stdin: stdin, log: log,
		out: report.NewDialogue(stdout, limit), watch: newServerWatch(), kernel: confine.Linux(), seams: realSeams(), live: live,
	}
	return r.exitStatus()
}

// newLog is a log on stderr, which may be a terminal: then live shows its line. flush is
// to be called at the end.
func newLog(stderr io.Writer) (log *report.Log, live func(string), flush func()) {
	if f, ok := stderr.(*os.File); ok {
		if terminal := report.OpenTerminal(f); terminal != nil {
			stderr, live = terminal, terminal.Line
		}
	}
	patient := report.NewPatient(stderr, report.LostLine)
	return report.NewLog(patient, nil), live, func() { patient.Flush(lastWords) }
}

// exitStatus runs the SST to its end.
func (r *run) exitStatus() int {
	err := r.whole()
	if err == nil {
		return 0
	}
	if _, said := errors.AsType[saidError](err); !said {
		r.log.Error(err)
	}
	return statusOf(err)
}

// seams are where tests reach in.
type seams struct {
	skipping func() skipping
	// writes times the writes of the disks.
	writes func(plan.Places) *writeProbe
	// beforeFence is called under the lock, when everything has been copied once.
	beforeFence func()
	// tiny is [tinyDatabase].
	tiny int64
	// source is what is read from towards a script, given what is on the disk.
	source func(transfer.Source) transfer.Source
	// show is how often a donor that waits for its lock shows itself to a script's joiner.
	show time.Duration
}

func realSeams() seams {
	return seams{skipping: newSkipping, writes: newWriteProbe, beforeFence: func() {}, tiny: tinyDatabase, show: showInterval,
		source: func(s transfer.Source) transfer.Source { return s }}
}

// A run is what both roles share.
type run struct {
	args    Args
	environ []string
	stdin   *os.File
	log     *report.Log
	out     *report.Dialogue
	watch   serverWatch
	server  int // mariadbd's process; 0: there is none, or it is not known
	seams   seams
	kernel  confine.Kernel

	settings *Settings
	root     *os.Root // the data directory
	confined bool     // landlock is in force

	hand *handRun     // a person started it; nil: mariadbd did
	live func(string) // shows the line of a terminal; nil: there is none

	status *status.Recorder // nil: none is kept
	count  func() int64     // bytes of files so far
}

// whole is an SST from the first to the last instruction: within it signals and the
// end of mariadbd cancel the context, the data directory is ours alone, and the
// files that show a running SST are there.
func (r *run) whole() (err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer cancel(nil)
	defer catchSignals(ctx, cancel, &watchers)()

	r.lessen()
	r.watch.say = r.say
	server, err := findServer(r.watch.table, os.Getppid(), r.args.Parent)
	switch {
	case r.hand != nil: // there is none
	case errors.Is(err, errServerGone):
		return fail(exitPipe, err)
	case err != nil:
		r.log.Warningf("%v: its end will not be noticed, but by a donor when its socket closes", err)
	default:
		r.server = server.pid
		watchers.Go(func() {
			if err := r.watch.wait(ctx, server); err != nil {
				cancel(fail(exitPipe, err))
			}
		})
	}

	if err := r.loadSettings(); err != nil {
		r.endUnlocked(err)
		return err
	}
	l := newLocker(r.say, r.warn)
	l.limit = r.settings.PreviousTimeout
	lock, err := l.lock(ctx, r.args.Datadir)
	if err != nil {
		return err
	}
	defer lock.Close()
	defer func() { r.end(err) }()
	if r.root, err = os.OpenRoot(r.args.Datadir); err != nil {
		return fail(exitMissing, fmt.Errorf("open the data directory: %w", err))
	}
	defer r.root.Close()
	if r.hand != nil {
		if err := r.checkByHand(); err != nil {
			return err
		}
	}
	if err := l.clearLeftovers(r.root); err != nil {
		return err
	}
	here := presence{root: r.root, pid: os.Getpid(), progress: r.args.Role == Joiner}
	defer func() {
		if e := here.end(); e != nil {
			r.warn(e.Error())
		}
	}()
	if err := here.begin(); err != nil {
		return err
	}
	return r.role(ctx)
}

func (r *run) role(ctx context.Context) error {
	var whole func(context.Context) error
	if r.args.Role == Joiner {
		whole = newJoiner(r).whole
	} else {
		whole = newDonor(r).whole
	}
	r.begin()
	defer r.sayOnSignal(ctx)()
	r.serverSeries() // as long as its program can be read
	return whole(ctx)
}

// loadSettings reads the option files, and says what is odd about them and about
// the arguments.
func (r *run) loadSettings() (err error) {
	if len(r.args.Unknown) > 0 {
		r.warn("unknown arguments are ignored: " + strings.Join(r.args.Unknown, " "))
	}
	r.settings, err = LoadSettings(r.args, mycnf.LoadOptions{LookupEnv: r.lookupEnv})
	for _, w := range r.settings.Warnings { // they may explain the error
		r.warn(w)
	}
	if err != nil {
		return err
	}
	for _, n := range r.settings.Notes {
		r.say(n)
	}
	if set := r.settings.summary(); set != "" {
		r.say(set)
	}
	r.toSyslog(report.DevLog)
	return nil
}

// lookupEnv finds a variable of the environment that Main was given.
func (r *run) lookupEnv(name string) (string, bool) {
	for _, entry := range r.environ {
		if n, value, _ := strings.Cut(entry, "="); n == name {
			return value, true
		}
	}
	return "", false
}

// tellServer tells mariadbd how far we are. It asks for that with --progress 1, which
// servers have that understand it.
func (r *run) tellServer(p pass) {
	if p.total > 0 {
		_ = r.out.Progress(p.total, p.done) // a stdout that is closed shows with the next line that counts
	}
}

func (r *run) say(text string) { r.log.Say(report.Info, text) }

func (r *run) warn(text string) { r.log.Say(report.Warning, text) }

func (r *run) infof(format string, a ...any) { r.log.Infof(format, a...) }

// catchSignals makes the signals that end a script end us in order. The function it
// returns lets them act as before.
//
// SIGPIPE is ignored, so that a write to a closed stdout or connection is an error
// of that write. (Asking for the signal would bring one for each connection that a
// peer closes, too.)
func catchSignals(ctx context.Context, cancel context.CancelCauseFunc, wg *sync.WaitGroup) (stop func()) {
	signal.Ignore(syscall.SIGPIPE)
	signal.Ignore(syscall.SIGUSR1) // until there is progress to say
	ch := make(chan os.Signal, 1)
	signal.Notify(ch, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	wg.Go(func() {
		select {
		case s := <-ch:
			code := exitSignal
			if s == syscall.SIGHUP {
				code = exitPipe
			}
			cancel(failf(code, "ended by the signal %v", s))
		case <-ctx.Done():
		}
	})
	return func() { signal.Stop(ch) }
}
