package sessions

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/delta"
)

// A combination is one cell of the matrix: all runs of a script against one rsync.
type combination struct {
	variant
	script  string
	receive bool // we are the daemon, else the client
}

func (c combination) String() string {
	role := "we push to rsync"
	if c.receive {
		role = "we receive from rsync"
	}
	how := c.sum
	if c.choose {
		how += " by option"
	}
	return fmt.Sprintf("%s %s (%s), %s script, %s, %s", role, c.rsync.version, c.rsync.name, c.script, c.variant, how)
}

// combinations are all that make sense against some rsyncs, and the same as numbers for pairwise.
func combinations(list []rsync) (all []combination, settings [][]int) {
	known := append(delta.Canonical(), "none")
	for i := range list {
		r := &list[i]
		for role, receive := range []bool{false, true} {
			for s, script := range []string{"tunnel", "stock"} {
				for w, whole := range []bool{true, false} {
					for protocol := 30; protocol <= 32; protocol++ {
						if receive && protocol > r.protocol {
							continue // a client cannot be made to ask for more than it knows
						}
						for _, m := range sums(r, receive) {
							if m.sum == "none" && !whole {
								continue // without digests there are no blocks
							}
							v := variant{protocol: protocol, whole: whole, matrix: m}
							how := 0
							if m.choose {
								how = 1
							}
							all = append(all, combination{v, script, receive})
							settings = append(settings, []int{i, role, s, w, protocol, slices.Index(known, m.sum), how})
						}
					}
				}
			}
		}
	}
	return all, settings
}

// sums are the checksums that an rsync and we have in common. A client can also name one in an option, which skips the
// negotiation; "none" is to be had in that way only.
func sums(r *rsync, receive bool) []matrix {
	var out []matrix
	for _, name := range delta.Canonical() {
		if slices.Contains(r.sums, name) {
			out = append(out, matrix{r, name, false})
		}
	}
	if receive {
		for _, m := range slices.Clone(out) {
			out = append(out, matrix{r, m.sum, true})
		}
		out = append(out, matrix{r, "none", true})
	}
	return out
}

// TestMatrixOfRsyncs plays both scripts against every rsync that is there: in the short run each pair of settings
// meets, in the long run (E2E_LONG=1) everything meets everything.
func TestMatrixOfRsyncs(t *testing.T) {
	list := rsyncs(t)
	if len(list) > 1 {
		list = slices.DeleteFunc(list, func(r rsync) bool { return r.name == "installed" && among(r, list) })
	}
	all, settings := combinations(list)
	possible := len(all)
	if os.Getenv("E2E_LONG") == "" {
		var few []combination
		for _, c := range pairwise(settings) {
			few = append(few, all[slices.IndexFunc(settings, func(s []int) bool { return slices.Equal(s, c) })])
		}
		all = few
	}
	m := newYardsticks(t)
	began := time.Now()
	var ran, sessions atomic.Int64
	t.Run("combinations", func(t *testing.T) {
		for _, c := range all {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				want, from, stale, runs := m.want(t, c)
				var got []tree.Tree
				if c.receive {
					got = play(t, from, stale, runs, c.variant, byRsync, func(t *testing.T, l layout) string { return ourDaemonFor(t, l, c.variant) })
				} else {
					got = play(t, from, stale, runs, c.variant, byUs, func(t *testing.T, l layout) string { return serveBy(t, c.rsync.program, l) })
				}
				for i, r := range runs {
					if d := tree.Diff(got[i], want[i]); len(d) > 0 {
						t.Fatalf("after run %s the destination differs from that of two rsyncs:\n%s", r.name, strings.Join(d, "\n"))
					}
				}
				ran.Add(1)
				sessions.Add(int64(len(runs)))
			})
		}
	})
	for _, r := range list {
		t.Logf("rsync %s (%s): protocol %d, checksums %s", r.version, r.name, r.protocol, strings.Join(r.sums, " "))
	}
	t.Logf("%d of %d combinations ran, %d sessions, in %.0f s", ran.Load(), possible, sessions.Load(), time.Since(began).Seconds())
}

// among says whether an rsync is one of the others, too: the installed one is mostly that of a release.
func among(r rsync, list []rsync) bool {
	return slices.ContainsFunc(list, func(o rsync) bool {
		return o.name != r.name && strings.HasPrefix(o.version, r.version) && o.protocol == r.protocol && slices.Equal(o.sums, r.sums)
	})
}

// yardsticks are what two rsyncs of a kind leave, each made once.
type yardsticks struct {
	stages map[string]*stage
	mu     sync.Mutex
	made   map[string]func() []tree.Tree
}

// stage is what a script is played on: never changed, only copied.
type stage struct {
	from, stale layout
	runs        []run
}

func newYardsticks(t *testing.T) *yardsticks {
	t.Helper()
	y := &yardsticks{stages: map[string]*stage{}, made: map[string]func() []tree.Tree{}}
	for _, s := range []struct {
		name  string
		runs  func(*testing.T, layout) []run
		apart bool
	}{{"tunnel", tunnelScript, false}, {"stock", stockScript, true}} {
		from, stale := layout{folder(t), s.apart}, layout{folder(t), s.apart}
		donor(t, from)
		joiner(t, stale)
		y.stages[s.name] = &stage{from, stale, s.runs(t, from)}
	}
	return y
}

// want is the state after each run, if both ends were rsync c.rsync. The checksum makes no difference to that.
func (y *yardsticks) want(t *testing.T, c combination) (states []tree.Tree, from, stale layout, runs []run) {
	t.Helper()
	s := y.stages[c.script]
	v := c.variant
	v.sum, v.choose = "", false
	key := fmt.Sprint(c.script, c.rsync.name, v)
	y.mu.Lock()
	if y.made[key] == nil {
		y.made[key] = sync.OnceValue(func() []tree.Tree {
			states := play(t, s.from, s.stale, s.runs, v, byRsync, func(t *testing.T, l layout) string { return serveBy(t, c.rsync.program, l) })
			useful(t, s.from, s.runs, states)
			return states
		})
	}
	made := y.made[key]
	y.mu.Unlock()
	states = made()
	if states == nil {
		t.Fatal("two rsyncs failed in another test")
	}
	return states, s.from, s.stale, s.runs
}

// ourDaemonFor is ourDaemon that knows what the sessions have to be.
func ourDaemonFor(t *testing.T, l layout, v variant) string {
	t.Helper()
	return serve(t, l, transfer.StoreOptions{}, v)
}

func TestAChecksumThatWeDoNotHaveIsRefusedInWords(t *testing.T) {
	for _, r := range rsyncs(t) {
		for _, choose := range []bool{true, false} {
			t.Run(fmt.Sprintf("rsync %s (%s), by option: %v", r.version, r.name, choose), func(t *testing.T) {
				from, to := layout{root: folder(t)}, layout{root: folder(t)}
				maker{t, from.dir(data)}.file("db1/t.ibd", 10, 0o600, "")
				maker{t, to.dir(data)}.dir(".", 0o700)
				v := variant{protocol: 31, whole: true, matrix: matrix{&r, "md4", choose}}
				refusals := make(chan error, 1)
				err := byRsync(t, from, run{name: "T3", from: data, below: "db1", module: "rsync_tunnel_sst", recursive: true}, v, refuse(t, to, refusals))
				if err == nil {
					t.Fatal("rsync was served with MD4")
				}
				if said := (<-refusals).Error(); !strings.Contains(said, "md4") {
					t.Errorf("we said %q, which does not name the checksum", said)
				}
			})
		}
	}
}

// refuse serves one connection and gives the error it ends with.
func refuse(t *testing.T, l layout, errs chan<- error) (address string) {
	t.Helper()
	root, err := os.OpenRoot(l.dir(data))
	if err != nil {
		t.Fatal(err)
	}
	store, err := transfer.NewDirStore(root, transfer.StoreOptions{})
	root.Close()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer store.Close()
		conn, err := listener.Accept()
		if err != nil {
			return // closed below
		}
		defer conn.Close()
		d := &transfer.Daemon{Modules: []transfer.Module{{Name: "rsync_tunnel_sst", Store: store}}, Timeout: limit}
		_, err = d.Serve(context.Background(), conn)
		errs <- err
	})
	t.Cleanup(func() {
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String()
}
