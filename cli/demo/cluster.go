package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A clusterDemo is the demo with two real servers.
type clusterDemo struct {
	Options
	folder        *mariadbd.Folder
	mariadb       *mariadb
	donor, joiner *node
}

func (d *clusterDemo) say(format string, a ...any) { fmt.Fprintf(d.Out, format+"\n", a...) }

// RunCluster lets a real second node join a cluster of one by SST, and later by
// IST, with this program and nothing else, and asks SQL whether all arrived.
func RunCluster(ctx context.Context, o Options) error {
	m, err := findMariaDB(os.Getenv("PATH")+":"+usualPrograms, usualGalera)
	if err != nil {
		return err
	}
	d := &clusterDemo{Options: o, mariadb: m}
	return d.run(ctx, os.TempDir())
}

// run does it in a folder in temporary.
func (d *clusterDemo) run(ctx context.Context, temporary string) (err error) {
	// Two data directories with logs and caches; InnoDB takes more room than rows do.
	d.folder, err = mariadbd.NewFolder(temporary, "sst-demo-", d.Keep, (int64(d.Megabytes)*4+1024)<<20)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, d.folder.End(func(s string) { d.say("%s", s) }))
	}()
	// mariadbd aborts when an SST fails: no core files.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return err
	}
	err = d.whole(ctx)
	if err != nil && ctx.Err() == nil {
		for _, n := range []*node{d.donor, d.joiner} {
			if n != nil {
				n.tail(d.Out)
			}
		}
	}
	return err
}

// whole is the story.
func (d *clusterDemo) whole(ctx context.Context) error {
	began := time.Now()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	return d.donor.run(ctx, []string{"--wsrep-new-cluster"}, func(ctx context.Context) error {
		if err := d.donor.synced(ctx, 0); err != nil {
			return err
		}
		if err := d.donor.fill(ctx, d.Megabytes); err != nil {
			return err
		}
		version, err := d.donor.value(ctx, "SELECT VERSION()")
		if err != nil {
			return err
		}
		d.say("made a cluster of one node, MariaDB %s, with %d MB in %.1f s", version, d.Megabytes, time.Since(began).Seconds())
		if err := d.join(ctx); err != nil {
			return err
		}
		return d.rejoin(ctx)
	})
}

// prepare makes everything but processes.
func (d *clusterDemo) prepare(ctx context.Context) error {
	bin, err := d.folder.Install(d.Program, d.mariadb.switched)
	if err != nil {
		return err
	}
	certs, err := mariadbd.NewCertificates(d.folder, mariadbd.Host, "node1", "node2")
	if err != nil {
		return err
	}
	if d.donor, err = newNode(d.folder, d.mariadb, "node1", bin); err != nil {
		return err
	}
	if d.joiner, err = newNode(d.folder, d.mariadb, "node2", bin); err != nil {
		return err
	}
	// The first one stays the cluster when the second is gone.
	if err := errors.Join(d.donor.configure(certs, 2, d.joiner), d.joiner.configure(certs, 1, d.donor)); err != nil {
		return err
	}
	return d.donor.create(ctx)
}

// join lets the second node join for the first time.
func (d *clusterDemo) join(ctx context.Context) error {
	return d.joiner.run(ctx, nil, func(ctx context.Context) error {
		began, mark := time.Now(), d.donor.logSize()
		defer d.follow(ctx, d.donor.path("progress"))()
		writer, err := whileWriting(ctx, d.donor, func(ctx context.Context) error { return d.joiner.synced(ctx, d.Megabytes) })
		if err != nil {
			return err
		}
		d.say("node2 joined by SST, from an empty data directory, in %.1f s", time.Since(began).Seconds())
		if err := d.told(mark, "SST completed on donor", "under its lock"); err != nil {
			return err
		}
		if err := d.draw(d.donor.path("progress"), fmt.Sprintf("an SST of %d MB between two nodes, while a client writes", d.Megabytes)); err != nil {
			return err
		}
		d.say("       a client wrote %d transactions to node1 meanwhile, the longest took %.2f s", writer.transactions, writer.longest.Seconds())
		return d.asked(ctx)
	})
}

// rejoin lets it join again after a short absence.
func (d *clusterDemo) rejoin(ctx context.Context) error {
	var c client
	const missed = 20
	for range missed {
		if err := c.write(ctx, d.donor); err != nil {
			return err
		}
	}
	return d.joiner.run(ctx, nil, func(ctx context.Context) error {
		began, mark := time.Now(), d.donor.logSize()
		if err := d.joiner.synced(ctx, 0); err != nil {
			return err
		}
		d.say("node2 was stopped, missed %d transactions, and rejoined by IST in %.1f s", missed, time.Since(began).Seconds())
		if err := d.told(mark, "IST completed on donor"); err != nil {
			return err
		}
		return d.asked(ctx)
	})
}

// told makes sure that the donor's log has the texts: that it was this program, and
// the kind of transfer it should have been. The last one is shown.
func (d *clusterDemo) told(mark int64, texts ...string) error {
	shown := ""
	for _, text := range texts {
		line, ok := d.donor.logged(mark, text)
		if !ok {
			return fmt.Errorf("node1's error log does not say %q: another program, or another kind of transfer, brought node2 back", text)
		}
		shown = line
	}
	shown = strings.TrimPrefix(shown, "WSREP_SST: [INFO] ")
	if stamp := strings.LastIndex(shown, " ("); stamp > 0 {
		shown = shown[:stamp]
	}
	d.say("       node1 says: %s", shown)
	return nil
}

// asked has SQL compare the nodes.
func (d *clusterDemo) asked(ctx context.Context) error {
	if err := samePosition(ctx, d.donor, d.joiner); err != nil {
		return err
	}
	n, err := sameTables(ctx, d.donor, d.joiner)
	if err != nil {
		return err
	}
	if err := serve(ctx, d.donor, d.joiner); err != nil {
		return err
	}
	d.say("equal: CHECKSUM TABLE of %d tables on both nodes; CHECK TABLE on node2 is OK; each node reads what the other writes", n)
	return nil
}
