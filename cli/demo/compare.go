package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
	"wsrep_sst_rsync_tunnel/bench/tree"
)

// maxShown is how many differences are listed.
const maxShown = 20

// compare looks at both data directories: the joiner has the donor's files that are
// sent, its own that are kept, and nothing else; the donor has what it had.
func (d *demo) compare(ctx context.Context) error {
	donor, joiner, err := d.readBoth(ctx)
	if err != nil {
		return err
	}
	sent := donor.Only(func(name string) bool { return name == "." || d.donor.datadir.Fate(name) == lookalike.Sent })
	kept := d.had.Only(func(name string) bool { return d.joiner.datadir.Fate(name) == lookalike.Kept })
	want := maps.Clone(sent)
	maps.Copy(want, kept)
	differences := tree.Diff(want, joiner, tree.Rules{Thinner: maybeThinner})

	now, err := d.read(ctx, d.donor, tree.Options{Times: true})
	if err != nil {
		return err
	}
	for _, line := range tree.Diff(d.held, now, tree.Rules{}) {
		differences = append(differences, "the donor's own "+line)
	}
	if n := len(differences); n > 0 {
		for _, line := range differences[:min(n, maxShown)] {
			d.say("  %s", line)
		}
		if n > maxShown {
			d.say("  and %d more", n-maxShown)
		}
		return fmt.Errorf("the data directories are not as they should be: %d names differ", n)
	}
	home := len(donor) - len(sent)
	gone := slices.DeleteFunc(slices.Collect(maps.Keys(d.had)), func(name string) bool {
		_, there := joiner[name]
		return there
	})
	d.say("equal: %d names with %d MB: content, owner, mode, links, holes", len(sent), sent.Size()/1e6)
	d.say("       %d names stayed with the donor, %d of the joiner's own were kept, %d stale ones are gone", home, len(kept), len(gone))
	return nil
}

// maybeThinner: zeros become holes in table spaces only.
func maybeThinner(name string) bool {
	return strings.HasSuffix(name, ".ibd")
}

// readBoth reads the two trees side by side.
func (d *demo) readBoth(ctx context.Context) (donor, joiner tree.Tree, err error) {
	var donorErr, joinerErr error
	var both sync.WaitGroup
	both.Go(func() { donor, donorErr = d.read(ctx, d.donor, tree.Options{Content: true}) })
	both.Go(func() { joiner, joinerErr = d.read(ctx, d.joiner, tree.Options{Content: true}) })
	both.Wait()
	if donorErr != nil {
		return nil, nil, donorErr
	}
	return donor, joiner, joinerErr
}
