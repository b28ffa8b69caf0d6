package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// server is a MariaDB that nodes are run with: the installed one, or that of another release of Debian, which lives in a
// folder with its own libraries, or a copy of the installed one below a root of its own. The zero value is the installed one.
type server struct {
	release *peers.Release
	root    string // what mariadbd takes for /, if not empty
}

// serverOf is the MariaDB of a release, or ends the test.
func serverOf(t *testing.T, release string) server {
	t.Helper()
	r := peers.OfRelease(t, release)
	return server{release: &r}
}

func (s server) program(t *testing.T, name string) string {
	t.Helper()
	if s.release == nil {
		return peers.Need(t, name)
	}
	return s.release.Program(t, name)
}

func (s server) galera(t *testing.T) string {
	t.Helper()
	if s.release == nil {
		return peers.Galera(t)
	}
	return s.release.Galera()
}

// settings are the lines of [mysqld] that keep a server to the files of its own release.
func (s server) settings() []string {
	if s.release == nil {
		return nil
	}
	base := s.release.Basedir()
	return []string{
		"basedir=" + base,
		"lc_messages_dir=" + filepath.Join(base, "share/mysql"),
		"character_sets_dir=" + filepath.Join(base, "share/mysql/charsets"),
	}
}

// dialect is a statement as the server understands it: RANDOM_BYTES came with 10.10.
func (s server) dialect(statement string) string {
	if s.release == nil || s.release.Name != "bullseye" {
		return statement
	}
	return randomBytes.ReplaceAllString(statement, "LEFT(REPEAT(UNHEX(SHA2(RAND(), 512)), 1 + $1 DIV 64), $1)")
}

var randomBytes = regexp.MustCompile(`RANDOM_BYTES\((\d+)\)`)

// fresh is a data directory as the installation of MariaDB makes it, made once for all tests with that MariaDB.
func (s server) fresh(t *testing.T) string {
	t.Helper()
	name := "fresh"
	if s.release != nil {
		name += "-" + s.release.Name
	}
	fresh.mu.Lock()
	defer fresh.mu.Unlock()
	dir := filepath.Join(shared.data, name)
	if fresh.made[name] {
		return dir
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("%s: mariadb-install-db failed in an earlier test (%v)", name, err)
	}
	o := serverUser(t)
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	o.own(t, dir)
	args := []string{"--no-defaults", "--datadir=" + dir, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M", "--aria-log-file-size=8M"}
	if o.switched {
		args = append(args, "--user=mysql")
	}
	for _, line := range s.settings() {
		args = append(args, "--"+line)
	}
	command(t, s.program(t, "mariadb-install-db"), args...)
	fresh.made[name] = true
	return dir
}

var fresh = struct {
	mu   sync.Mutex
	made map[string]bool
}{made: map[string]bool{}}
