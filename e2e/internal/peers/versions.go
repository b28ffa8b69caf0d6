package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Releases are the folders that e2e/versions.sh makes: programs of other releases of Debian, each with its own libraries.
var Releases = []string{"bullseye", "bookworm-first", "bookworm", "trixie"}

// A Release is one of them.
type Release struct {
	Name     string
	dir      string
	packages map[string]string
}

// OfRelease returns a release whose packages are there, or ends the test. It fetches nothing, and neither does
// `make test`: only in the long run must nothing be missing.
func OfRelease(t testing.TB, name string) Release {
	t.Helper()
	if r, ok := FindRelease(name); ok {
		return r
	}
	const hint = "the software of Debian's release %s is not installed; hint: sh e2e/versions.sh"
	if os.Getenv("E2E_REQUIRE_PEERS") == "1" && os.Getenv("E2E_LONG") != "" { // only the long run fetches it
		t.Fatalf(hint+" (E2E_REQUIRE_PEERS=1)", name)
	}
	t.Skipf("NOT TESTED: "+hint, name)
	return Release{}
}

// FindRelease is OfRelease for those who can do without.
func FindRelease(name string) (Release, bool) {
	r := Release{Name: name, dir: filepath.Join(versions(), name), packages: map[string]string{}}
	lines, err := os.ReadFile(filepath.Join(r.dir, "packages"))
	if err != nil {
		return r, false
	}
	for line := range strings.Lines(string(lines)) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			r.packages[name] = version
		}
	}
	return r, true
}

// versions is the folder of all releases, as e2e/versions.sh knows it.
func versions() string {
	if dir := os.Getenv("E2E_VERSIONS"); dir != "" {
		return dir
	}
	if os.Getuid() == 0 {
		return "/var/cache/wsrep_sst_rsync_tunnel"
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return os.DevNull // below which nothing is
	}
	return filepath.Join(cache, "wsrep_sst_rsync_tunnel")
}

// Basedir is what MariaDB calls so: bin, sbin and share. The programs in it are scripts that start the release's own.
func (r Release) Basedir() string { return filepath.Join(r.dir, "base") }

// Program returns the path of a program, or ends the test if the release does not have it.
func (r Release) Program(t testing.TB, name string) string {
	t.Helper()
	for _, folder := range []string{"bin", "sbin"} {
		if path, err := exec.LookPath(filepath.Join(r.Basedir(), folder, name)); err == nil {
			return path
		}
	}
	absent(t, name+" of Debian's release "+r.Name)
	return ""
}

// Galera is the release's provider library.
func (r Release) Galera() string { return filepath.Join(r.dir, "galera") }

// Version is that of a package, of the first name that is there.
func (r Release) Version(packages ...string) string {
	for _, name := range packages {
		if v := r.packages[name]; v != "" {
			return v
		}
	}
	return "unknown"
}
