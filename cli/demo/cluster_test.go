package demo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/sst/report"
)

func TestMariaDBIsFoundOrWhatIsMissingIsNamed(t *testing.T) {
	dir := t.TempDir()
	install := func(names ...string) {
		t.Helper()
		for _, name := range names {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
	}
	programs := dir + "/none:" + dir + "/usr/sbin:" + dir + "/usr/bin"
	galera := dir + "/usr/lib:" + dir + "/usr/lib64/galera*"
	for _, c := range []struct {
		name    string
		install []string
		missing string
	}{
		{"nothing is there", nil, "mariadbd, mariadb, mariadb-install-db, libgalera_smm.so not found"},
		{"a server of an old name, without Galera", []string{"usr/sbin/mysqld", "usr/bin/mysql", "usr/bin/mysql_install_db"}, ": libgalera_smm.so not found"},
		{"all is there, in the folder of a version", []string{"usr/lib64/galera-4/libgalera_smm.so"}, ""},
		{"the new name goes before the old one", []string{"usr/sbin/mariadbd"}, ""},
	} {
		install(c.install...)
		m, err := findMariaDB(programs, galera)
		switch {
		case c.missing == "" && errors.Is(err, errNoMariaDB):
			t.Errorf("%s: %v", c.name, err)
		case c.missing == "" && m == nil:
			t.Skipf("NOT TESTED further: %v", err) // root without a user mysql
		case c.missing != "" && (!errors.Is(err, errNoMariaDB) || !strings.HasSuffix(err.Error(), c.missing) || !strings.Contains(report.Hint(err), "without --cluster")):
			t.Errorf("%s: %v, hint: %s", c.name, err, report.Hint(err))
		}
	}
	m, err := findMariaDB(programs, galera)
	if err != nil {
		t.Fatal(err)
	}
	if m.server != dir+"/usr/sbin/mariadbd" || m.galera != dir+"/usr/lib64/galera-4/libgalera_smm.so" || !strings.HasSuffix(m.path, ":"+dir+"/usr//bin") {
		t.Errorf("%+v", m)
	}
}

// installed is what is on this machine, or the end of the test.
func installed(t *testing.T) *mariadb {
	t.Helper()
	m, err := findMariaDB(os.Getenv("PATH")+":"+usualPrograms, usualGalera)
	if err == nil {
		return m
	}
	if os.Getenv("E2E_REQUIRE_PEERS") == "1" {
		t.Fatalf("%v and E2E_REQUIRE_PEERS=1; hint: sh e2e/peers.sh", err)
	}
	t.Skipf("NOT TESTED: %v", err)
	return nil
}

// A demo that is green must mean something, with real servers, too.
func TestADemoOfABadProgramFailsInAClusterToo(t *testing.T) {
	m := installed(t)
	for _, c := range []struct{ name, joiner, donor, wants, says string }{
		{"its joiner fails", "echo 'WSREP_SST: no certificate' >&2; exit 22", "exit 22", "mariadbd of node2 has ended", "WSREP_SST: no certificate"},
		{"its donor fails", goodJoiner, "echo 'WSREP_SST: no route' >&2; exit 113", "mariadbd of node2 has ended", "WSREP_SST: no route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tmp := demoIn(t)
			if err := os.Chmod(tmp, 0o755); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			d := &clusterDemo{Options: Options{Megabytes: 1, Program: badProgram(t, c.joiner, c.donor), Out: &out}, mariadb: m}
			if err := d.run(t.Context(), tmp); err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("got %v, want %q\n%s", err, c.wants, out.String())
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("nothing says %q:\n%s", c.says, out.String())
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}
