package plan

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
)

// The lists select what the sessions send, and remove what they would remove.
func TestListsSelectWhatSessionsSend(t *testing.T) {
	dir := datadir(t, "ibdata2", "undo001", "aria_log_control", "notes", ".ssh/id", ".hidden/t.ibd", "db1/t.ibd", "db1/sub/u.ibd", "db2/",
		"lost+found/x", "tmp/#sql1.ibd", "db1/keys/node.key", "big -> DIR/../disk2/big", "backup -> DIR/../backup", "b*d/t.ibd", "innodb/ib_logfile0", "innodb/ib_logfile1")
	grow(t, filepath.Dir(dir), "disk2/big/t.ibd", "disk2/big/sub/u.ibd", "backup/dump.sql")
	p := Places{Datadir: dir, RedoDir: filepath.Join(dir, "innodb"), Binlogs: true, NotData: []NotData{
		{Key: "tmpdir", Path: filepath.Join(dir, "tmp")}, {Key: "tkey", Path: filepath.Join(dir, "db1/keys/node.key")}}}
	plan := makePlan(t, p, nil)

	lists := *plan
	lists.Sessions = plan.Lists
	want, got := sent(t, plan), map[string]bool{}
	for _, name := range sent(t, &lists) {
		got[name] = true
	}
	// sent does not follow links: what is below them is listed as its own session would.
	for name, target := range plan.Lists[0].Follow {
		got[":"+name+"/"] = true
		for below, isDir := range listed(t, Session{Dir: target, Recursive: true}) {
			if below = ":" + name + "/" + below; isDir {
				below += "/"
			}
			got[below] = true
		}
	}
	if !slices.Contains(want, ":big/") {
		want = append(want, ":big/") // its session has it as its root
	}
	expect(t, "the lists", slices.Sorted(maps.Keys(got)), want)

	joiner := t.TempDir()
	grow(t, joiner, "db1/t.ibd", "db1/stale.ibd", "db1/keys/own.key", "stale/t.ibd", "notes", "mine", ".cache/x", "tmp/x", "lost+found/y", "undo003", "wsrep_sst_binlog.tar",
		"innodb/ib_logfile9", "innodb/other", "b*d/stale.ibd", "bad/t.ibd", "backup/x")
	removes := deleted(t, plan, joiner)
	expect(t, "what goes at the joiner", deleted(t, &lists, joiner), removes)
	for _, name := range []string{"stale", "bad", "db1/stale.ibd", "b*d/stale.ibd"} {
		if !slices.Contains(removes, name) {
			t.Errorf("%s stays", name)
		}
	}
}

func TestNoListsWhereTheJoinerLacksAModule(t *testing.T) {
	if plan := makePlan(t, Places{Datadir: datadir(t, "db/t.ibd")}, tunnelScript); plan.Lists != nil {
		t.Errorf("got %v", plan.Lists)
	}
}
