package sst

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// openTestDatadir opens directories as the places of a joiner; "" stands for the
// data directory.
func openTestDatadir(t *testing.T, p plan.Places) *datadir {
	t.Helper()
	d, err := openDatadir(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.close)
	return d
}

// oneByOne lets a test see, or refuse, each move.
func oneByOne(do func(move) error) func([]move) error {
	return func(list []move) error {
		for _, m := range list {
			if err := do(m); err != nil {
				return err
			}
		}
		return nil
	}
}

// member fills a directory with what a node that was in the cluster has.
func member(t *testing.T, dir string) {
	t.Helper()
	for _, name := range []string{"ibdata1", "ibdata2", "ib_logfile0", "undo001", "undo002", "ib_buffer_pool", "ibtmp1",
		"tc.log", "ddl_recovery.log", grastateFile, "aria_log_control", "db1/t.ibd", "db1/ibdata1", "undo_db/t.ibd"} {
		write(t, dir, name, "old "+name)
	}
}

func TestSetAsideLeavesNoInnoDB(t *testing.T) {
	dir := t.TempDir()
	member(t, dir)
	d := openTestDatadir(t, plan.Places{Datadir: dir})
	var order []string
	d.disk.move = oneByOne(func(m move) error {
		order = append(order, m.from)
		return moveAll([]move{m})
	})
	if err := d.setAside(func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	want := []string{
		".wsrep_sst_old.ddl_recovery.log", ".wsrep_sst_old.ib_buffer_pool", ".wsrep_sst_old.ib_logfile0", ".wsrep_sst_old.ibdata1",
		".wsrep_sst_old.ibdata2", ".wsrep_sst_old.ibtmp1", ".wsrep_sst_old.tc.log", ".wsrep_sst_old.undo001", ".wsrep_sst_old.undo002",
		"aria_log_control", "db1/", "db1/ibdata1", "db1/t.ibd", grastateFile, "undo_db/", "undo_db/t.ibd",
	}
	if diff := cmp.Diff(want, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if order[0] != "ibdata1" {
		t.Errorf("%s was the first to go: a mixture could start", order[0])
	}
	if d.state != saysIncomplete {
		t.Errorf("it says %q", d.state)
	}
}

func TestSetAsideKeepsTheFilesOfTheFirstAttempt(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, oldPrefix+"ibdata1", "of the first attempt")
	write(t, dir, newPrefix+"ibdata1", "half of the new one")
	write(t, dir, "ibdata1", "fresh and empty, by mariadbd's recovery")
	write(t, dir, "undo001", "fresh and empty")
	write(t, dir, "ib_logfile0", "fresh and empty")
	d := openTestDatadir(t, plan.Places{Datadir: dir})
	if err := d.setAside(func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{newPrefix + "ibdata1", oldPrefix + "ibdata1"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, oldPrefix+"ibdata1")); string(b) != "of the first attempt" {
		t.Errorf("the old one is now %q", b)
	}
}

func TestFinishGivesTheNames(t *testing.T) {
	data, logs, undo := t.TempDir(), t.TempDir(), t.TempDir()
	member(t, data)
	write(t, logs, "ib_logfile0", "old")
	write(t, undo, "undo001", "old")
	d := openTestDatadir(t, plan.Places{Datadir: data, RedoDir: logs, UndoDir: undo})
	if err := d.setAside(func(s string) { t.Log(s) }); err != nil {
		t.Fatal(err)
	}
	write(t, data, newPrefix+"ibdata1", "new")
	write(t, data, newPrefix+"ibdata2", "new")
	write(t, logs, newPrefix+"ib_logfile0", "new")
	write(t, undo, newPrefix+"undo001", "new")
	write(t, undo, newPrefix+"stranger", "not of the plan: no session can have made it")

	var acts []string
	d.disk = disk{
		move: oneByOne(func(m move) error {
			if m.from == "" {
				acts = append(acts, "sync names")
			} else {
				acts = append(acts, "name "+m.to)
			}
			return moveAll([]move{m})
		}),
		remove:  (*os.Root).Remove,
		syncAll: func(root *os.Root) error { acts = append(acts, "sync all"); return nil },
	}
	if err := d.finish(t.Context(), nil, func(s string) { t.Error(s) }); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"sync all", // one file system in this test
		"name undo001", "name ib_logfile0", "name ibdata2", "name ibdata1", "sync names", "sync names", "sync names",
		"sync names", "sync names", "sync names", // after the old ones are gone
	}
	if diff := cmp.Diff(want, acts); diff != "" {
		t.Error(diff)
	}
	for dir, want := range map[string][]string{
		data: {"aria_log_control", "db1/", "db1/ibdata1", "db1/t.ibd", grastateFile,
			"ib_logfile0", // not where the redo log is: nobody looks at it
			"ibdata1", "ibdata2", "undo001", "undo002", "undo_db/", "undo_db/t.ibd"},
		logs: {"ib_logfile0"},
		undo: {newPrefix + "stranger", "undo001"},
	} {
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(data, "ibdata1")); string(b) != "new" {
		t.Errorf("ibdata1 is %q", b)
	}
	if d.state != saysComplete {
		t.Errorf("it says %q", d.state)
	}
}

func TestFinishRefusesHalfAnInnoDB(t *testing.T) {
	for name, arrived := range map[string][]string{
		"nothing at all":         nil,
		"no redo log":            {"ibdata1"},
		"no system table space":  {"ib_logfile0", "undo001"},
		"one under another name": {"ib_logfile0", "ibdata1.bak"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d := openTestDatadir(t, plan.Places{Datadir: dir})
			if err := d.setAside(func(string) {}); err != nil {
				t.Fatal(err)
			}
			for _, f := range arrived {
				write(t, dir, newPrefix+f, "new")
			}
			err := d.finish(t.Context(), nil, func(s string) { t.Error(s) })
			if err == nil || report.Hint(err) == "" || d.state != saysIncomplete {
				t.Errorf("%q, %v, hint %q", d.state, err, report.Hint(err))
			}
			if left := names(t, dir); len(left) != len(arrived) {
				t.Errorf("left %q", left)
			}
		})
	}
}

func TestFinishGivesNoNameWhenMariadbdIsGone(t *testing.T) {
	dir := t.TempDir()
	d := openTestDatadir(t, plan.Places{Datadir: dir})
	if err := d.setAside(func(string) {}); err != nil {
		t.Fatal(err)
	}
	arrived := []string{newPrefix + "ib_logfile0", newPrefix + "ibdata1"}
	for _, f := range arrived {
		write(t, dir, f, "new")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	d.disk.syncAll = func(*os.Root) error { cancel(errServerGone); return nil } // which may take long
	if err := d.finish(ctx, nil, func(s string) { t.Error(s) }); !errors.Is(err, errServerGone) || d.state != saysIncomplete {
		t.Errorf("%v, %s", err, d.state)
	}
	if diff := cmp.Diff(arrived, names(t, dir)); diff != "" {
		t.Error(diff)
	}
}

// Two file systems do not keep the order of what is renamed on both.
func TestNamesOfSeveralFileSystemsAreOnTheirDisksBeforeTheLast(t *testing.T) {
	data, logs := t.TempDir(), t.TempDir()
	d := openTestDatadir(t, plan.Places{Datadir: data, RedoDir: logs})
	write(t, data, newPrefix+"ibdata1", "new")
	write(t, logs, newPrefix+"ib_logfile0", "new")
	for i := range d.places {
		if d.places[i].dir == logs {
			d.places[i].dev++
		}
	}
	var acts []string
	d.disk.syncAll = func(*os.Root) error { return nil }
	d.disk.move = oneByOne(func(m move) error {
		acts = append(acts, m.to)
		return moveAll([]move{m})
	})
	if err := d.finish(t.Context(), nil, func(s string) { t.Error(s) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ib_logfile0", "", "", "ibdata1", "", ""}, acts); diff != "" {
		t.Error(diff)
	}
}

// Whatever fails on the way, mariadbd must find no ibdata1 before everything else
// is in its place and on the disk, and the next attempt must be able to go on.
func TestFinishFailingAtEachStep(t *testing.T) {
	for step := range 7 {
		dir := t.TempDir()
		member(t, dir)
		d := openTestDatadir(t, plan.Places{Datadir: dir})
		if err := d.setAside(func(string) {}); err != nil {
			t.Fatal(err)
		}
		fill := func() {
			for _, f := range []string{"ibdata1", "ib_logfile0", "undo001"} {
				write(t, dir, newPrefix+f, "new")
			}
		}
		fill()
		count := 0
		fault := func() error {
			if count++; count == step+1 {
				return unix.EIO
			}
			return nil
		}
		real := d.disk
		d.disk.move = oneByOne(func(m move) error {
			if err := fault(); err != nil {
				return err
			}
			return moveAll([]move{m})
		})
		d.disk.syncAll = func(*os.Root) error { return fault() }
		err := d.finish(t.Context(), nil, func(s string) { t.Log(s) })
		_, statErr := os.Stat(filepath.Join(dir, "ibdata1"))
		has := statErr == nil
		switch {
		case step < 4 && (err == nil || has || d.state != saysIncomplete):
			t.Errorf("step %d: %v, ibdata1 there: %t, %s", step, err, has, d.state)
		case step == 4 && (err == nil || !has || d.state != saysIncomplete): // the last sync
			t.Errorf("step %d: %v, ibdata1 there: %t, %s", step, err, has, d.state)
		case step > 4 && (err != nil || !has || d.state != saysComplete): // only leftovers
			t.Errorf("step %d: %v, ibdata1 there: %t, %s", step, err, has, d.state)
		}
		if err != nil && !errors.Is(err, unix.EIO) {
			t.Errorf("step %d: the cause is lost: %v", step, err)
		}
		// The next attempt.
		d.disk = real
		if err := d.setAside(func(string) {}); err != nil {
			t.Fatal(err)
		}
		fill()
		if err := d.finish(t.Context(), nil, func(s string) { t.Error(s) }); err != nil {
			t.Fatal(err)
		}
		want := []string{"aria_log_control", "db1/", "db1/ibdata1", "db1/t.ibd", grastateFile, "ib_logfile0", "ibdata1", "undo001",
			"undo_db/", "undo_db/t.ibd"}
		if diff := cmp.Diff(want, names(t, dir)); diff != "" {
			t.Errorf("step %d: %s", step, diff)
		}
	}
}

func TestSpaceIsCountedPerFileSystem(t *testing.T) {
	const have = 1 << 20
	content := strings.Repeat("x", have)
	for _, c := range []struct {
		name string
		free int64
		need map[string]int64
		fits bool
	}{
		{"enough is free", 10 << 20, map[string]int64{"": 9 << 20}, true},
		{"enough with what is written over", 8 << 20, map[string]int64{"": 9 << 20}, true},
		{"not enough even so", 7 << 20, map[string]int64{"": 9 << 20}, false},
		{"places of one file system add up", 8 << 20, map[string]int64{"": 5 << 20, "-log_dir": 5 << 20}, false},
		{"unknown places do not count", 1 << 20, map[string]int64{"": 1 << 20, "other": 1 << 40}, true},
		{"nothing comes", 0, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, logs := t.TempDir(), t.TempDir()
			write(t, dir, "db1/t.ibd", content)
			write(t, dir, "ibdata1", content) // set aside: no room to win
			write(t, logs, "ib_logfile0", content)
			d := openTestDatadir(t, plan.Places{Datadir: dir, RedoDir: logs})
			d.disk.space = func(*os.Root) (int64, error) { return c.free, nil }
			err := d.fits(t.Context(), c.need, 0, func(s string) { t.Error(s) })
			if (err == nil) != c.fits {
				t.Errorf("got %v", err)
			}
			if err != nil && (!errors.As(err, new(shortage)) || report.Hint(err) == "") {
				t.Errorf("in words: %v, hint %q", err, report.Hint(err))
			}
		})
	}
}

func TestSpaceCountsWhatAnEarlierAttemptReceived(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, newPrefix+"ibdata1", strings.Repeat("x", 1<<20))
	d := openTestDatadir(t, plan.Places{Datadir: dir})
	d.disk.space = func(*os.Root) (int64, error) { return 5 << 20, nil }
	if err := d.fits(t.Context(), map[string]int64{"": 6 << 20}, 0, func(s string) { t.Error(s) }); err != nil {
		t.Error(err)
	}
	if got, err := d.free(); err != nil || got != 5<<20 {
		t.Errorf("free: %d, %v", got, err)
	}
	d.disk = realDisk()
	if got, err := d.free(); err != nil || got < 1<<20 {
		t.Errorf("really: %d, %v", got, err)
	}
}

// The donor's hello has a limit, and a walk over millions of files may not fit it.
func TestSpaceThatTakesTooLongToCountIsNoRefusal(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "db1/t.ibd", "x")
	d := openTestDatadir(t, plan.Places{Datadir: dir})
	synctest.Test(t, func(t *testing.T) {
		d.disk.space = func(*os.Root) (int64, error) {
			time.Sleep(countLimit + time.Second) // in place of a slow walk
			return 1, nil
		}
		warned := 0
		if err := d.fits(t.Context(), map[string]int64{"": 1 << 40}, 0, func(string) { warned++ }); err != nil || warned != 1 {
			t.Errorf("%v, %d warnings", err, warned)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errServerGone)
		if err := d.fits(ctx, map[string]int64{"": 1 << 40}, 0, func(string) {}); !errors.Is(err, errServerGone) {
			t.Errorf("after the end of mariadbd: %v", err)
		}
	})
}
