package plan

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elsewhere makes a server that keeps every kind in a directory of its own, given
// below the parent of its data directory.
func elsewhere(t *testing.T, home, logs, undo, aria string, more ...string) (Places, string) {
	t.Helper()
	top := t.TempDir()
	grow(t, top, append([]string{"data/db/t.ibd", home + "/ibdata1", logs + "/ib_logfile0", undo + "/undo001", aria + "/aria_log_control"}, more...)...)
	in := func(dir string) string { return filepath.Join(top, dir) }
	return Places{Datadir: in("data"), InnoDBHome: in(home), RedoDir: in(logs), UndoDir: in(undo), AriaDir: in(aria)}, top
}

var eachByItsModule = []string{":db/", ":db/t.ibd", "-data_dir:ibdata1", "-log_dir:ib_logfile0", "-undo_dir:undo001", "-aria_log:aria_log_control"}

func TestPlacesElsewhere(t *testing.T) {
	for _, c := range []struct {
		name                   string
		home, logs, undo, aria string
		more                   []string
		protected              []string // directories of the data directory that a joiner's own are kept as
	}{
		{"all outside", "home", "logs", "undo", "aria", nil, nil},
		{"all in one directory outside", "inno", "inno", "inno", "inno", nil, nil},
		{"each inside the data directory", "data/home", "data/logs", "data/undo", "data/aria", nil, []string{"home", "logs", "undo", "aria"}},
		{"all below one directory inside, which is nobody's database", "data/innodb/home", "data/innodb/redo", "data/innodb/undo", "data/innodb/aria",
			[]string{"data/innodb/README"}, []string{"innodb"}},
		{"one inside another", "data/innodb", "data/innodb/redo", "data/innodb/redo/undo", "data/innodb", nil, []string{"innodb"}},
		{"around the data directory", ".", ".", ".", ".", nil, nil},
		{"with files of other kinds and directories beside", "home", "logs", "undo", "aria",
			[]string{"home/ib_logfile0", "home/undo001", "logs/ibdata1", "logs/ibdata7/x", "undo/undo9/x", "undo/notes", "aria/aria_log.d/x", "data/ibdata1", "data/ib_logfile0"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := elsewhere(t, c.home, c.logs, c.undo, c.aria, c.more...)
			plan := makePlan(t, p, nil)
			expect(t, "each kind by its module, once", sent(t, plan), eachByItsModule)
			for _, dir := range c.protected {
				joiner := t.TempDir()
				grow(t, joiner, dir+"/undo001", "stale/t.ibd")
				expect(t, "a joiner's directory of the same name stays", deleted(t, plan, joiner), []string{"stale"})
			}
			for _, s := range plan.Sessions {
				if strings.HasPrefix(s.Path, "./") && s.Path != "./db/" {
					t.Errorf("a root is sent as the database %s", s.Path)
				}
			}
		})
	}
}

func TestARootThatIsALinkInTheDatadir(t *testing.T) {
	top := t.TempDir()
	grow(t, top, "data/db/t.ibd", "data/ibdata1", "data/ib_logfile0", "data/aria_log_control", "data/undo -> ../fast", "fast/undo001")
	for _, spelling := range []string{"data/undo", "fast"} {
		p := Places{Datadir: filepath.Join(top, "data"), UndoDir: filepath.Join(top, spelling)}
		expect(t, "configured as "+spelling, sent(t, makePlan(t, p, nil)), eachByItsModule)
		r, err := Joiner(p, base, "m")
		if err != nil || len(r.Links) > 0 {
			t.Errorf("the joiner takes it for a database: %q, %v", r.Links, err)
		}
	}
}

func TestAnEmptyRootBehindALinkIsNoDatabase(t *testing.T) {
	top := t.TempDir()
	grow(t, top, "data/undo -> ../fast", "fast/")
	r, err := Joiner(Places{Datadir: filepath.Join(top, "data"), UndoDir: filepath.Join(top, "data/undo")}, base, "m")
	if err != nil || len(r.Links) > 0 || len(r.Missing) > 0 {
		t.Errorf("links %q, missing %q, %v", r.Links, r.Missing, err)
	}
}

func TestADatadirBehindALink(t *testing.T) {
	p, top := elsewhere(t, "data", "data", "data/undo", "data", "var -> data")
	p.Datadir = filepath.Join(top, "var") // the undo directory is spelled by the real path
	expect(t, "the relation is seen through the link", sent(t, makePlan(t, p, nil)), eachByItsModule)
}

func TestARootThatIsADatabaseToo(t *testing.T) {
	p, _ := elsewhere(t, "data", "data", "data/db", "data")
	expect(t, "its tables are a database's, its undo files are not", sent(t, makePlan(t, p, nil)), eachByItsModule)
}

func TestTheTunnelScriptGetsAllByTwoModules(t *testing.T) {
	dir := datadir(t, "db/t.ibd", "undo001", "aria_log_control", "aria_log.00000001", "ib_lru_dump", BinlogArchive, "grastate.dat", "ib_buffer_pool")
	p := Places{Datadir: dir, Binlogs: true}
	plan := makePlan(t, p, tunnelScript)
	expect(t, "what it knows by its module, the rest by the main one", sent(t, plan), []string{
		":" + BinlogArchive, ":aria_log.00000001", ":aria_log_control", ":db/", ":db/t.ibd", ":ib_lru_dump", ":ibdata1", ":undo001", "-log_dir:ib_logfile0"})
	joiner := t.TempDir()
	grow(t, joiner, append([]string{"ibdata1", "ibdata2", "undo002", "aria_log.00000009", "ib_logfile1", "stale/t.ibd", "db/u.ibd", BinlogArchive}, untouchable...)...)
	expect(t, "and what is stale goes", deleted(t, plan, joiner), []string{"ibdata2", "undo002", "aria_log.00000009", "ib_logfile1", "stale", "db/u.ibd"})
	if plan.Sessions[0].Files != 5 {
		t.Errorf("the top level counts %d files", plan.Sessions[0].Files)
	}
}

func TestTheTunnelScriptsRedoLogMayBeElsewhere(t *testing.T) {
	p, _ := elsewhere(t, "data", "logs", "data", "data")
	expect(t, "by the module it has", sent(t, makePlan(t, p, tunnelScript)),
		[]string{":db/", ":db/t.ibd", ":ibdata1", "-log_dir:ib_logfile0", ":undo001", ":aria_log_control"})
}

func TestWhatThePeerCannotTakeIsRefused(t *testing.T) {
	for dir, key := range map[string]string{"home": "innodb_data_home_dir", "undo": "innodb_undo_directory", "aria": "aria_log_dir_path"} {
		at := map[string]string{"home": "data", "undo": "data", "aria": "data"}
		at[dir] = dir
		p, top := elsewhere(t, at["home"], "data", at["undo"], at["aria"])
		text := refused(t, p, tunnelScript)
		if !strings.Contains(text, key) || !strings.Contains(text, filepath.Join(top, dir)) {
			t.Errorf("%s: %q", dir, text)
		}
	}
	p, _ := elsewhere(t, "data", "data", "data", "data")
	if text := refused(t, p, []string{"rsync_sst", "rsync_sst-log_dir"}); !strings.Contains(text, base) {
		t.Errorf("another method's modules: %q", text)
	}
}

func TestFilesWithoutWhichThereIsNoInnoDB(t *testing.T) {
	p, top := elsewhere(t, "data", "data", "data", "data")
	p.RedoDir = filepath.Join(top, "other")
	grow(t, top, "other/")
	if text := refused(t, p, nil); !strings.Contains(text, "ib_logfile0") {
		t.Errorf("no redo log where the configuration says: %q", text)
	}
	p.RedoDir, p.InnoDBHome = "", p.RedoDir
	if text := refused(t, p, nil); !strings.Contains(text, "ibdata1") {
		t.Errorf("no system table space there: %q", text)
	}
	p.InnoDBHome = filepath.Join(top, "absent")
	if _, err := Donor(t.Context(), p, base, nil); err == nil || !strings.Contains(err.Error(), "innodb_data_home_dir") {
		t.Errorf("no such directory: %v", err)
	}
}

func TestSystemTableSpacesOfOtherNames(t *testing.T) {
	dir := datadir(t, "system.1", "s*pace", "db/t.ibd")
	p := Places{Datadir: dir, SystemFiles: []string{dir + "/ibdata1", dir + "/system.1", dir + "/s*pace"}}
	plan := makePlan(t, p, nil)
	expect(t, "are sent as the standard ones", sent(t, plan), []string{
		":db/", ":db/t.ibd", "-data_dir:ibdata1", "-data_dir:system.1", "-data_dir:s*pace", "-log_dir:ib_logfile0"})
	if plan.Total.Files != 5 {
		t.Errorf("%d files counted", plan.Total.Files)
	}
	r, err := Joiner(p, base, "m")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Modules, func(m Module) bool { return m.Root == HomeDir })
	for _, name := range []string{"ibdata1", "system.1", "s*pace"} {
		if !p.Swapped(dir, name) || !accepted(t, r.Modules[i], name) {
			t.Errorf("%s: swapped %v, accepted %v", name, p.Swapped(dir, name), accepted(t, r.Modules[i], name))
		}
	}
	if accepted(t, r.Modules[i], "system.2") || accepted(t, r.Modules[i], "some space") {
		t.Error("the home takes what it does not know")
	}
}

func TestKindsBelongToTheirRoots(t *testing.T) {
	p, top := elsewhere(t, "home", "logs", "data", "data")
	for _, c := range []struct {
		dir, name string
		want      Kind
	}{
		{"home", "ibdata1", System}, {"data", "ibdata1", Other}, {"logs", "ibdata1", Other},
		{"logs", "ib_logfile0", Redo}, {"data", "ib_logfile0", Other},
		{"data", "undo001", Undo}, {"home", "undo001", Other}, {"data", "aria_log.00000001", Aria},
		{"data", "tc.log", Stale}, {"home", "ibtmp1", Stale}, {"data", BinlogArchive, BinlogTar}, {"data", "grastate.dat", Other},
	} {
		if got := p.In(filepath.Join(top, c.dir), c.name); got != c.want {
			t.Errorf("%s in %s is %d, want %d", c.name, c.dir, got, c.want)
		}
	}
}
