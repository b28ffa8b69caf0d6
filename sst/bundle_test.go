package sst

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// Small databases share sessions on their way to a script. How they are put together is
// tested in plan, and against the real rsync in e2e.

// brings says whether a session lists a file of a database, alone or with others.
func brings(s *transfer.Session, name string) bool {
	return slices.ContainsFunc(s.List.Entries, func(e *flist.Entry) bool { return path.Join(s.Path, e.Name) == name })
}

func TestATemporaryTableThatVanishesFromABundle(t *testing.T) {
	for name, c := range map[string]struct {
		times  int
		status int
	}{
		"twice":       {maxVanished - 1, 0},
		"without end": {1000, exitOther},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donor, _ := cluster.pair()
			write(t, donor.dir, "db1/#sql-1.MAI", "x")
			script := newScriptJoiner(t, cluster.scriptTLS())
			defer script.stop()
			vanished := 0
			script.begin = func(s *transfer.Session) {
				if old := fmt.Sprintf("db1/#sql-%d.MAI", vanished+1); brings(s, old) {
					if err := os.Remove(filepath.Join(donor.dir, old)); err != nil {
						t.Error(err)
					}
					if vanished++; vanished < c.times {
						write(t, donor.dir, fmt.Sprintf("db1/#sql-%d.MAI", vanished+1), "x")
					}
				}
			}
			donor.donate(script.port, "")
			donor.expect("flush tables")
			donor.flushed(42)
			if c.status == 0 {
				donor.expect("continue")
				donor.expect("done " + testUUID + ":42 0")
			}
			donor.exit(c.status)
			if want := min(c.times, maxVanished); vanished != want {
				t.Errorf("%d tables vanished, want %d", vanished, want)
			}
			donor.says("5 databases of", "went away")
			if diff := cmp.Diff(state(t, donor.dir), state(t, script.dir)); c.status == 0 && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A directory that is dropped while the server has promised to keep still would be
// dropped at the joiner too.
func TestADatabaseThatVanishesUnderTheLockEndsTheSST(t *testing.T) {
	cluster := newCluster(t)
	donor, _ := cluster.pair()
	script := newScriptJoiner(t, cluster.scriptTLS())
	defer script.stop()
	var gone atomic.Bool
	script.begin = func(s *transfer.Session) {
		if s.Path == flist.Root && gone.CompareAndSwap(false, true) { // the top level
			if err := os.RemoveAll(filepath.Join(donor.dir, "db1")); err != nil {
				t.Error(err)
			}
		}
	}
	donor.donate(script.port, "")
	donor.expect("flush tables")
	donor.flushed(42)
	donor.exit(exitOther)
	donor.says("5 databases of", "db1", "is gone, or no directory any more")
}

// In the clear nobody knows that the joiner is one of ours, so it gets bundles, too.
func TestBundlesToAJoinerOfOursInTheClear(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.stockNode(), cluster.stockNode()
	database(t, donor.dir)
	links := map[string]string{"empty": t.TempDir(), "db1": t.TempDir(), "dropped": t.TempDir()}
	for name, target := range links {
		write(t, target, "db.opt", "x")
		write(t, target, "stale.ibd", "old")
		if err := os.Symlink(target, filepath.Join(joiner.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, joiner.dir, "mysql/stale.frm", "old")
	stockWhole(donor, joiner, "wsrep_sst_rsync", inEnvironment)
	donor.says("Transfer of data done: 5 databases")
	joiner.saysOnce("the donor has no database dropped")
	for name, target := range links {
		got, err := os.Readlink(filepath.Join(joiner.dir, name))
		if kept := err == nil && got == target; kept != (name != "dropped") {
			t.Errorf("the joiner's link %s: %q, %v", name, got, err)
			continue
		}
		want := map[string]string{}
		if name == "db1" {
			want = state(t, filepath.Join(donor.dir, name))
		}
		if diff := cmp.Diff(want, state(t, target)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if names := names(t, filepath.Join(joiner.dir, "mysql")); slices.Contains(names, "stale.frm") {
		t.Errorf("stale.frm is left among %q", names)
	}
}

// A bundle that fails is made up for by the same bundle, not by another one, and not by
// the session of the top level.
func TestEachBundleHasAKeyOfItsOwn(t *testing.T) {
	session := func(path string, whole bool, names ...string) *transfer.Session {
		l := &flist.List{Entries: []*flist.Entry{{Name: flist.Root, Mode: flist.TypeDir}}}
		for _, name := range names {
			l.Entries = append(l.Entries, &flist.Entry{Name: name, Mode: flist.TypeDir, NoContent: !whole}, &flist.Entry{Name: name + "/sub", Mode: flist.TypeDir})
		}
		return &transfer.Session{Module: "rsync_sst", Path: path, List: l}
	}
	seen := map[string]bool{}
	for _, s := range []*transfer.Session{
		session(".", false, "a", "b", "c"), session(".", true, "a", "b"), session(".", true, "c"), session("a", true, "x"), session("b", true, "x"),
	} {
		key := keyOf(s)
		if seen[key] || key != keyOf(s) {
			t.Errorf("%q is the key of two", key)
		}
		seen[key] = true
	}
	if want := "the session for rsync_sst (2 databases: a b)"; !seen[want] {
		t.Errorf("keys %v", seen)
	}
	var many []string
	for i := range 64 {
		many = append(many, strings.Repeat("n", 200)+fmt.Sprint(i))
	}
	if key := keyOf(session(".", true, many...)); len(key) > 2000 {
		t.Errorf("a key of %d bytes", len(key))
	}
}
