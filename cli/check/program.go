package check

import (
	"cmp"
	"debug/buildinfo"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/cli/install"
)

// program finds what mariadbd would start for the method: it looks into its own
// basedir/bin first, and then goes through PATH (sst-contract.md, section 1).
func (n *node) program() {
	name := "wsrep_sst_" + n.method.String()
	path, _ := n.o.LookupEnv("PATH")
	dirs := filepath.SplitList(path)
	first := n.o.ServerDir
	if first == "" {
		first, _ = install.FindDir(path)
	}
	if first != "" {
		dirs = append([]string{first}, dirs...)
	}
	var found, ours string
	for _, dir := range dirs {
		file := filepath.Join(dir, name)
		if !executable(file) {
			continue
		}
		found = cmp.Or(found, file)
		if n.isOurs(file) {
			ours = file
			break
		}
	}
	switch {
	case found == "":
		n.r.fail("program", "run: wsrep_sst_rsync_tunnel install (as root); or put this program there under that name",
			"there is no %s in mariadbd's program directory %s and in PATH (%s)", name, cmp.Or(first, "(not found)"), path)
	case found == ours:
		n.r.ok("program", "mariadbd finds this program as %s", found)
	case ours != "":
		n.r.fail("program", "remove or rename "+found+", or run: wsrep_sst_rsync_tunnel install --replace-stock (as root)",
			"mariadbd finds %s first, which is not this program, and never comes to %s", found, ours)
	default:
		n.r.fail("program", "set wsrep_sst_method=rsync_tunnel, or run: wsrep_sst_rsync_tunnel install --replace-stock (as root)",
			"mariadbd finds %s, which is not this program", found)
	}
}

// executable says whether the shell of mariadbd would take a file.
func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS) == nil
}

// isOurs knows this very file, and other builds of this program.
func (n *node) isOurs(file string) bool {
	if a, err := os.Stat(file); err == nil {
		if b, err := os.Stat(n.o.Self); err == nil && os.SameFile(a, b) {
			return true
		}
	}
	build, err := buildinfo.ReadFile(file)
	return err == nil && build.Main.Path == install.Binary
}
