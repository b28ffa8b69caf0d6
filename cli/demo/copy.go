package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/bench/tree"
)

// besideCp says how long the SST took, before the lock and under it, and how long cp takes
// to copy the same directory: no network, no encryption, no checksums, and nobody may
// write meanwhile. So it is cp's whole time that stands beside the lock.
func (d *demo) besideCp(ctx context.Context) error {
	size, err := d.copied(ctx)
	if err != nil {
		return err
	}
	copying, lock := d.times.between(mariadbd.Connected, mariadbd.Copied), d.times.between(mariadbd.Locked, mariadbd.Unlocked)
	d.say("")
	d.say("copy   %6.2f s, %s, encrypted and verified", copying.Seconds(), rate(size, copying))
	d.say("       %6.2f s of it before the lock, by few threads of low priority, while the donor serves its clients", d.times.between(mariadbd.Connected, mariadbd.Locked).Seconds())
	d.say("       %6.2f s under the lock, for what has changed since: only then do the donor's writers wait", lock.Seconds())
	d.say("       %6.2f s for the whole SST, with all on the joiner's disk", d.times.between(mariadbd.Started, mariadbd.Done).Seconds())
	if err := syncAll(d.folder.Dir); err != nil {
		return err
	}
	cp, synced, err := d.cp(ctx)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		d.say("cp -r  not installed here, nothing to set beside it")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		d.say("cp -r  failed (%v), nothing to set beside it", err)
	default:
		d.say("cp -r  %6.2f s, %s, for the same directory", cp.Seconds(), rate(size, cp))
		d.say("       %6.2f s with all on the disk", (cp + synced).Seconds())
		d.say("         no writer may work meanwhile: for %.1f times as long as under the SST's lock (one run each)", cp.Seconds()/max(lock.Seconds(), 0.001))
	}
	return nil
}

// copied is how many bytes the SST copied.
func (d *demo) copied(ctx context.Context) (int64, error) {
	t, err := d.read(ctx, d.joiner, tree.Options{})
	return t.Size(), err
}

// cp runs the real one on the donor's data directory, and then writes it to the
// disk, as an SST does before it is done.
func (d *demo) cp(ctx context.Context) (copying, syncing time.Duration, err error) {
	to := d.folder.Path("cp")
	defer os.RemoveAll(to)
	cmd := exec.CommandContext(ctx, "cp", "-r", d.donor.datadir.Dir, to)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("%w %.200s", err, out)
	}
	copying = time.Since(began)
	err = syncAll(d.folder.Dir)
	return copying, time.Since(began) - copying, err
}
