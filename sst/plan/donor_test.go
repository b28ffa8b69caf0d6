package plan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTotalsCountBlocksAndLengths(t *testing.T) {
	dir := datadir(t, "db/t.ibd", "db/sub/u.ibd", "big/t.ibd", "notes")
	if err := os.Truncate(filepath.Join(dir, "db/t.ibd"), 10<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "big/t.ibd"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := makePlan(t, Places{Datadir: dir}, nil)
	if plan.Total.Files != 5 || plan.Total.Size < 11<<20 || plan.Total.Size > 11<<20+1000 || plan.Total.Allocated < 1<<20 || plan.Total.Allocated > 2<<20 {
		t.Errorf("%+v: holes take no room", plan.Total)
	}
	var sum Total
	for _, s := range plan.Sessions {
		sum.add(s.Total)
	}
	if sum != plan.Total {
		t.Errorf("the sessions have %+v together, the plan %+v", sum, plan.Total)
	}
	needs := plan.Needs()
	if needs[""] < 1<<20 || needs["-data_dir"] == 0 || needs["-log_dir"] == 0 || needs[""]+needs["-data_dir"]+needs["-log_dir"] != plan.Total.Allocated {
		t.Errorf("needs %v", needs)
	}
}

func TestTheLargestDatabaseIsSentFirst(t *testing.T) {
	dir := datadir(t, "a/t.ibd", "b/t.ibd", "c/t.ibd")
	if err := os.WriteFile(filepath.Join(dir, "b/t.ibd"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, s := range makePlan(t, Places{Datadir: dir}, nil).Sessions {
		paths = append(paths, s.Module[len(base):]+s.Path)
	}
	if got := strings.Join(paths, " "); got != " -data_dir -log_dir -undo_dir -aria_log ./b/ ./a/ ./c/" {
		t.Errorf("order: %q", got)
	}
}

func TestRefusalsNameSomeAndCountTheRest(t *testing.T) {
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("db/t%02d.isl", i))
	}
	text := refused(t, Places{Datadir: datadir(t, names...)}, nil)
	if strings.Count(text, "t0") < 5 || !strings.Contains(text, "and 7 more") {
		t.Errorf("%q", text)
	}
}

func TestAPlanCanBeCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := Donor(ctx, Places{Datadir: datadir(t, "db/t.ibd")}, base, nil); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestNoDatadirNoPlan(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := Donor(t.Context(), Places{Datadir: absent}, base, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("donor: %v", err)
	}
	if _, err := Joiner(Places{Datadir: absent}, base, "m"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("joiner: %v", err)
	}
}

// asNobody runs f without the power of root to open everything. f must stay in its
// goroutine.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

func open(t *testing.T, dir string) {
	t.Helper()
	for d := dir; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFilesThatMayNotBeReadAreNamedBeforeTheLock(t *testing.T) {
	dir := datadir(t, "db/t.ibd", "db/secret.ibd", "db/closed/t.ibd")
	open(t, filepath.Join(dir, "db"))
	for name, mode := range map[string]os.FileMode{"ibdata1": 0o644, "ib_logfile0": 0o644, "db/t.ibd": 0o644, "db/secret.ibd": 0, "db/closed": 0} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "db/closed"), 0o700) })
	var err error
	asNobody(t, func() { _, err = Donor(context.Background(), Places{Datadir: dir}, base, nil) })
	if err == nil || !strings.Contains(err.Error(), "db/secret.ibd") || !strings.Contains(err.Error(), "db/closed") || strings.Contains(err.Error(), "db/t.ibd") {
		t.Errorf("got %v", err)
	}
}

func TestAJoinerThatMayNotWriteSaysSo(t *testing.T) {
	p, top := elsewhere(t, "data", "logs", "data", "data")
	open(t, p.Datadir)
	if err := os.Chmod(p.Datadir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(top, "logs"), 0o555); err != nil {
		t.Fatal(err)
	}
	var err error
	asNobody(t, func() { _, err = Joiner(p, base, "m") })
	if err == nil || !strings.Contains(err.Error(), filepath.Join(top, "logs")) || !errors.Is(err, unix.EACCES) {
		t.Errorf("got %v", err)
	}
}

func TestAJoinerMakesWhatIsConfiguredAndMissing(t *testing.T) {
	p, top := elsewhere(t, "data", "data", "data", "data")
	p.UndoDir, p.AriaDir = filepath.Join(top, "data/undo"), filepath.Join(top, "aria")
	p.BinlogDirs = []string{filepath.Join(top, "binlogs"), p.Datadir}
	r, err := Joiner(p, base, "m")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Missing, []string{p.UndoDir, p.AriaDir, p.BinlogDirs[0]}) {
		t.Errorf("missing: %q", r.Missing)
	}
	if acceptedDir(t, r.Modules[0], "undo") {
		t.Error("the undo directory to be is not kept apart from databases")
	}
	p.UndoDir = filepath.Join(top, "data/db/t.ibd")
	if _, err := Joiner(p, base, "m"); err == nil || !strings.Contains(err.Error(), "innodb_undo_directory") {
		t.Errorf("a file where a directory should be: %v", err)
	}
	p.UndoDir, p.BinlogDirs = "", []string{filepath.Join(top, "data/db/t.ibd/binlogs")}
	if _, err := Joiner(p, base, "m"); err == nil || !strings.Contains(err.Error(), "log_bin") {
		t.Errorf("a file above where a directory should be: %v", err)
	}
}

func TestModulesOfAJoiner(t *testing.T) {
	p, top := elsewhere(t, "home", "logs", "undo", "aria")
	r, err := Joiner(p, base, "m")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, m := range r.Modules {
		got += m.Name + "=" + strings.TrimPrefix(m.Dir, top) + " "
	}
	if want := "rsync_tunnel_sst=/data rsync_tunnel_sst-data_dir=/home rsync_tunnel_sst-log_dir=/logs rsync_tunnel_sst-undo_dir=/undo rsync_tunnel_sst-aria_log=/aria "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	// A script sends the system and undo table spaces by the main module wherever this
	// node keeps them, and the joiner puts them there. Logs that come this way are of
	// no version of the scripts: who sends them is told so.
	for name, want := range map[string]bool{"ibdata1": true, "undo001": true, "ib_logfile0": false, "aria_log_control": false} {
		if accepted(t, r.Modules[0], name) != want {
			t.Errorf("the main module takes %s: %v", name, !want)
		}
	}
}
