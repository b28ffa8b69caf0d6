package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/bench/tree"
)

// Options of a demo.
type Options struct {
	Megabytes int
	Keep      bool   // leave the folder behind
	Program   string // this program
	Out       io.Writer
	Live      func(string) // shows a line of a terminal; nil: there is none
	SVG       string       // file for a picture; "": none
}

// A demo of the look-alike.
type demo struct {
	Options
	folder        *mariadbd.Folder
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
	d.folder, err = mariadbd.NewFolder(temporary, "sst-demo-", d.Keep, (int64(d.Megabytes)*4+64)<<20)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, d.folder.End(func(s string) { d.say("%s", s) }))
	}()
	outer := ctx
	ctx, cancel := context.WithTimeoutCause(ctx, limit(d.Megabytes), fmt.Errorf("not done after %v", limit(d.Megabytes)))
	defer cancel()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	defer d.donor.Close()
	defer d.joiner.Close()
	if err = d.transfer(ctx); err == nil {
		err = d.draw(d.folder.Path("progress"), fmt.Sprintf("an SST of %d MB, as donor", d.Megabytes))
	}
	if err == nil {
		err = d.compare(ctx)
	}
	if err != nil {
		if outer.Err() == nil { // nobody ended it
			d.joiner.Tail(d.Out)
			d.donor.Tail(d.Out)
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
	donor, err := lookalike.NewDonor(d.folder.Path("donor"), size, d.owners)
	if err != nil {
		return err
	}
	joiner, err := lookalike.NewJoiner(d.folder.Path("joiner"), size, d.owners)
	if err != nil {
		return err
	}
	certs, err := mariadbd.NewCertificates(d.folder, mariadbd.Host, "donor", "joiner")
	if err != nil {
		return err
	}
	bin, err := d.folder.Install(d.Program, false)
	if err != nil {
		return err
	}
	if d.donor, err = d.side("donor", donor, certs, bin); err != nil {
		return err
	}
	if d.joiner, err = d.side("joiner", joiner, certs, bin); err != nil {
		return err
	}
	if d.had, err = d.read(ctx, d.joiner, tree.Options{Content: true}); err != nil {
		return err
	}
	// Otherwise the disks are busy with our own doing while time is taken.
	if err := syncAll(d.folder.Dir); err != nil {
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

// A side is one of the two nodes, and what is in its data directory.
type side struct {
	*mariadbd.Side
	datadir *lookalike.Datadir
}

func (d *demo) side(name string, datadir *lookalike.Datadir, certs *mariadbd.Certificates, bin string) (*side, error) {
	s, err := mariadbd.NewSide(d.folder, mariadbd.SideOptions{Name: name, Datadir: datadir.Dir, Certificates: certs, Bin: bin, Grace: d.grace,
		SST: []string{`progress="` + strings.ReplaceAll(d.folder.Path("progress"), `\`, `\\`) + `"`}})
	return &side{s, datadir}, err
}

// transfer is the SST: two mariadbd, each with its program.
func (d *demo) transfer(ctx context.Context) error {
	defer d.follow(ctx, d.folder.Path("progress"))()
	s := mariadbd.SST{Donor: d.donor.Side, Joiner: d.joiner.Side, Patience: d.grace, Mark: d.times.mark, Ready: d.positionGivenUp, Lock: d.lock}
	return s.Run(ctx)
}

// positionGivenUp notes the one change that mariadbd itself makes at the joiner.
func (d *demo) positionGivenUp(ctx context.Context) error {
	t, err := tree.Read(ctx, filepath.Join(d.joiner.datadir.Dir, mariadbd.PositionFile), tree.Options{Content: true})
	if err == nil {
		d.had[mariadbd.PositionFile] = t["."]
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
	return nil
}
