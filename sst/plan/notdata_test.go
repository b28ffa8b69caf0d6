package plan

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// notData configures paths below the data directory.
func notData(dir string, names ...string) []NotData {
	var out []NotData
	for _, name := range names {
		stem := strings.HasSuffix(name, "*")
		out = append(out, NotData{Key: "key", Path: filepath.Join(dir, strings.TrimSuffix(name, "*")), Stem: stem})
	}
	return out
}

func TestConfiguredPathsThatAreNotData(t *testing.T) {
	const db = "db/t.ibd"
	for _, c := range []struct {
		name   string
		files  []string
		config []string
		sent   []string // besides InnoDB's
		joiner []string // what a stock joiner has, besides stale/
		gone   []string // of which goes
	}{
		{"certificates in a directory: neither sent nor deleted, those that nobody configured included",
			[]string{"ssl/node1.key", "ssl/ca.pem", "ssl/old/node1.key", db}, []string{"ssl/node1.key"},
			[]string{":db/", ":db/t.ibd"}, []string{"ssl/node2.key", "ssl/ca.pem", "db/t.ibd"}, nil},
		{"a key in a database: only the key stays",
			[]string{"db/key.pem", db}, []string{"db/key.pem"},
			[]string{":db/", ":db/t.ibd"}, []string{"db/key.pem", "db/u.ibd"}, []string{"db/u.ibd"}},
		{"a directory of keys in a database: it stays as a whole",
			[]string{"db/keys/a.key", "db/keys/b.key", db}, []string{"db/keys/a.key"},
			[]string{":db/", ":db/t.ibd"}, []string{"db/keys/c.key"}, nil},
		{"a directory that is configured itself, with temporary tables in it",
			[]string{"tmp/#sql-temptable-1.MAI", "tmp/#sql-temptable-1.MAD", "tmp/x", db}, []string{"tmp"},
			[]string{":db/", ":db/t.ibd"}, []string{"tmp/y"}, nil},
		{"binlogs in a directory",
			[]string{"binlog/bin.000001", "binlog/bin.index", "binlog/bin.state", db}, []string{"binlog/bin*", "binlog/bin.index"},
			[]string{":db/", ":db/t.ibd"}, []string{"binlog/bin.000007"}, nil},
		{"binlogs in a database: only they stay",
			[]string{"db/bin.000001", "db/bin.index", "db/bin.ibd", db}, []string{"db/bin*"},
			[]string{":db/", ":db/t.ibd", ":db/bin.ibd"}, []string{"db/bin.000007", "db/bin.state"}, nil},
		{"files at the top stay anyhow",
			[]string{"server-key.pem", "host.err", db}, []string{"server-key.pem", "host.err", "absent.log"},
			[]string{":db/", ":db/t.ibd"}, []string{"server-key.pem"}, nil},
		{"a path that does not exist yet is kept free",
			[]string{db}, []string{"tmp"}, []string{":db/", ":db/t.ibd"}, []string{"tmp/x"}, nil},
		{"the data directory itself, and what is above it, means nothing",
			[]string{db}, []string{".", "..", "/"}, []string{":db/", ":db/t.ibd"}, []string{"db/u.ibd"}, []string{"db/u.ibd"}},
		{"somebody's hidden directory",
			[]string{".ssh/id_ed25519", ".cache/x", ".rocksdb/CURRENT", ".mydb/t.frm", db}, []string{".rocksdb/absent"},
			[]string{":db/", ":db/t.ibd", ":.mydb/", ":.mydb/t.frm"}, []string{".ssh/authorized_keys", ".mydb/old.frm"}, []string{".mydb/old.frm"}},
		{"what belongs to the file system",
			[]string{"lost+found/#1", ".zfs/x.frm", ".snapshot/db/t.frm", ".Trashes/t.ibd", db}, nil,
			[]string{":db/", ":db/t.ibd"}, []string{"lost+found/#2", ".zfs/y", ".snapshot/z"}, nil},
		{"names that mean something to rsync",
			[]string{"s*l/key", `a\b/key`, "[x]/key", "q?/key", "sxl/t.ibd", "x/t.ibd", `d\b/k`, `d\b/t.ibd`, `e*\b/k`, `e*\b/t.ibd`},
			[]string{"s*l/key", `a\b/key`, "[x]/key", "q?/key", `d\b/k`, `e*\b/k`},
			[]string{":sxl/", ":sxl/t.ibd", ":x/", ":x/t.ibd", `:d\b/`, `:d\b/t.ibd`, `:e*\b/`, `:e*\b/t.ibd`},
			[]string{"s*l/k", `a\b/k`, "[x]/k", "q?/k", "qq/t.ibd", `e*\b/k`}, []string{"qq"}},
		{"names of other bytes",
			[]string{"schl\xfcssel/key", "ключ/key", "new\nline/key", " blank /key", db}, []string{"schl\xfcssel/key", "ключ/key", "new\nline/key", " blank /key"},
			[]string{":db/", ":db/t.ibd"}, []string{"schl\xfcssel/x", "ключ/x", "new\nline/x", " blank /x"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := datadir(t, c.files...)
			p := Places{Datadir: dir, NotData: notData(dir, c.config...)}
			plan := makePlan(t, p, nil)
			expect(t, "sent", sent(t, plan), append([]string{"-data_dir:ibdata1", "-log_dir:ib_logfile0"}, c.sent...))
			joiner := t.TempDir()
			grow(t, joiner, append(c.joiner, "stale/t.ibd")...)
			expect(t, "deleted at a stock joiner", deleted(t, plan, joiner), append([]string{"stale"}, c.gone...))
			if len(plan.Warnings) > 0 {
				t.Errorf("warnings: %q", plan.Warnings)
			}
		})
	}
}

func TestAConfiguredDirectoryThatIsADatabase(t *testing.T) {
	dir := datadir(t, "db/t.ibd")
	p := Places{Datadir: dir, NotData: []NotData{{Key: "secure_file_priv", Path: dir + "/db"}}}
	plan := makePlan(t, p, nil)
	expect(t, "data comes first", sent(t, plan), []string{":db/", ":db/t.ibd", "-data_dir:ibdata1", "-log_dir:ib_logfile0"})
	if len(plan.Warnings) != 1 || !strings.Contains(plan.Warnings[0], "secure_file_priv") {
		t.Errorf("warnings: %q", plan.Warnings)
	}
}

func TestWhatIsCutOutIsNeitherCountedNorARefusal(t *testing.T) {
	dir := datadir(t, "db/t.ibd", "db/tmp/#sql-1.isl", "db/tmp/x", "db/key")
	p := Places{Datadir: dir, NotData: notData(dir, "db/tmp", "db/key")}
	if plan := makePlan(t, p, nil); plan.Total.Files != 3 {
		t.Errorf("%d files counted", plan.Total.Files)
	}
}

func TestAKeyBehindALink(t *testing.T) {
	top := t.TempDir()
	grow(t, top, "data/ibdata1", "data/ib_logfile0", "data/big -> ../disk2", "disk2/t.ibd", "disk2/keys/a.key", "disk2/b.key")
	p := Places{Datadir: filepath.Join(top, "data")}
	for _, key := range []string{"disk2/keys/a.key", "data/big/b.key"} {
		p.NotData = append(p.NotData, NotData{Key: "key", Path: filepath.Join(top, key)})
	}
	expect(t, "a key in a linked database is seen by either spelling", sent(t, makePlan(t, p, nil)),
		[]string{":big/t.ibd", "-data_dir:ibdata1", "-log_dir:ib_logfile0"})
}

func TestJoinerProtectsItsOwn(t *testing.T) {
	dir := datadir(t, "ssl/node.key", "db/key.pem", "db/t.ibd", "undo/undo001")
	p := Places{Datadir: dir, UndoDir: dir + "/undo", NotData: notData(dir, "ssl/node.key", "db/key.pem", "tmp")}
	r, err := Joiner(p, base, base+"_complete")
	if err != nil {
		t.Fatal(err)
	}
	main := r.Modules[0]
	for name, want := range map[string]bool{"ssl": false, "undo": false, "lost+found": false, ".zfs": false, "tmp": false, "db": true, "other": true, "#rocksdb": true} {
		if acceptedDir(t, main, name) != want {
			t.Errorf("directory %s: %v", name, !want)
		}
	}
	for name, want := range map[string]bool{
		"db/key.pem": false, "db/t.ibd": true, "db/sub/x": true, base + "_complete": true, "ibdata1": true, "aria_log_control": true,
		"ib_logfile0": true, "undo001": true, "grastate.dat": false,
	} {
		if accepted(t, main, name) != want {
			t.Errorf("file %s: %v", name, !want)
		}
	}
	for _, m := range r.Modules[1:] {
		for _, name := range []string{"grastate.dat", base + "_complete", "server-key.pem", BinlogArchive} {
			if accepted(t, m, name) {
				t.Errorf("module %s takes %s", m.Name, name)
			}
		}
	}
}

// A rule made from any path matches that path and no neighbour of it.
func TestLiteralPatternsMatchTheirPathOnly(t *testing.T) {
	name := rapid.StringOfN(rapid.RuneFrom([]rune(`ab*?[]\!^- é`)), 1, 6, -1).Filter(func(s string) bool { return s != "." && s != ".." })
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(name, 1, 3).Draw(t, "parts")
		file := strings.Join(parts, "/")
		other := rapid.OneOf(name, rapid.Just(strings.ReplaceAll(file, `\`, "")), rapid.Just(strings.ReplaceAll(file, "*", "ab"))).Draw(t, "other")
		l, err := filter.Parse("- /" + literal(file, false))
		if err != nil {
			t.Fatal(err)
		}
		if !l.Excluded(filter.Sender, file, false) || !l.Excluded(filter.Receiver, file, true) {
			t.Fatalf("%q does not match itself", file)
		}
		if other != file && other != "" && l.Excluded(filter.Sender, other, false) {
			t.Fatalf("%q matches %q too", file, other)
		}
		g, err := filter.Parse("- /" + literal(file, true) + ".[0-9]*")
		if err != nil {
			t.Fatal(err)
		}
		if !g.Excluded(filter.Sender, file+".000001", false) || g.Excluded(filter.Sender, file+"x.000001", false) {
			t.Fatalf("%q as a stem", file)
		}
	})
}
