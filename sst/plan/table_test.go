package plan

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// One test per row of DESIGN.md's table ("The plan: every kind of file"). What the
// rows say about the lock, holes in the middle of files and owners is the engine's.

func TestRowInnoDBTables(t *testing.T) {
	dir := datadir(t, "db1/t.ibd", "db1/t#P#p0.ibd", "db1/FTS_0000000000000419_BEING_DELETED.ibd", "db1/t.cfg", "db@002d1/a b.ibd", "mysql/gtid_slave_pos.ibd")
	expect(t, "everything in databases goes by the main module", sent(t, makePlan(t, Places{Datadir: dir}, nil)), []string{
		":db1/", ":db1/t.ibd", ":db1/t#P#p0.ibd", ":db1/FTS_0000000000000419_BEING_DELETED.ibd", ":db1/t.cfg",
		":db@002d1/", ":db@002d1/a b.ibd", ":mysql/", ":mysql/gtid_slave_pos.ibd", "-data_dir:ibdata1", "-log_dir:ib_logfile0"})
}

func TestRowSystemUndoRedo(t *testing.T) {
	names := []string{"ibdata2", "ibdata10", "undo001", "undo127", "undo_001", "ib_logfile1", "ib_logfile101"}
	dir := datadir(t, names...)
	p := Places{Datadir: dir}
	expect(t, "each goes by the module of its kind", sent(t, makePlan(t, p, nil)), []string{
		"-data_dir:ibdata1", "-data_dir:ibdata2", "-data_dir:ibdata10", "-undo_dir:undo001", "-undo_dir:undo127", "-undo_dir:undo_001",
		"-log_dir:ib_logfile0", "-log_dir:ib_logfile1", "-log_dir:ib_logfile101"})
	for _, name := range append(names, inno...) {
		if !p.Swapped(dir, name) {
			t.Errorf("%s is not renamed aside on the joiner", name)
		}
	}
	for _, name := range []string{"ibdata", "ibdatax", "ibdata1.bak", "ibdata1x", "undo", "undo.sql", "undo_", "undoing", "ib_logfile", "ib_logfile0.old", "xibdata1", "ibtmp1", "aria_log_control"} {
		if p.Swapped(dir, name) {
			t.Errorf("%s is renamed aside on the joiner, though no InnoDB opens it", name)
		}
	}
}

func TestRowAriaMyISAMAndTheRest(t *testing.T) {
	dir := datadir(t, "aria_log_control", "aria_log.00000001", "aria_log.00000002",
		"db/db.opt", "db/a.MAD", "db/a.MAI", "db/m.MYD", "db/m.MYI", "db/t.frm", "db/t.TRG", "db/t.TRN", "db/any.thing", "db/sub/deep")
	expect(t, "Aria's log by its module, the rest with the databases", sent(t, makePlan(t, Places{Datadir: dir}, nil)), []string{
		"-data_dir:ibdata1", "-log_dir:ib_logfile0", "-aria_log:aria_log_control", "-aria_log:aria_log.00000001", "-aria_log:aria_log.00000002",
		":db/", ":db/db.opt", ":db/a.MAD", ":db/a.MAI", ":db/m.MYD", ":db/m.MYI", ":db/t.frm", ":db/t.TRG", ":db/t.TRN", ":db/any.thing", ":db/sub/", ":db/sub/deep"})
	for _, name := range []string{"aria_log_control", "aria_log.00000001"} {
		if (Places{Datadir: dir}).Swapped(dir, name) {
			t.Errorf("%s is written in place", name)
		}
	}
}

func TestRowLogTables(t *testing.T) {
	dir := datadir(t, "mysql/general_log.CSV", "mysql/general_log.CSM", "mysql/slow_log.CSV")
	expect(t, "log tables are tables", sent(t, makePlan(t, Places{Datadir: dir}, nil)), []string{
		"-data_dir:ibdata1", "-log_dir:ib_logfile0", ":mysql/", ":mysql/general_log.CSV", ":mysql/general_log.CSM", ":mysql/slow_log.CSV"})
}

func TestRowLinkedDatabase(t *testing.T) {
	dir := datadir(t, "big -> DIR/../disk2/big", "new -> ../disk2/new", "backup -> DIR/../backup", "mysql.sock -> /nowhere/mysqld.sock", "notes -> ibdata1")
	grow(t, filepath.Dir(dir), "disk2/big/t.ibd", "disk2/new/", "backup/dump.sql.gz")
	plan := makePlan(t, Places{Datadir: dir}, nil)
	expect(t, "a link to a database is followed, others stay", sent(t, plan), []string{
		"-data_dir:ibdata1", "-log_dir:ib_logfile0", ":big/t.ibd"})
	var paths []string
	for _, s := range plan.Sessions {
		paths = append(paths, s.Path)
	}
	for _, want := range []string{"./big/", "./new/"} {
		if !slices.Contains(paths, want) {
			t.Errorf("no session for %s in %q: an empty database must arrive too", want, paths)
		}
	}
	if !slices.Contains(plan.NotSent, "backup/") || len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "backup") {
		t.Errorf("the link to no database is not named: %q, %q", plan.NotSent, plan.Warnings)
	}

	joiner := t.TempDir()
	grow(t, joiner, "big/t.ibd", "new/old.ibd", "stale/t.ibd")
	expect(t, "at a joiner where it is a directory it is not deleted first", deleted(t, plan, joiner), []string{"stale", "new/old.ibd"})
}

func TestRowLinkedDatabaseOfTheJoiner(t *testing.T) {
	dir := t.TempDir()
	grow(t, dir, "data/big -> DIR/disk2/big", "data/new -> ../disk2/new", "data/backup -> DIR/backup", "data/x.sock -> /nowhere/x.sock", "data/ca.pem -> DIR/ca.pem",
		"disk2/big/t.ibd", "disk2/new/", "backup/dump.sql.gz", "ca.pem")
	r, err := Joiner(Places{Datadir: filepath.Join(dir, "data")}, base, base+"_complete")
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Links) != 2 || r.Links["big"] != filepath.Join(real, "disk2/big") || r.Links["new"] != filepath.Join(real, "disk2/new") {
		t.Errorf("links: %q", r.Links)
	}
	accepts := func(name string) bool { return acceptedDir(t, r.Modules[0], name) }
	if !accepts("big") || accepts("backup") || accepts("x.sock") {
		t.Errorf("big %v, backup %v, x.sock %v", accepts("big"), accepts("backup"), accepts("x.sock"))
	}
}

func TestRowDanglingLinkIsRefused(t *testing.T) {
	dir := datadir(t, "db1/t.ibd", "gone -> /nowhere/gone")
	if text := refused(t, Places{Datadir: dir}, nil); !strings.Contains(text, dir+"/gone is a symbolic link to /nowhere/gone") {
		t.Errorf("the donor says %q", text)
	}
	_, err := Joiner(Places{Datadir: dir}, base, "m")
	if err == nil || !strings.Contains(err.Error(), "/nowhere/gone") {
		t.Errorf("the joiner says %v", err)
	}
}

func TestRowLinkBackIsRefused(t *testing.T) {
	for _, target := range []string{"DIR", "DIR/..", "."} {
		dir := datadir(t, "loop -> "+target)
		if text := refused(t, Places{Datadir: dir}, nil); !strings.Contains(text, "leads back") {
			t.Errorf("%s: %q", target, text)
		}
	}
}

func TestRowTablesOutsideAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, file string
		p          Places
		says       []string
	}{
		{"the note of InnoDB's DATA DIRECTORY", "db/t.isl", Places{}, []string{"db/t.isl", "content of db/t.isl"}},
		{"MyISAM's DATA DIRECTORY", "db/t.MYD -> /disk2/t.MYD", Places{}, []string{"db/t.MYD", "/disk2/t.MYD"}},
		{"Aria's INDEX DIRECTORY", "db/t.MAI -> ../../t.MAI", Places{}, []string{"db/t.MAI"}},
		{"a note in a directory below", "db/sub/t.isl", Places{}, []string{"db/sub/t.isl"}},
		{"a system table space elsewhere", "db/", Places{SystemFiles: []string{"DIR/ibdata1", "/disk2/ibdata2"}}, []string{"/disk2/ibdata2"}},
		{"a system table space on a raw device", "db/", Places{SystemFiles: []string{"/dev/sdb1"}}, []string{"/dev/sdb1"}},
		{"a system table space below InnoDB's home", "sub/ibdata2", Places{SystemFiles: []string{"DIR/sub/ibdata2"}}, []string{"sub/ibdata2"}},
		{"a system table space that is a link", "ibdata2 -> /disk2/ibdata2", Places{}, []string{"ibdata2 is not a regular file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := datadir(t, c.file)
			c.p.Datadir = dir
			for i, f := range c.p.SystemFiles {
				c.p.SystemFiles[i] = strings.ReplaceAll(f, "DIR", dir)
			}
			text := refused(t, c.p, nil)
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q does not name %s", text, s)
				}
			}
		})
	}
}

func TestRowLinksInDatabasesTravel(t *testing.T) {
	dir := datadir(t, "db/t.MYD", "db/u.MYD -> t.MYD", "db/readme -> /etc/motd")
	expect(t, "links that are no tables elsewhere", sent(t, makePlan(t, Places{Datadir: dir}, nil)), []string{
		"-data_dir:ibdata1", "-log_dir:ib_logfile0", ":db/", ":db/t.MYD", ":db/u.MYD", ":db/readme"})
}

func TestRowDump(t *testing.T) {
	dir := datadir(t, "ib_lru_dump")
	expect(t, "as the scripts do", sent(t, makePlan(t, Places{Datadir: dir}, nil)), []string{
		"-data_dir:ibdata1", "-data_dir:ib_lru_dump", "-log_dir:ib_logfile0"})
	if p := (Places{Datadir: dir}); p.Swapped(dir, "ib_lru_dump") || p.Stale(dir, "ib_lru_dump") {
		t.Error("it is neither renamed nor set aside")
	}
}

func TestRowStale(t *testing.T) {
	names := []string{"ib_buffer_pool", "ib_buffer_pool.incomplete", "ibtmp1", "ddl_recovery.log", "ddl_recovery-backup.log", "ddl_log.log", "tc.log", "my_pool"}
	dir := datadir(t, names...)
	p := Places{Datadir: dir, StaleFiles: []string{"my_pool"}}
	expect(t, "none of them is sent", sent(t, makePlan(t, p, nil)), []string{"-data_dir:ibdata1", "-log_dir:ib_logfile0"})
	for _, name := range names {
		if !p.Stale(dir, name) {
			t.Errorf("%s is not set aside on the joiner", name)
		}
	}
	expect(t, "and none is deleted, if the joiner cannot set aside", deleted(t, makePlan(t, p, nil), dir), nil)
}

// untouchable are files at the top that stay on both sides.
var untouchable = []string{"grastate.dat", "gvwstate.dat", "galera.cache", "gcache.page.000000", "my.cnf", "server-key.pem", "node.key",
	"mysql.sock", "host.pid", "host.err", "auto.cnf", "multi-master.info", "master.info", "relay-log.info", "mysql_upgrade_info", "debian-10.11.flag",
	"keyfile.enc", "mysqld-bin.000001", "mysqld-bin.index", "sst_in_progress", "wsrep_sst.pid", "tables_flushed", ".bash_history", "ibdata", "undo.sql"}

func TestRowUntouchable(t *testing.T) {
	dir := datadir(t, untouchable...)
	p := Places{Datadir: dir}
	plan := makePlan(t, p, nil)
	expect(t, "none of them is sent", sent(t, plan), []string{"-data_dir:ibdata1", "-log_dir:ib_logfile0"})
	expect(t, "they are named as not sent", plan.NotSent, untouchable)
	expect(t, "none is deleted", deleted(t, plan, dir), nil)
	r, err := Joiner(p, base, base+"_complete")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range untouchable {
		if p.Swapped(dir, name) || p.Stale(dir, name) {
			t.Errorf("%s is renamed on the joiner", name)
		}
		for _, m := range r.Modules {
			wide := strings.HasPrefix(name, "ibdata") || strings.HasPrefix(name, "undo") // the scripts send such look-alikes
			if accepted(t, m, name) && !wide {
				t.Errorf("%s can be written and removed by the module %s", name, m.Name)
			}
		}
	}
}

func TestRowEnginesThatDoNotFreeze(t *testing.T) {
	dir := datadir(t, "#rocksdb/000010.sst", "#rocksdb/CURRENT", "db/t.frm", "db1.mrn", "db1.mrn.0000001")
	plan := makePlan(t, Places{Datadir: dir}, nil)
	expect(t, "as the scripts do", sent(t, plan), []string{
		"-data_dir:ibdata1", "-log_dir:ib_logfile0", ":#rocksdb/", ":#rocksdb/000010.sst", ":#rocksdb/CURRENT", ":db/", ":db/t.frm"})
	if len(plan.Warnings) != 2 || !strings.Contains(plan.Warnings[0]+plan.Warnings[1], "#rocksdb") || !strings.Contains(plan.Warnings[0]+plan.Warnings[1], "Mroonga") {
		t.Errorf("warnings: %q", plan.Warnings)
	}
}

func TestRowBinlogs(t *testing.T) {
	dir := datadir(t, BinlogArchive, "mysqld-bin.000001", "mysqld-bin.index")
	with := Places{Datadir: dir, Binlogs: true}
	expect(t, "the archive goes with the top level", sent(t, makePlan(t, with, nil)),
		[]string{"-data_dir:ibdata1", "-log_dir:ib_logfile0", ":" + BinlogArchive})
	expect(t, "one that is left over does not", sent(t, makePlan(t, Places{Datadir: dir}, nil)),
		[]string{"-data_dir:ibdata1", "-log_dir:ib_logfile0"})
	r, err := Joiner(Places{Datadir: dir}, base, base+"_complete")
	if err != nil {
		t.Fatal(err)
	}
	if !accepted(t, r.Modules[0], BinlogArchive) || accepted(t, r.Modules[0], "mysqld-bin.000001") {
		t.Error("the joiner takes the archive, and no binlog by itself")
	}
}

func TestRowHoles(t *testing.T) {
	for name, want := range map[string]bool{
		"db/t.ibd": true, "db/t#P#p0.ibd": true, ".ibd": true, "ibdata1": false, "undo001": false, "ib_logfile0": false,
		"db/t.MYD": false, "db/t.ibd.bak": false, "aria_log.00000001": false, "t.ibd/x": false,
	} {
		if Sparse(name) != want {
			t.Errorf("%s: %v", name, Sparse(name))
		}
	}
}
