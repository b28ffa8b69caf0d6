package sst

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/report"
)

func TestMisfits(t *testing.T) {
	for _, c := range []struct {
		name          string
		joiner, donor traits
		refused       string // "" is taken
		doubts        int
	}{
		{"nothing is known", traits{}, traits{}, "", 0},
		{"all the same", traits{Server: "10.11", HasKeys: true}, traits{Server: "10.11", Encrypts: true, HasKeys: true}, "", 0},
		{"no keys here", traits{}, traits{Encrypts: true, HasKeys: true}, "encrypted", 0},
		{"keys there that are of no use", traits{}, traits{HasKeys: true}, "", 0},
		{"another case of names", traits{LowerCase: 1}, traits{}, "", 1},
		{"another case of names, and such names", traits{LowerCase: 1}, traits{UpperCase: "db/T.frm"}, "db/T.frm", 1},
		{"the other way round", traits{}, traits{LowerCase: 1}, "", 1},
		{"an older server", traits{Server: "10.8"}, traits{Server: "10.11"}, "", 1},
		{"an older server that cannot read the redo log", traits{Server: "10.6"}, traits{Server: "10.11"}, "redo log", 1},
		{"a newer server", traits{Server: "11.4"}, traits{Server: "10.5"}, "", 0},
		{"more undo than an old server finds", traits{Server: "10.6", Undo: 3}, traits{Server: "10.6"}, "", 1},
		{"more undo than a new server finds", traits{Server: "10.11", Undo: 3}, traits{Server: "10.11"}, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := misfit(c.joiner, c.donor)
			if (err != nil) != (c.refused != "") || err != nil && (!strings.Contains(err.Error(), c.refused) || report.Hint(err) == "") {
				t.Errorf("%v, hint %q", err, report.Hint(err))
			}
			if got := doubts(c.joiner, c.donor); len(got) != c.doubts {
				t.Errorf("doubts: %q", got)
			}
		})
	}
}

// What a donor is that cannot be had shows before anything is locked or touched, on both
// sides and in words.
func TestServersThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name          string
		donor, joiner string // lines of [mysqld] and then [sst]
		says          string
	}{
		{"encryption without keys", "innodb_encrypt_tables=ON\nplugin_load_add=file_key_management\n", "", "plugin with the keys"},
		{"names with capitals", "", "lower_case_table_names=1\n", "db1/Upper.frm"},
		{"an older server", "[sst]\nserver-version=10.11\n", "[sst]\nserver-version=10.6\n", "cannot read its redo log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			for n, lines := range map[*node]string{donor: c.donor, joiner: c.joiner} {
				b, err := os.ReadFile(n.cnf)
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Dir(n.cnf), "my.cnf", string(b)+"[mysqld]\n"+lines)
			}
			write(t, donor.dir, "db1/Upper.frm", "a table")
			database(t, joiner.dir)
			same := untouched(joiner)
			donor.donate(joiner.ready(), "")
			donor.end()
			donor.isFailed()
			donor.says("will not take this SST", c.says)
			joiner.fails(exitPipe)
			joiner.says(c.says, "hint:", "datadir untouched")
			same()
			donor.nothingLeft()
		})
	}
}

func TestCapitalsInNames(t *testing.T) {
	for file, upper := range map[string]bool{
		"db1/t.frm": false, "db1/t#P#p0.ibd": false, "db1/a@002D@00C4b.frm": false, "Db.frm": false,
		"Db/t.frm": true, "db1/T.frm": true, "db1/Te@002d.frm": true,
	} {
		dir := t.TempDir()
		write(t, dir, file, "")
		if got := upperCaseName(t.Context(), dir); (got != "") != upper {
			t.Errorf("%s: %q", file, got)
		}
	}
}

// The provider queues what the cluster writes meanwhile beside the data.
func TestSpaceLeavesRoomForTheWriteSetQueue(t *testing.T) {
	const mb = 1 << 20
	for _, c := range []struct {
		free  int64
		taken bool
	}{{1000 * mb, false}, {1060 * mb, false}, {1064 * mb, true}} {
		s := settingsOfServer(t, "[mysqld]\nwsrep_provider_options=\"gcache.size=1G;gcache.page_size=64M\"\n")
		d := openTestDatadir(t, s.Places)
		d.disk.space = func(*os.Root) (int64, error) { return c.free, nil }
		err := d.fits(t.Context(), map[string]int64{"": 1000 * mb}, s.gcachePage, func(s string) { t.Error(s) })
		if (err == nil) != c.taken || err != nil && !strings.Contains(err.Error(), "64.0 MiB must stay free") {
			t.Errorf("%d MB free: %v", c.free/mb, err)
		}
	}
	if page := settingsOfServer(t, "[mysqld]\nwsrep_provider_options=gcache.dir=/elsewhere\n").gcachePage; page != 0 {
		t.Errorf("a cache elsewhere needs %d bytes here", page)
	}
	if page := settingsOfServer(t, "").gcachePage; page != defaultGcachePage || leave(page, 50*mb) != 5*mb {
		t.Errorf("by default %d bytes, %d beside a small database", page, leave(page, 50*mb))
	}
}

func settingsOfServer(t *testing.T, cnf string) *Settings {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "my.cnf", cnf)
	args, err := ParseArgs([]string{"wsrep_sst_rsync_tunnel", "--role", "joiner", "--address", "localhost:1", "--datadir", dir, "--defaults-file", filepath.Join(dir, "my.cnf")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := LoadSettings(args, mycnf.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
