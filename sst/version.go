package sst

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// The groups [mysqld-X.Y], [mariadb-X.Y] and [mariadbd-X.Y] are for servers of one
// version, which mariadbd does not tell its SST. Nothing is started to find it out.
//
// Which of its groups count a server decides for itself, so the program of the running
// one is asked first. The file that mariadb-upgrade leaves in the data directory comes
// after it: between the upgrade of the packages and that of the tables it is out of date.
// What lies in the PATH is a guess, good enough for a person but not for an SST.

// serverNames are what mariadbd is called.
var serverNames = []string{"mariadbd", "mysqld"}

// usualServerDirs are where packages put mariadbd, beside the PATH.
var usualServerDirs = []string{"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/usr/bin", "/usr/local/bin"}

// ServerVersion finds the version of the server of a data directory, as "10.11", for a
// person's command: of the one that runs there, else what the data was last upgraded
// to, else of a mariadbd in path, a list as in PATH, or in the usual places. "" if it
// is not to be found out.
func ServerVersion(datadir, path string) string {
	t := versionTrail{proc: "/proc"}
	return cmp.Or(t.running(datadir), upgradedTo(datadir), t.installed(append(filepath.SplitList(path), usualServerDirs...)))
}

// serverVersion finds the version of the server that started an SST.
func (a Args) serverVersion() string {
	var running string
	if p, err := findServer(procTable{}, os.Getppid(), a.Parent); err == nil {
		running = versionTrail{proc: "/proc"}.process(p.pid)
	}
	return cmp.Or(running, upgradedTo(a.Datadir))
}

// upgradeFiles are where mariadb-upgrade notes the version, the newer name first.
var upgradeFiles = []string{"mariadb_upgrade_info", "mysql_upgrade_info"}

func upgradedTo(datadir string) string {
	root, err := os.OpenRoot(datadir)
	if err != nil {
		return ""
	}
	defer root.Close()
	for _, name := range upgradeFiles {
		// The version, as 10.11.19-MariaDB, and possibly a newline.
		if text, err := readControl(root, name, 64); err == nil {
			if v := mycnf.Series(text); v != "" {
				return v
			}
		}
	}
	return ""
}

// A versionTrail follows servers to their programs.
type versionTrail struct {
	proc string // where the processes are
}

// running is the version of the mariadbd that has datadir for its working directory,
// as every mariadbd does.
func (t versionTrail) running(datadir string) string {
	want, err := os.Stat(datadir)
	if err != nil {
		return ""
	}
	entries, err := os.ReadDir(t.proc)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		name, err := os.ReadFile(filepath.Join(t.proc, e.Name(), "comm"))
		if err != nil || !slices.Contains(serverNames, strings.TrimSpace(string(name))) {
			continue
		}
		if cwd, err := os.Stat(filepath.Join(t.proc, e.Name(), "cwd")); err == nil && os.SameFile(cwd, want) {
			return t.process(pid)
		}
	}
	return ""
}

// process is the version of the server that runs as a process. A server that was
// started as root and switched to another user hides its program from that user; then
// the name it was called by has to do.
func (t versionTrail) process(pid int) string {
	dir := filepath.Join(t.proc, strconv.Itoa(pid))
	if v := fileSeries(filepath.Join(dir, "exe")); v != "" {
		return v
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return ""
	}
	program, _, _ := strings.Cut(string(line), "\x00")
	if !filepath.IsAbs(program) || !slices.Contains(serverNames, filepath.Base(program)) {
		return ""
	}
	return fileSeries(program)
}

func (t versionTrail) installed(dirs []string) string {
	for _, dir := range dirs {
		for _, name := range serverNames {
			if !filepath.IsAbs(dir) {
				continue
			}
			if v := fileSeries(filepath.Join(dir, name)); v != "" {
				return v
			}
		}
	}
	return ""
}

// fileSeries is the version of the server whose program a file is; "" if it is none.
func fileSeries(name string) string {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return programSeries(f)
}
