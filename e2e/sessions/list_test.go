package sessions

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

// A list session is an ordinary run with --max-size=0: it removes and makes what it must, and sends no data. After it
// every file with content is as it was, whichever program is at which end. One thing ours does differently: what
// stands where a file belongs and is none goes.
func TestAListSessionLeavesWhatTwoRsyncsLeave(t *testing.T) {
	peers.Need(t, "rsync")
	from, stale := layout{folder(t), true}, layout{folder(t), true}
	donor(t, from)
	joiner(t, stale)
	var lists []run
	for _, r := range stockScript(t, from) {
		if r.file == "" {
			r.list, r.name = true, "list of "+r.name
			lists = append(lists, r)
		}
	}
	v := variant{protocol: 32, whole: true}
	want := play(t, from, stale, lists, v, byRsync, rsyncDaemon)
	last := want[len(want)-1]
	for _, gone := range []string{"data/olddb", "data/db1/gone", "data/many/stale.frm"} {
		if _, there := last[gone]; there {
			t.Errorf("two rsyncs left %s", gone)
		}
	}
	before, err := tree.Read(stale.root, tree.Options{Unmunge: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, node := range last {
		if old, there := before[name]; node.Mode&unix.S_IFMT == unix.S_IFREG && node.Size > 0 && (!there || old.Sum != node.Sum) {
			t.Errorf("two rsyncs sent the data of %s", name)
		}
	}
	sent, err := tree.Read(from.root, tree.Options{})
	if err != nil {
		t.Fatal(err)
	}
	inTheWay := func(name string) bool {
		for ; name != "."; name = filepath.Dir(name) {
			if sent[name].Mode&unix.S_IFMT == unix.S_IFREG && before[name].Mode != 0 && before[name].Mode&unix.S_IFMT != unix.S_IFREG {
				return true
			}
		}
		return false
	}
	for name, role := range map[string]struct {
		sender sender
		daemon daemon
	}{
		"we send, rsync receives":  {byUs, rsyncDaemon},
		"rsync sends, we receive":  {byRsync, ourDaemon},
		"we send and receive both": {byUs, ourDaemon},
	} {
		t.Run(name, func(t *testing.T) {
			got := play(t, from, stale, lists, v, role.sender, role.daemon)
			for i, r := range lists {
				for name := range want[i] {
					if _, there := got[i][name]; !there && inTheWay(name) {
						got[i][name] = want[i][name]
					}
				}
				if d := tree.Diff(got[i], want[i]); len(d) > 0 {
					t.Fatalf("after the %s the destination differs from that of two rsyncs:\n%s", r.name, strings.Join(d, "\n"))
				}
			}
		})
	}
}
