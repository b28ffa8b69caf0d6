// Package peers finds the programs of other projects that the end-to-end tests run against.
//
// A test that needs one calls Need or Galera first. Where the program is absent the test skips with a line that says
// what is missing; with E2E_REQUIRE_PEERS=1, as in the gate, it fails instead, so that a green gate never means "not
// tried". Installing is left to e2e/peers.sh.
package peers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Path is the PATH for peers and for the servers that start them. Debian keeps mariadbd in /usr/sbin, where the PATH
// of an ordinary user does not look.
func Path() string {
	return strings.Join([]string{os.Getenv("PATH"), "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"}, ":")
}

// Need returns the path of a program, or ends the test.
func Need(t testing.TB, program string) string {
	t.Helper()
	for dir := range strings.SplitSeq(Path(), ":") {
		if path, err := exec.LookPath(filepath.Join(dir, program)); err == nil && filepath.IsAbs(path) {
			return path
		}
	}
	absent(t, program)
	return ""
}

// Galera returns the path of the Galera provider library, or ends the test.
func Galera(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{
		"/usr/lib/galera/libgalera_smm.so",
		"/usr/lib64/galera*/libgalera_smm.so",
		"/usr/lib/libgalera_smm.so",
	} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	absent(t, "libgalera_smm.so (package galera-4)")
	return ""
}

func absent(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("E2E_REQUIRE_PEERS") == "1" {
		t.Fatalf("%s is not installed and E2E_REQUIRE_PEERS=1; hint: sh e2e/peers.sh", what)
	}
	t.Skipf("NOT TESTED: %s is not installed; hint: sh e2e/peers.sh as root on Debian or Ubuntu", what)
}
