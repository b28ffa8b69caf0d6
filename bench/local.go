package bench

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/bench/picture"
	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
)

// local is a measurement on this host.
type local struct {
	Options
	folder *mariadbd.Folder
	set    *set
	certs  *mariadbd.Certificates
	bin    string
	load   float64 // of the host, before

	timeline []sst.ProgressLine // of our last SST
	*progress
}

// A contender is something that copies the set to an empty directory, or does a part of
// that.
type contender struct {
	name, kind string
	needs      []string // programs
	run        func(ctx context.Context, to string) (sample, error)
	copies     bool // afterwards everything is in to
}

// The kinds of results.
const (
	kindOwn   = "own"
	kindRaw   = "raw"
	kindLimit = "limit"
	kindOther = "alternative"
	kindStock = "one end ours"
)

// Local measures on this host. What it finds is in the report also when ctx ends it
// early; then the error says so.
func Local(ctx context.Context, o Options) (r *Report, err error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	b := &local{Options: o, progress: newProgress(o.Progress), load: hostLoad()}
	defer b.progress.end()
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	defer func() {
		b.progress.say("removing the data")
		err = errors.Join(err, b.folder.End(func(string) {}))
	}()
	if err := b.fill(ctx); err != nil {
		return nil, err
	}
	return b.measure(ctx)
}

// prepare makes the folder, if there is room for the data and one copy.
func (b *local) prepare(ctx context.Context) (err error) {
	need := room(int64(b.Megabytes)<<20, max(b.Files, b.Megabytes), 2)
	if b.Dir != "" {
		s, copied, err := given(b.Dir)
		if err != nil {
			return err
		}
		if s.bytes == 0 {
			return fmt.Errorf("--dir %s: there is nothing in it that an SST sends", b.Dir)
		}
		need = room(s.bytes, len(s.files), 1) + copied
	}
	b.folder, err = mariadbd.NewFolder(os.TempDir(), "sst-bench-", false, need)
	return err
}

// fill makes what the contenders need.
func (b *local) fill(ctx context.Context) (err error) {
	dir := b.folder.Path("donor")
	b.progress.say("making the data")
	if b.Dir != "" {
		err = view(ctx, b.Dir, dir)
	} else {
		_, err = lookalike.NewPlain(ctx, dir, int64(b.Megabytes)<<20, b.Files)
	}
	if err != nil {
		return err
	}
	if b.set, err = listSet(dir); err != nil {
		return err
	}
	if b.certs, err = mariadbd.NewCertificates(b.folder, mariadbd.Host, "donor", "joiner"); err != nil {
		return err
	}
	if b.bin, err = b.folder.Install(b.Program, false); err != nil {
		return err
	}
	return sync2disk(dir)
}

// sync2disk lets nobody measure our own writing.
func sync2disk(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

// measure lets all contenders run in turns: once to warm up (ours only, which brings
// everything into memory that fits), then as often as asked for.
func (b *local) measure(ctx context.Context) (*Report, error) {
	all := b.contenders()
	samples := make([][]sample, len(all))
	missing := make([]string, len(all))
	for i, c := range all {
		missing[i] = absent(c.needs)
	}
	b.progress.say("warming up")
	if _, err := b.once(ctx, all[0]); err != nil {
		return nil, err
	}
	for round := range b.Runs {
		for i, c := range all {
			if missing[i] != "" {
				continue
			}
			b.progress.say("round %d of %d: %s", round+1, b.Runs, c.name)
			s, err := b.once(ctx, c)
			switch {
			case ctx.Err() != nil:
				return nil, context.Cause(ctx)
			case err != nil && (c.kind == kindOther || c.kind == kindStock): // not our fault, and not the end
				missing[i] = "failed: " + oneLine(err)
				samples[i] = nil
			case err != nil:
				return nil, fmt.Errorf("%s: %w", c.name, err)
			default:
				samples[i] = append(samples[i], s)
			}
		}
	}
	return b.report(all, samples, missing), nil
}

// oneLine is an error in a table.
func oneLine(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return text
}

// once lets a contender run into an empty directory, and makes sure that it did.
func (b *local) once(ctx context.Context, c contender) (s sample, err error) {
	to := b.folder.Path("joiner")
	if _, err := lookalike.NewEmpty(to); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(to)) }()
	// A limit is generous: 1 MB/s.
	const perByte = time.Microsecond
	limit := 5*time.Minute + time.Duration(b.set.bytes)*perByte
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %v", limit))
	defer cancel()
	if s, err = c.run(ctx, to); err != nil {
		return s, err
	}
	if c.copies {
		err = b.set.arrived(to)
	}
	return s, err
}

func (b *local) contenders() []contender {
	all := []contender{
		{name: "ours", kind: kindOwn, run: b.own, copies: true},
		{name: Raw, kind: kindRaw, run: b.ends(Raw), copies: true},
		{name: Reading, kind: kindLimit, run: b.ends(Reading)},
		{name: TLS, kind: kindLimit, run: b.ends(TLS)},
		{name: Network, kind: kindLimit, run: b.ends(Network)},
		{name: Writing, kind: kindLimit, run: b.ends(Writing), copies: true},
	}
	if b.few {
		return all[:2]
	}
	if b.Against {
		all = append(append(all, b.alternatives()...), b.stockPeers()...)
	}
	return all
}

// own runs the real roles, as mariadbd does. The time is from the donor's start until
// it says continue: all files are with the joiner.
func (b *local) own(ctx context.Context, to string) (s sample, err error) {
	// The lines of the run before would be drawn, too.
	if err := os.Remove(b.folder.Path("progress")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	side := func(name, dir string, m *meter) (*mariadbd.Side, error) {
		side, err := mariadbd.NewSide(b.folder, mariadbd.SideOptions{
			Name: name, Datadir: dir, Certificates: b.certs, Bin: b.bin, Grace: grace, SST: append(b.lines(), "progress="+b.folder.Path("progress")),
		})
		if err == nil {
			side.Meter = m
		}
		return side, err
	}
	d, err := side("donor", b.set.dir, donor)
	if err != nil {
		return s, err
	}
	defer d.Close()
	j, err := side("joiner", to, joiner)
	if err != nil {
		return s, err
	}
	defer j.Close()
	times := newTimes()
	sst := mariadbd.SST{Donor: d, Joiner: j, Patience: grace, Mark: times.mark}
	if b.Link.on() {
		var end func()
		sst.Via, end = b.via(ctx)
		defer end()
	}
	if err := sst.Run(ctx); err != nil {
		if ctx.Err() == nil {
			var logs strings.Builder
			j.Tail(&logs)
			d.Tail(&logs)
			err = fmt.Errorf("%w\n%s", err, logs.String())
		}
		return s, err
	}
	b.timeline = picture.ReadLines(b.folder.Path("progress"), "donor")
	s.seconds = times.between(mariadbd.Asked, mariadbd.Copied).Seconds()
	s.copying = times.between(mariadbd.Connected, mariadbd.Copied).Seconds()
	s.ready = times.between(mariadbd.Started, mariadbd.Ready)
	return s, nil
}

// via leads the donor through the link.
func (b *local) via(ctx context.Context) (via func(string) (string, error), end func()) {
	var p network
	via = func(offer string) (string, error) {
		address, path, _ := strings.Cut(offer, "/")
		before := ""
		if i := strings.LastIndexByte(address, '@'); i >= 0 {
			before, address = address[:i+1], address[i+1:]
		}
		var err error
		if p, err = b.network(ctx, address, b.Transport); err != nil {
			return "", err
		}
		return before + net.JoinHostPort(mariadbd.Host, strconv.Itoa(p.port())) + "/" + path, nil
	}
	return via, func() {
		if p != nil {
			p.close()
		}
	}
}

// A network is a Link at work.
type network interface {
	port() int
	close()
}

func (b *local) network(ctx context.Context, target, transport string) (network, error) {
	if transport == string(tls.DTLS) {
		return b.Link.datagrams(target)
	}
	return b.Link.proxy(ctx, target)
}

// times keeps the first of each moment.
type times struct {
	mu sync.Mutex
	at map[mariadbd.Moment]time.Time
}

func newTimes() *times { return &times{at: map[mariadbd.Moment]time.Time{}} }

func (t *times) mark(m mariadbd.Moment, _ string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.at[m]; !known {
		t.at[m] = time.Now()
	}
}

func (t *times) between(a, b mariadbd.Moment) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at[b].Sub(t.at[a])
}

// ends runs a limit: one process, or two. The time is from the donor's start to its end.
func (b *local) ends(kind string) func(ctx context.Context, to string) (sample, error) {
	return func(ctx context.Context, to string) (s sample, err error) {
		donor, joiner := newMeter(), newMeter()
		defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
		args := func(role, dir string) []string {
			return []string{b.Program, EndCommand, kind, role, "--dir=" + dir, "--like=" + b.set.dir, "--bytes=" + strconv.FormatInt(b.set.bytes, 10),
				"--threads=" + strconv.Itoa(b.Threads), "--ca=" + b.certs.All, "--cert=" + b.certs.Bundles[role], "--transport=" + b.Transport}
		}
		switch kind {
		case Reading:
			s.seconds, err = b.alone(ctx, donor, args("donor", b.set.dir))
			return s, err
		case Writing:
			s.seconds, err = b.alone(ctx, joiner, args("joiner", to))
			return s, err
		}
		j, err := start(joiner, b.folder.Dir, nil, args("joiner", to)...)
		if err != nil {
			return s, err
		}
		defer j.stop()
		var port int
		if _, err := fmt.Fscanln(j.out, &port); err != nil {
			return s, fmt.Errorf("no port from the joiner's end: %w: %s", err, j.said.String())
		}
		if b.Link.on() {
			transport := b.Transport
			if kind == Network {
				transport = ""
			}
			p, err := b.network(ctx, net.JoinHostPort(mariadbd.Host, strconv.Itoa(port)), transport)
			if err != nil {
				return s, err
			}
			defer p.close()
			port = p.port()
		}
		if s.seconds, err = b.alone(ctx, donor, append(args("donor", b.set.dir), "--port="+strconv.Itoa(port))); err != nil {
			return s, fmt.Errorf("%w %s", err, j.said.String())
		}
		return s, j.finish(ctx)
	}
}

// EndCommand is the command of this program that is one end of a limit.
const EndCommand = "bench-end"

// alone runs one process to its end.
func (b *local) alone(ctx context.Context, m *meter, argv []string, env ...string) (seconds float64, err error) {
	began := time.Now()
	p, err := start(m, b.folder.Dir, env, argv...)
	if err != nil {
		return 0, err
	}
	p.in.Close()
	err = p.wait(ctx)
	return time.Since(began).Seconds(), err
}
