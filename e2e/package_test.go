package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

const (
	distOfParent = "E2E_DIST"
	releaseTime  = "1767323045"
)

// dist is what `make dist` makes of the sources in a folder of its own, once.
func dist(t *testing.T) string {
	t.Helper()
	peers.Need(t, "make")
	path, err := makeDist()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var makeDist = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(distOfParent); path != "" {
		return path, nil
	}
	return distIn(filepath.Join(shared.programs, "sources"))
})

// distIn copies the sources to a folder and makes a release there, with more in the environment.
func distIn(folder string, env ...string) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	top, err := os.ReadDir("..")
	if err != nil {
		return "", err
	}
	for _, e := range top {
		if slices.Contains([]string{".git", "dist", "wsrep_sst_rsync_tunnel"}, e.Name()) {
			continue
		}
		if out, err := exec.Command("cp", "-r", filepath.Join("..", e.Name()), folder).CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	cmd := exec.Command("make", "-C", folder, "dist")
	cmd.Env = append(append(os.Environ(), "COMMIT="+productStamp, "SOURCE_DATE_EPOCH="+releaseTime), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Stderr.Write(out)
		return "", err
	}
	return filepath.Join(folder, "dist"), nil
}

// Two people who build the same commit in different folders, with different habits, have the same release, packages and all.
func TestTwoFoldersGiveTheSameRelease(t *testing.T) {
	onlyLong(t)
	one := dist(t)
	other := filepath.Join(t.TempDir(), "a folder", "of another depth")
	two, err := distIn(other, "TZ=Asia/Tokyo", "LC_ALL=C.UTF-8", "HOSTNAME=elsewhere", "GOAMD64=v3")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("diff", "-r", one, two).CombinedOutput(); err != nil {
		t.Errorf("the two releases differ: %v\n%s", err, out)
	}
	if same, err := exec.Command("cmp", filepath.Join(one, "wsrep_sst_rsync_tunnel-linux-amd64"), product(t)).CombinedOutput(); err != nil {
		t.Errorf("make build and make dist make different programs: %v: %s", err, same)
	}
	sums := command(t, "sh", "-c", `cd "$1" && sha256sum -c SHA256SUMS`, "sh", one)
	if n := strings.Count(sums, ": OK\n"); n != 8 {
		t.Errorf("%d of the release's 8 files are vouched for:\n%s", n, sums)
	}
}

func debOf(t *testing.T, dir string) string {
	t.Helper()
	return only(t, filepath.Join(dir, "*_amd64.deb"))
}

func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v; want one", pattern, found, err)
	}
	return found[0]
}

// The life of the package on two machines: installed, used for an SST, there after MariaDB's own package was installed
// again, under the stock names on request and through another such installation, and gone without a trace.
func TestThePackageOnBareDebian(t *testing.T) {
	onlyLong(t)
	if os.Getenv(aloneTest) == "" {
		alone(t, distOfParent+"="+dist(t))
		return
	}
	alone(t)
	both := twoMachines(t)
	before := [2]string{inventory(t, both[0]), inventory(t, both[1])}
	for _, m := range both {
		m.copyIn(t, debOf(t, dist(t)), "/root/ours.deb")
		m.does(t, "dpkg -i ours.deb")
		m.does(t, "dpkg -S /usr/bin/wsrep_sst_rsync_tunnel && wsrep_sst_rsync_tunnel version && wsrep_sst_rsync_tunnel man >/dev/null")
		m.does(t, "head -c2 /usr/bin/wsrep_sst_rsync | grep -q '#!'") // MariaDB's own script is where it was
	}
	follow(t, both, func(line string) bool {
		sells(t, both, "packed")(line)
		return strings.Contains(line, "wsrep_sst_rsync_tunnel install")
	})
	joined(t, both, "packed")
	stopped(t, both)

	m := both[0]
	const again = "dpkg -i /srv/mariadb-server_*.deb"
	m.does(t, again)
	m.does(t, "dpkg --verify wsrep-sst-rsync-tunnel && wsrep_sst_rsync_tunnel --version")

	const stock = "/usr/bin/wsrep_sst_rsync"
	m.does(t, "wsrep_sst_rsync_tunnel install --replace-stock")
	m.does(t, again)
	m.does(t, `test "$(readlink `+stock+`)" = wsrep_sst_rsync_tunnel && head -c2 `+stock+`.stock | grep -q '#!' && `+stock+` --version`)
	if got := m.does(t, "dpkg-divert --list "+stock+"*"); strings.Count(got, "\n") != 2 {
		t.Errorf("diversions: %q, want those of both names", got)
	}
	m.does(t, "dpkg -i ours.deb") // an update of our own
	m.does(t, `test "$(readlink `+stock+`)" = wsrep_sst_rsync_tunnel`)

	for i, m := range both {
		m.does(t, "dpkg --purge wsrep-sst-rsync-tunnel")
		if got := m.does(t, "dpkg-divert --list '*wsrep*'"); got != "" {
			t.Errorf("%s: diversions stay: %s", m.network, got)
		}
		m.does(t, "rm -r ours.deb /etc/mysql/tls /etc/mysql/mariadb.conf.d/90-cluster.cnf")
		m.does(t, "dpkg --verify mariadb-server")
		if after := inventory(t, m); after != before[i] {
			t.Errorf("%s: what is on the disk differs:\n%s", m.network, changed(before[i], after))
		}
	}
}

// inventory lists what is in the folders that packages write to, and what links there lead to.
func inventory(t *testing.T, m machine) string {
	t.Helper()
	text, err := exec.Command("chroot", m.root, "find", "/etc", "/usr", "/opt", "/lib", "/var/lib/dpkg/info", "/var/lib/dpkg/diversions",
		"!", "-name", "*.cache", "-printf", `%p %M %u %g %l\n`).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// changed names the lines that only one of two lists has.
func changed(before, after string) string {
	var out []string
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			out = append(out, "- "+line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			out = append(out, "+ "+line)
		}
	}
	return strings.Join(out, "\n")
}

// A script that an administrator has put under the program's name himself comes back.
func TestThePackagesLeaveOtherPrograms(t *testing.T) {
	onlyLong(t)
	if os.Getenv(aloneTest) == "" {
		peers.Need(t, "rpm")
		alone(t, distOfParent+"="+dist(t))
		return
	}
	alone(t)
	m := twoMachines(t)[0]
	const name = "/usr/bin/wsrep_sst_rsync_tunnel"
	script := "#!/bin/bash\n# of the administrator\n"

	m.write(t, name, script)
	m.copyIn(t, debOf(t, dist(t)), "/root/ours.deb")
	m.does(t, "dpkg -i ours.deb && "+name+" --version && grep administrator "+name+".stock")
	m.does(t, "dpkg -r wsrep-sst-rsync-tunnel && grep administrator "+name+" && ! test -e "+name+".stock")

	// rpm: RHEL's mariadb-server-galera has such a script, which stays until somebody asks.
	rpm := func(args ...string) {
		command(t, peers.Need(t, "rpm"), append([]string{"--root", m.root, "--nodeps"}, args...)...)
	}
	file := only(t, filepath.Join(dist(t), "*.x86_64.rpm"))
	rpm("-i", file)
	m.does(t, "grep administrator "+name+" && /usr/libexec/wsrep_sst_rsync_tunnel install --replace-stock --dir /usr/bin")
	m.does(t, name+" --version && test \"$(readlink "+name+")\" = /usr/libexec/wsrep_sst_rsync_tunnel && test -L /usr/bin/wsrep_sst_rsync")
	rpm("-e", "wsrep-sst-rsync-tunnel")
	m.does(t, "grep administrator "+name+" && ! test -L /usr/bin/wsrep_sst_rsync && ! test -e "+name+".stock && ! test -e /usr/libexec/wsrep_sst_rsync_tunnel")

	// Where the name is free, the package takes it, and gives it back.
	m.does(t, "rm "+name)
	rpm("-i", file)
	m.does(t, name+" --version")
	rpm("-U", "--replacepkgs", file)
	m.does(t, name+" --version")
	rpm("-e", "wsrep-sst-rsync-tunnel")
	m.does(t, "! test -e "+name+" && ! test -L "+name)
}
