package install

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program builds a small Go program of our module's main path to stand for ours.
func program(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"go.mod": "module " + Binary + "\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() { println(\"" + text + "\") }\n"}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-o", "self", ".")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "self")
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newInstaller(t *testing.T, self string) *Installer {
	return &Installer{Dir: t.TempDir(), Self: self, Say: func(s string) { t.Log(s) }}
}

func TestInstallIntoAnEmptyDirectoryAndOutAgain(t *testing.T) {
	self := program(t, "one")
	i := newInstaller(t, self)
	for range 2 { // twice is as good as once
		if err := i.Install(); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, i.path(Binary)) != read(t, self) {
		t.Error("the binary differs")
	}
	for _, name := range Methods {
		if target, err := os.Readlink(i.path(name)); err != nil || target != Binary {
			t.Errorf("%s -> %q, %v", name, target, err)
		}
	}
	i.Self = program(t, "two")
	if err := i.Install(); err != nil || read(t, i.path(Binary)) != read(t, i.Self) {
		t.Error("a newer program did not replace the older one", err)
	}
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(i.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStockScriptsStayUnlessTheyMayBeReplaced(t *testing.T) {
	self := program(t, "one")
	i := newInstaller(t, self)
	put(t, i.path("wsrep_sst_rsync"), "#!/bin/bash\n# stock\n")
	if err := os.Symlink("wsrep_sst_rsync", i.path("wsrep_sst_rsync_wan")); err != nil {
		t.Fatal(err)
	}
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, i.path("wsrep_sst_rsync")), "stock") {
		t.Error("a stock script was replaced without leave")
	}
	i.ReplaceStock = true
	for range 2 {
		if err := i.Install(); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, i.path("wsrep_sst_rsync")) != read(t, self) || !strings.Contains(read(t, i.path("wsrep_sst_rsync.stock")), "stock") {
		t.Error("the stock script was not put aside")
	}
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(read(t, i.path("wsrep_sst_rsync")), "stock") {
		t.Error("the stock script was not restored")
	}
	if target, _ := os.Readlink(i.path("wsrep_sst_rsync_wan")); target != "wsrep_sst_rsync" {
		t.Errorf("the stock link was not restored: %q", target)
	}
	if left, _ := os.ReadDir(i.Dir); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestAnotherProgramOfOurNameIsNotOverwritten(t *testing.T) {
	i := newInstaller(t, program(t, "one"))
	put(t, i.path(Binary), "#!/bin/bash\n# the shell script of the same name\n")
	var advice *Advice
	if err := i.Install(); !errors.As(err, &advice) || !strings.Contains(advice.Hint(), "--replace-stock") {
		t.Errorf("got %v", err)
	}
	i.ReplaceStock = true
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	if err := i.Remove(); err != nil || !strings.Contains(read(t, i.path(Binary)), "shell script") {
		t.Error("the script was not restored", err)
	}
}

func TestWhatIsNotOursStaysWhenWeGo(t *testing.T) {
	i := newInstaller(t, program(t, "one"))
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(i.path("wsrep_sst_rsync")); err != nil {
		t.Fatal(err)
	}
	put(t, i.path("wsrep_sst_rsync"), "somebody put this here since\n")
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if read(t, i.path("wsrep_sst_rsync")) != "somebody put this here since\n" {
		t.Error("a file of somebody else's is gone")
	}
}

// The real dpkg-divert, with a data base of its own.
func TestDpkgLooksAfterItsScripts(t *testing.T) {
	if _, err := exec.LookPath("dpkg-divert"); err != nil {
		t.Skip("SKIPPED: dpkg-divert is not on this machine")
	}
	admin := t.TempDir()
	for _, f := range []string{"status", "available", "diversions", "statoverride"} {
		put(t, filepath.Join(admin, f), "")
	}
	for _, d := range []string{"info", "updates", "triggers"} {
		if err := os.Mkdir(filepath.Join(admin, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("DPKG_ADMINDIR", admin)
	i := newInstaller(t, program(t, "one"))
	i.ReplaceStock = true
	i.UseDpkg()
	i.Owned = func(path string) bool { return path == i.path("wsrep_sst_rsync") }
	script := i.path("wsrep_sst_rsync")
	put(t, script, "# of a package\n")
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command("dpkg-divert", "--list", script).CombinedOutput()
	if err != nil || !strings.Contains(string(list), script+keptSuffix) {
		t.Errorf("dpkg knows of no diversion: %s, %v", list, err)
	}
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if read(t, script) != "# of a package\n" {
		t.Error("the package's script is not back")
	}
	if list, _ := exec.Command("dpkg-divert", "--list", script).CombinedOutput(); len(list) > 0 {
		t.Errorf("the diversion stays: %s", list)
	}
	// The package whose script it was goes first, and takes along what was put aside.
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(script + keptSuffix); err != nil {
		t.Fatal(err)
	}
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if list, _ := exec.Command("dpkg-divert", "--list", script).CombinedOutput(); len(list) > 0 {
		t.Errorf("the diversion of a package that has gone stays: %s", list)
	}
}

func TestTheDirectoryIsFoundByItsScripts(t *testing.T) {
	base := t.TempDir()
	for _, d := range []string{"sbin", "bin", "other"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(base, "bin", "wsrep_sst_common"), "")
	path := strings.Join([]string{filepath.Join(base, "other"), filepath.Join(base, "sbin"), filepath.Join(base, "bin")}, ":")
	if got, err := FindDir(path); err != nil || got != filepath.Join(base, "bin") {
		t.Errorf("got %q, %v", got, err)
	}
}

// A package's program that may not take the method's name by itself is linked, so that
// it is updated with the package.
func TestAPackagedProgramIsLinked(t *testing.T) {
	i := newInstaller(t, Packaged)
	put(t, i.path(Binary), "#!/bin/bash\n# the shell script of the same name\n")
	i.ReplaceStock = true
	// Without the package, as here, nothing can be linked to; with it, a link is all there is.
	if _, err := os.Stat(Packaged); err == nil {
		t.Skip("SKIPPED: the package is on this machine")
	}
	if err := i.Install(); err == nil {
		t.Error("a program that is not there was linked")
	}
	i = newInstaller(t, program(t, "one"))
	if err := i.link(Binary, Packaged); err != nil {
		t.Fatal(err)
	}
	if is, err := i.ours(Binary); err != nil || !is {
		t.Errorf("the link is not known for ours: %t, %v", is, err)
	}
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(i.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAPackagesProgramIsLeftToThePackage(t *testing.T) {
	i := newInstaller(t, program(t, "one"))
	if err := i.Install(); err != nil {
		t.Fatal(err)
	}
	i.Owned = func(path string) bool { return path == i.path(Binary) }
	i.Diverted = func(string) bool { return false }
	// What the package has put aside is for the package to put back, when dpkg has removed the program.
	put(t, i.path(Binary)+keptSuffix, "# of the administrator\n")
	if err := i.Remove(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(i.Dir)
	if err != nil || len(left) != 2 || read(t, i.path(Binary)) != read(t, i.Self) {
		t.Errorf("left: %v, %v; want the package's program as it is", left, err)
	}
}
