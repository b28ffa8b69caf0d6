package sessions

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
	"wsrep_sst_rsync_tunnel/sst/plan"
)

// planned are the sessions of our donor's plan as runs.
func planned(p *plan.Plan) (runs []run) {
	places := map[plan.Root]place{plan.DataDir: data, plan.HomeDir: home, plan.LogDir: redo, plan.UndoDir: undo, plan.AriaDir: aria}
	for _, s := range p.Sessions {
		r := run{name: s.Module + "/" + s.Path, from: places[s.Root], module: s.Module, rules: s.Rules, recursive: s.Recursive}
		switch {
		case s.IsBundle():
			r.only = s.Databases
			r.name += strings.Join(s.Databases, " ")
		case len(s.Databases) == 1:
			r.below = s.Databases[0]
		}
		runs = append(runs, r)
	}
	return runs
}

// TestBundlesLeaveWhatASessionForEachDatabaseLeaves plays our donor's plan twice, with and without bundles. That the
// sessions without leave what those of two rsyncs leave is the matter of other tests; two rsyncs cannot have all names
// that are here, since the daemon expands wildcards in the destination.
func TestBundlesLeaveWhatASessionForEachDatabaseLeaves(t *testing.T) {
	list := rsyncs(t)
	if len(list) > 1 {
		list = slices.DeleteFunc(list, func(r rsync) bool { return r.name == "installed" && among(r, list) })
	}
	for _, r := range list {
		for _, base := range []string{"rsync_tunnel_sst", "rsync_sst"} {
			t.Run(fmt.Sprintf("%s, rsync %s (%s)", base, r.version, r.name), func(t *testing.T) {
				t.Parallel()
				from, stale := layout{root: folder(t)}, layout{root: folder(t)}
				donor(t, from)
				joiner(t, stale)
				awkward(t, from, stale)
				modules := []string{base, base + "-log_dir"}
				if base == "rsync_sst" {
					modules = nil
				}
				p, err := plan.Donor(t.Context(), plan.Places{Datadir: from.dir(data)}, base, modules)
				if err != nil {
					t.Fatal(err)
				}
				single := planned(p)
				p.Bundle()
				bundles := planned(p)
				if len(bundles) > len(single)-70 {
					t.Fatalf("%d sessions with bundles, %d without: the test compares the wrong thing", len(bundles), len(single))
				}
				variants := []variant{{protocol: 32, whole: true}}
				if base == "rsync_sst" {
					variants = []variant{{protocol: 30}}
				}
				if os.Getenv("E2E_LONG") != "" {
					variants = nil
					for protocol := 30; protocol <= 32; protocol++ {
						variants = append(variants, variant{protocol: protocol, whole: true}, variant{protocol: protocol})
					}
				}
				for _, v := range variants {
					v.rsync = &r
					t.Run(v.String(), func(t *testing.T) {
						serve := func(t *testing.T, l layout) string { return serveBy(t, r.program, l) }
						want, got := last(t, from, stale, single, v, serve), last(t, from, stale, bundles, v, serve)
						if d := tree.Diff(got, want); len(d) > 0 {
							t.Errorf("bundles leave another tree:\n%s", strings.Join(d, "\n"))
						}
						sensible(t, want)
					})
				}
			})
		}
	}
}

// awkward adds what bundles might get wrong: names that are patterns for one another, more databases than a bundle
// takes, and a database that is a link of the joiner's alone, which the session of the top level replaces.
func awkward(t *testing.T, from, stale layout) {
	t.Helper()
	d, j := maker{t, from.dir(data)}, maker{t, stale.dir(data)}
	for _, name := range []string{"a*", "ab", "a[bc]", "ac", "a?", "a\nb", "a\\*"} {
		d.file(name+"/t.ibd", 300, 0o660, "donor")
		j.file(name+"/t.ibd", 200, 0o660, "joiner")
		j.file(name+"/stale/t.ibd", 200, 0o660, "joiner")
	}
	j.file("abc/dropped.ibd", 20, 0o660, "joiner")
	for i := range 70 {
		d.file(fmt.Sprintf("few%02d/db.opt", i), 60, 0o640, "donor")
		j.file(fmt.Sprintf("few%02d/stale.frm", i), 60, 0o640, "joiner")
	}
	elsewhere := maker{t, filepath.Join(stale.root, "elsewhere of the joiner")}
	elsewhere.file("stale.ibd", 50, 0o600, "joiner")
	j.must(os.Symlink("../elsewhere of the joiner", j.path("names2")))
	d.file("names2/t.ibd", 50, 0o600, "donor")
}

// sensible checks the yardstick.
func sensible(t *testing.T, got tree.Tree) {
	t.Helper()
	for _, there := range []string{"data/a*/t.ibd", "data/few69/db.opt", "data/names2/t.ibd", "data/linked/t.ibd", "data/my.cnf", "data/lost+found/mine", "elsewhere of the joiner/stale.ibd"} {
		if _, ok := got[there]; !ok {
			t.Errorf("two rsyncs leave no %s", there)
		}
	}
	for _, gone := range []string{"data/abc", "data/few00/stale.frm", "data/ab/stale", "data/names2/stale.ibd", "data/olddb"} {
		if _, ok := got[gone]; ok {
			t.Errorf("two rsyncs leave %s", gone)
		}
	}
}

// last is the state after we have made all runs.
func last(t *testing.T, from, stale layout, runs []run, v variant, serve daemon) (state tree.Tree) {
	t.Helper()
	left := len(runs)
	playing(t, from, stale, runs, v, byUs, serve, func(r run, to layout) {
		if left--; left == 0 {
			state = stateAfter(t, r, to)
		}
	})
	return state
}

// TestABundleOfSomeDatabasesLeavesTheOthersAlone sends one bundle and nothing before it.
func TestABundleOfSomeDatabasesLeavesTheOthersAlone(t *testing.T) {
	for _, r := range rsyncs(t) {
		t.Run("rsync "+r.version+" ("+r.name+")", func(t *testing.T) {
			t.Parallel()
			from, stale := layout{root: folder(t)}, layout{root: folder(t)}
			donor(t, from)
			joiner(t, stale)
			bundle := run{name: "bundle", from: data, module: "rsync_sst", recursive: true, only: []string{"db1", "d\xfe\n"},
				rules: []string{"+ /db1/", "+ /d\xfe\n/", "- /*"}}
			alone := []run{}
			for _, name := range bundle.only {
				alone = append(alone, run{name: name, from: data, module: "rsync_sst", recursive: true, below: name})
			}
			v := variant{protocol: 32, whole: true, matrix: matrix{rsync: &r}}
			serve := func(t *testing.T, l layout) string { return serveBy(t, r.program, l) }
			// The root of the module gets the donor's mode and owner, as by the session of the top level.
			want := last(t, from, stale, append(alone, run{name: "top", from: data, module: "rsync_sst", rules: []string{"- *"}}), v, serve)
			got := last(t, from, stale, []run{bundle}, v, serve)
			if d := tree.Diff(got, want); len(d) > 0 {
				t.Errorf("the bundle leaves another tree:\n%s", strings.Join(d, "\n"))
			}
			for _, kept := range []string{"data/olddb/t.ibd", "data/many/stale.frm", "data/my.cnf", "data/oldlink"} {
				if _, ok := got[kept]; !ok {
					t.Errorf("the bundle has removed %s", kept)
				}
			}
			if slices.ContainsFunc([]string{"data/db1/gone.ibd", "data/names/t.ibd"}, func(name string) bool { _, ok := got[name]; return ok }) {
				t.Error("the bundle has left what is stale, or sent what it does not name")
			}
		})
	}
}
