package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/cli/demo/lookalike"
	"wsrep_sst_rsync_tunnel/cli/demo/tree"
)

// host is what the nodes are called.
const host = "127.0.0.1"

// Options of a demo.
type Options struct {
	Megabytes int
	Keep      bool   // leave the folder behind
	Program   string // this program
	Out       io.Writer
}

// A demo of the look-alike.
type demo struct {
	Options
	folder        *folder
	owners        lookalike.Owners
	grace         time.Duration // for a program to end by itself
	donor, joiner *side
	times         *timeline

	had  tree.Tree // the joiner's files before the donor came
	held tree.Tree // the donor's files while they were locked, without content
}

func (d *demo) say(format string, a ...any) { fmt.Fprintf(d.Out, format+"\n", a...) }

// Run fills one data directory from another and compares them. What it finds goes
// to o.Out.
func Run(ctx context.Context, o Options) error {
	// mariadbd's. It is the process's, and children have it from there.
	defer syscall.Umask(syscall.Umask(0o006))
	d := &demo{Options: o, owners: owners(), grace: 5 * time.Second, times: newTimeline(o.Out)}
	return d.run(ctx, os.TempDir())
}

// run does it in a folder in temporary.
func (d *demo) run(ctx context.Context, temporary string) (err error) {
	// Both sides, the joiner's old files, and what cp makes.
	d.folder, err = newFolder(temporary, d.Keep, (int64(d.Megabytes)*4+64)<<20)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, d.folder.end(func(s string) { d.say("%s", s) }))
	}()
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, limit(d.Megabytes), fmt.Errorf("not done after %v", limit(d.Megabytes)))
	defer cancel()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer d.donor.log.Close()
	defer d.joiner.log.Close()
	if err = d.transfer(ctx); err == nil {
		err = d.compare(ctx)
	}
	if err != nil {
		if outer.Err() == nil { // nobody ended it
			d.joiner.tail(d.Out)
			d.donor.tail(d.Out)
		}
		return err
	}
	return d.besideCp(ctx)
}

// limit is the time for all of a demo: 10 MB/s, and two minutes.
func limit(megabytes int) time.Duration {
	return 2*time.Minute + time.Duration(megabytes)*time.Second/10
}

// owners: root gives the files to the server's user, and one to somebody else.
func owners() lookalike.Owners {
	if os.Geteuid() != 0 {
		return lookalike.Owners{}
	}
	var known []lookalike.Owner
	for _, name := range []string{"mysql", "nobody", "daemon"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			known = append(known, lookalike.Owner{UID: uid, GID: gid})
		}
	}
	if len(known) < 2 {
		return lookalike.Owners{}
	}
	return lookalike.Owners{Give: true, Server: known[0], Other: known[1]}
}

// prepare makes everything that an SST finds.
func (d *demo) prepare(ctx context.Context) error {
	began := time.Now()
	size := lookalike.Size{Megabytes: d.Megabytes}
	donor, err := lookalike.NewDonor(d.folder.path("donor"), size, d.owners)
	if err != nil {
		return err
	}
	joiner, err := lookalike.NewJoiner(d.folder.path("joiner"), size, d.owners)
	if err != nil {
		return err
	}
	certs, err := newCertificates(d.folder, host, "donor", "joiner")
	if err != nil {
		return err
	}
	bin, err := d.folder.install(d.Program, false)
	if err != nil {
		return err
	}
	if d.donor, err = newSide(d.folder, "donor", donor, certs, bin, d.grace); err != nil {
		return err
	}
	if d.joiner, err = newSide(d.folder, "joiner", joiner, certs, bin, d.grace); err != nil {
		return err
	}
	if d.had, err = d.read(ctx, d.joiner, tree.Options{Content: true}); err != nil {
		return err
	}
	// Otherwise the disks are busy with our own doing while time is taken.
	if err := syncAll(d.folder.dir); err != nil {
		return err
	}
	sent, err := d.read(ctx, d.donor, tree.Options{})
	if err != nil {
		return err
	}
	sent = sent.Only(func(name string) bool { return donor.Fate(name) == lookalike.Sent })
	d.say("made two data directories that look like MariaDB's in %.1f s: %d MB in %d files to send", time.Since(began).Seconds(), sent.Size()/1e6, len(sent))
	return nil
}

func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return os.NewSyscallError("syncfs", unix.Syncfs(int(f.Fd())))
}

func (d *demo) read(ctx context.Context, s *side, o tree.Options) (tree.Tree, error) {
	o.Through = s.datadir.Linked
	return tree.Read(ctx, s.datadir.Dir, o)
}

// transfer is the SST: two mariadbd, each with its program.
func (d *demo) transfer(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address := make(chan string, 1)
	joinerOver, donorOver := make(chan struct{}), make(chan struct{})
	both := failures{patience: d.grace}
	var nodes sync.WaitGroup
	nodes.Go(func() {
		err := d.joiner.joins(ctx, port, d.times, func(offer string) error {
			d.times.mark(ready, "joiner at "+offer)
			address <- offer
			return d.positionGivenUp(ctx)
		})
		if err == nil {
			d.times.mark(done, "joiner, everything is on its disk")
		}
		close(joinerOver)
		both.node(err, donorOver, cancel)
	})
	nodes.Go(func() {
		var err error
		select {
		case <-joinerOver:
		case offer := <-address:
			err = d.donor.gives(ctx, offer, d.times, func() error { return d.lock(ctx) })
		}
		close(donorOver)
		both.node(err, joinerOver, cancel)
	})
	nodes.Wait()
	return context.Cause(ctx)
}

// failures keeps the first failure of two nodes.
type failures struct {
	patience time.Duration

	mu    sync.Mutex
	first error
}

// node ends the demo if a node failed, but lets the other one find out by itself:
// its log then says how it took that.
func (f *failures) node(err error, other <-chan struct{}, cancel context.CancelCauseFunc) {
	if err == nil {
		return
	}
	f.mu.Lock()
	if f.first == nil {
		f.first = err
	}
	err = f.first
	f.mu.Unlock()
	patience := time.NewTimer(f.patience)
	defer patience.Stop()
	select {
	case <-other:
	case <-patience.C:
	}
	cancel(err)
}

// positionGivenUp notes the one change that mariadbd itself makes at the joiner.
func (d *demo) positionGivenUp(ctx context.Context) error {
	t, err := tree.Read(ctx, filepath.Join(d.joiner.datadir.Dir, positionFile), tree.Options{Content: true})
	if err == nil {
		d.had[positionFile] = t["."]
	}
	return err
}

// lock does what mariadbd does when the donor's program says flush tables.
func (d *demo) lock(ctx context.Context) error {
	if err := lookalike.LastWrites(d.donor.datadir, d.owners); err != nil {
		return err
	}
	held, err := d.read(ctx, d.donor, tree.Options{Times: true})
	if err != nil {
		return err
	}
	// Not the files that are there only while an SST runs.
	d.held = held.Only(func(name string) bool { return name == "." || d.donor.datadir.Fate(name) != 0 })
	d.times.mark(locked, "donor")
	return d.donor.flushed()
}

// freePort finds a port that nobody listens on, below those that the kernel gives
// to outgoing connections.
func freePort() (int, error) {
	var failed error
	for range 100 {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		failed = err
	}
	return 0, fmt.Errorf("find a free port: %w", failed)
}
