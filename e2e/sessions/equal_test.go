package sessions

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

func TestEveryRunOfTheScriptsLeavesWhatTwoRsyncsLeave(t *testing.T) {
	peers.Need(t, "rsync")
	whole := variant{protocol: 32, whole: true}
	for _, test := range []struct {
		script   string
		runs     func(*testing.T, layout) []run
		apart    bool
		variants []variant
	}{
		{"the tunnel script, one directory for all", tunnelScript, false, []variant{whole, {protocol: 32, whole: false}}},
		{"the tunnel script, redo log apart", tunnelScript, true, []variant{whole, {protocol: 31, whole: true}, {protocol: 30, whole: true}}},
		{"the stock script, one directory for all", stockScript, false, []variant{whole, {protocol: 31, whole: true}, {protocol: 30, whole: true}}},
		{"the stock script, each kind of file in a directory of its own", stockScript, true, []variant{whole, {protocol: 32, whole: false}, {protocol: 31, whole: false}, {protocol: 30, whole: false}}},
	} {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			from, stale := layout{folder(t), test.apart}, layout{folder(t), test.apart}
			donor(t, from)
			joiner(t, stale)
			runs := test.runs(t, from)
			for _, v := range test.variants {
				t.Run(v.String(), func(t *testing.T) {
					t.Parallel()
					want := play(t, from, stale, runs, v, byRsync, rsyncDaemon)
					useful(t, from, runs, want)
					for name, role := range map[string]struct {
						sender sender
						daemon daemon
					}{
						"we send, rsync receives":  {byUs, rsyncDaemon},
						"rsync sends, we receive":  {byRsync, ourDaemon},
						"we send and receive both": {byUs, ourDaemon},
					} {
						t.Run(name, func(t *testing.T) {
							t.Parallel()
							got := play(t, from, stale, runs, v, role.sender, role.daemon)
							for i, r := range runs {
								if d := tree.Diff(got[i], want[i]); len(d) > 0 {
									t.Fatalf("after run %s the destination differs from that of two rsyncs:\n%s", r.name, strings.Join(d, "\n"))
								}
							}
						})
					}
				})
			}
		})
	}
}

// play makes all runs into a copy of the stale layout and returns its state after each.
func play(t *testing.T, from, stale layout, runs []run, v variant, send sender, serve daemon) (states []tree.Tree) {
	t.Helper()
	playing(t, from, stale, runs, v, send, serve, func(r run, to layout) { states = append(states, stateAfter(t, r, to)) })
	return states
}

// playing calls after when a run is over.
func playing(t *testing.T, from, stale layout, runs []run, v variant, send sender, serve daemon, after func(r run, to layout)) {
	t.Helper()
	to := layout{filepath.Join(folder(t), "to"), stale.apart}
	if out, err := exec.Command("cp", "-a", stale.root, to.root).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	address := serve(t, to)
	for _, r := range runs {
		if err := send(t, from, r, v, address); err != nil {
			t.Fatalf("run %s: %v", r.name, err)
		}
		after(r, to)
	}
}

func stateAfter(t *testing.T, r run, to layout) tree.Tree {
	t.Helper()
	state, err := tree.Read(to.root, tree.Options{Unmunge: true})
	if err != nil {
		t.Fatal(err)
	}
	// Times are sent in the last run alone, the magic file's.
	if r.file != "" {
		info, err := os.Stat(filepath.Join(to.dir(r.from), r.file))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(filepath.Base(to.dir(r.from)), r.file)
		node := state[name]
		node.Mtime = info.ModTime().UnixNano()
		state[name] = node
	}
	return state
}

// useful checks the yardstick itself: two rsyncs have brought over every database whole, taken away what was stale,
// and left alone what is the joiner's.
func useful(t *testing.T, from layout, runs []run, states []tree.Tree) {
	t.Helper()
	last := states[len(states)-1]
	for _, r := range runs {
		if r.below == "" {
			continue
		}
		skip := func(name string) bool { return strings.HasPrefix(filepath.Base(name), "ib_logfile") }
		want, err := tree.Read(filepath.Join(from.dir(data), r.below)+"/.", tree.Options{Skip: skip})
		if err != nil {
			t.Fatal(err)
		}
		got := tree.Tree{}
		prefix := "data/" + r.below
		for name, node := range last {
			switch {
			case strings.HasPrefix(filepath.Base(name), "ib_logfile"), strings.HasPrefix(name, prefix+"/spared"):
			case name == prefix:
				got["."] = node
			case strings.HasPrefix(name, prefix+"/"):
				got[strings.TrimPrefix(name, prefix+"/")] = node
			}
		}
		if d := tree.Diff(got, want); len(d) > 0 {
			t.Fatalf("two rsyncs did not carry %s over:\n%s", r.below, strings.Join(d, "\n"))
		}
	}
	for _, gone := range []string{"data/olddb", "data/db1/gone", "data/many/stale.frm"} {
		if _, there := last[gone]; there {
			t.Errorf("two rsyncs left %s", gone)
		}
	}
	for _, kept := range []string{"data/lost+found/mine", "data/my.cnf"} {
		if _, there := last[kept]; !there {
			t.Errorf("two rsyncs removed %s", kept)
		}
	}
	if last["data/grastate.dat"].Size != 100 {
		t.Error("two rsyncs have changed grastate.dat")
	}
}

// folder is a temporary directory, in memory where there is room. t.TempDir cannot remove what a test made read-only
// when it is not run by root, and its path has the test's name in it.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(roomiest(1<<30), "sessions-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("sh", "-c", `chmod -R u+w "$1" && rm -rf "$1"`, "sh", dir).CombinedOutput(); err != nil {
			t.Error(fmt.Errorf("remove %s: %w: %s", dir, err, out))
		}
	})
	return dir
}
