package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// A connected is a Connect at work.
type connected struct {
	Options
	channel *tls.Channel
	address sst.Address
	control net.Conn
	peer    reply         // its hello
	cpu     time.Duration // of the peer, at the last reply
	set     *set
	load    float64
	*progress
}

// Connect is the donor's end of a measurement between two hosts.
func Connect(ctx context.Context, o HostOptions) (r *Report, err error) {
	c := &connected{Options: Options{Dir: o.Dir, Megabytes: o.Megabytes, Files: o.Files, Threads: o.Threads, Runs: o.Runs, Compress: o.Compress}, progress: newProgress(o.Progress), load: hostLoad()}
	defer c.progress.end()
	if err := c.Options.complete(); err != nil {
		return nil, err
	}
	if !o.Node {
		if o.Secret, err = checkSecret(o.Secret); err != nil {
			return nil, err
		}
	}
	folder, err := mariadbd.NewFolder(os.TempDir(), "sst-bench-", false, 1<<20)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, folder.End(func(string) {})) }()
	if c.channel, c.address, err = o.channel(tls.Donor, sst.Donor, folder); err != nil {
		return nil, err
	}
	if err := c.choose(); err != nil {
		return nil, err
	}
	return c.measure(ctx)
}

// choose finds out what to send.
func (c *connected) choose() (err error) {
	if c.Dir != "" {
		c.set, _, err = given(c.Dir)
		return err
	}
	c.set = &set{}
	for _, t := range lookalike.Tables(int64(c.Megabytes)<<20, c.Files) {
		c.set.files = append(c.set.files, file{t.Name, t.Size})
		c.set.bytes += t.Size
	}
	return nil
}

// files are the set for a Sender.
func (c *connected) files() []ext.File {
	content := invention()
	out := make([]ext.File, len(c.set.files))
	for i, f := range c.set.files {
		open := func() (ext.Source, error) { return invented{f.size, content}, nil }
		if c.Dir != "" {
			open = func() (ext.Source, error) {
				file, err := os.Open(filepath.Join(c.Dir, f.name))
				if err != nil {
					return nil, err
				}
				return ext.FromOS(file), nil
			}
		}
		out[i] = ext.File{Name: f.name, Size: f.size, Mode: 0o600, Open: open}
	}
	return out
}

func (c *connected) measure(ctx context.Context) (*Report, error) {
	control, err := c.channel.Dial(ctx, c.address.Host, c.address.Port)
	if err != nil {
		return nil, err
	}
	defer control.Close()
	defer context.AfterFunc(ctx, func() { control.Close() })()
	c.control = control
	if c.peer, err = c.ask(request{Op: opHello}); err != nil {
		return nil, control.Explain(err)
	}
	kinds := []string{opTransfer, TLS, Network}
	if c.Dir != "" {
		kinds = append(kinds, Reading)
	}
	if c.peer.Dir != "" {
		kinds = append(kinds, Writing)
	}
	samples := make([][]sample, len(kinds))
	for round := range c.Runs + 1 { // the first one is for warming up
		for i, kind := range kinds {
			c.progress.say("round %d of %d: %s", round, c.Runs, kind)
			s, err := c.once(ctx, kind)
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			if round > 0 {
				samples[i] = append(samples[i], s)
			}
		}
	}
	return c.report(kinds, samples), nil
}

// ask sends a request and waits for the reply.
func (c *connected) ask(r request) (out reply, err error) {
	if err := sendLine(c.control, r); err != nil {
		return out, err
	}
	if err := receiveLine(c.control, &out, 0); err != nil {
		return out, err
	}
	if out.Error != "" {
		return out, fmt.Errorf("the other host says: %.900q", out.Error)
	}
	return out, nil
}

// once measures one kind of sample.
func (c *connected) once(ctx context.Context, kind string) (s sample, err error) {
	before, err := ownUse()
	if err != nil {
		return s, err
	}
	var seconds float64
	began := time.Now()
	switch kind {
	case Reading:
		err = readSet(ctx, &set{dir: c.Dir, files: c.set.files}, c.Threads)
		seconds = time.Since(began).Seconds()
	case Writing:
		var r reply
		start := c.cpu
		if r, err = c.ask(request{Op: Writing, Bytes: c.set.bytes, Files: len(c.set.files)}); err == nil {
			seconds = r.Seconds
			s.joiner = Use{CPU: c.peerCPU(r) - start, Peak: r.Peak}
		}
	default:
		seconds, s.joiner, err = c.sent(ctx, kind)
	}
	if err != nil {
		return s, err
	}
	after, err := ownUse()
	s.seconds = seconds
	s.donor = Use{CPU: after.CPU - before.CPU, Peak: after.Peak}
	if kind == Writing {
		s.donor = Use{}
	}
	return s, err
}

// peerCPU takes the peer's CPU from a reply.
func (c *connected) peerCPU(r reply) time.Duration {
	c.cpu = time.Duration(r.CPU * float64(time.Second))
	return c.cpu
}

// sent measures what goes through connections.
func (c *connected) sent(ctx context.Context, kind string) (seconds float64, peer Use, err error) {
	r, err := c.ask(request{Op: kind, Bytes: c.set.bytes, Files: len(c.set.files)})
	if err != nil {
		return 0, peer, err
	}
	start := c.peerCPU(r)
	began := time.Now()
	if err := c.send(ctx, kind); err != nil {
		return 0, peer, err
	}
	seconds = time.Since(began).Seconds()
	if r, err = c.ask(request{Op: opDone}); err != nil {
		return 0, peer, err
	}
	return seconds, Use{CPU: c.peerCPU(r) - start, Peak: r.Peak}, nil
}

// send makes the connections and sends.
func (c *connected) send(ctx context.Context, kind string) error {
	if kind == opTransfer {
		return c.stream(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	for range c.Threads {
		sending.Go(func() {
			conn, err := c.dial(ctx, kind)
			if err == nil {
				stop := context.AfterFunc(ctx, func() { conn.Close() })
				err = errors.Join(Pump(conn, c.set.bytes/int64(c.Threads)), sendError(conn.Close()))
				stop()
			}
			if err != nil {
				cancel(err)
			}
		})
	}
	sending.Wait()
	return context.Cause(ctx)
}

// stream sends the files as the donor of an SST does.
func (c *connected) stream(ctx context.Context) (err error) {
	how := ext.Off
	if c.Compress != "" {
		if how, err = ext.ParseCompression(c.Compress); err != nil {
			return err
		}
	}
	s := ext.New(ext.Options{
		Connections: min(c.Threads, maxStreams), Compress: how,
		Dial: func(ctx context.Context) (net.Conn, error) { return c.dial(ctx, opTransfer) },
	})
	defer func() { err = errors.Join(err, sendError(s.Close())) }()
	results, err := s.Send(ctx, c.files())
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	return err
}

// maxStreams is how many connections a Sender has at most.
const maxStreams = 16

// sendError: what closes after the last answer has nothing more to say.
func sendError(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// dial makes a connection for data.
func (c *connected) dial(ctx context.Context, kind string) (conn net.Conn, err error) {
	if kind == Network {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp", c.address.HostPort())
	} else {
		conn, err = c.channel.Dial(ctx, c.address.Host, c.address.Port)
	}
	if err != nil {
		return nil, err
	}
	if err := sendLine(conn, request{Op: opData, Token: c.peer.Token}); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *connected) report(kinds []string, samples [][]sample) *Report {
	r := &Report{
		Version: sst.Version, CPUs: min(runtime.GOMAXPROCS(0), max(c.peer.CPUs, 1)), Memory: "nothing is written", Load: c.load,
		Bytes: c.set.bytes, Files: len(c.set.files), Data: "synthetic", Threads: c.Threads, Compress: "off", Rounds: c.Runs, Peer: c.address.HostPort(),
	}
	if c.Dir != "" {
		r.Data = c.Dir
	}
	if c.Compress != "" {
		r.Compress = c.Compress
	}
	if c.peer.Dir != "" {
		r.Memory = "written to " + c.peer.Dir
	}
	for i, kind := range kinds {
		name, what := kind, kindLimit
		if kind == opTransfer {
			name, what = "ours", kindOwn
		}
		r.Results = append(r.Results, resultOf(name, what, c.set.bytes, samples[i]))
	}
	compare(r.Results)
	r.BoundBy = boundBy(r.Results[0], r.limits(), r.CPUs, true)
	return r
}
