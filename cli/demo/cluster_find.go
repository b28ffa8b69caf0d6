package demo

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// mariadb is the installation that a cluster is made of.
type mariadb struct {
	server, client, install string
	galera                  string
	path                    string // PATH of the servers, without our own program
	switched                bool   // from root to uid and gid, since mariadbd refuses root
	uid, gid                int
	userName                string
}

// errNoMariaDB says that there is nothing to make a cluster of.
var errNoMariaDB = errors.New("MariaDB with Galera is not installed here")

// The usual places are where packages put things, beside PATH.
const (
	usualPrograms = "/usr/local/sbin:/usr/sbin:/usr/libexec:/usr/local/mysql/bin:/usr/bin:/bin"
	usualGalera   = "/usr/lib/galera*:/usr/lib64/galera*:/usr/lib/*/galera*:/usr/lib:/usr/lib64:/usr/local/lib"
)

// findMariaDB looks in two lists of directories: for programs, and for the
// provider, where patterns may stand.
func findMariaDB(programs, galera string) (*mariadb, error) {
	m := &mariadb{path: programs}
	var missing []string
	for _, p := range []struct {
		file  *string
		names []string
	}{
		{&m.server, []string{"mariadbd", "mysqld"}},
		{&m.client, []string{"mariadb", "mysql"}},
		{&m.install, []string{"mariadb-install-db", "mysql_install_db"}},
	} {
		if *p.file = m.program(p.names...); *p.file == "" {
			missing = append(missing, p.names[0])
		}
	}
	for pattern := range strings.SplitSeq(galera, ":") {
		if found, _ := filepath.Glob(pattern + "/libgalera_smm.so"); len(found) > 0 && m.galera == "" {
			m.galera = found[0]
		}
	}
	if m.galera == "" {
		missing = append(missing, "libgalera_smm.so")
	}
	if len(missing) > 0 {
		return nil, mariadbd.Advise(fmt.Errorf("%w: %s not found", errNoMariaDB, strings.Join(missing, ", ")),
			"install them (Debian: mariadb-server galera-4), or take the demo without --cluster, which needs nothing")
	}
	// mariadbd puts its own bin directory first in PATH, where another program of our
	// name may be, unless it finds it there in this spelling (sst-contract.md, section 1).
	m.path += ":" + filepath.Dir(filepath.Dir(m.server)) + "//bin"
	return m, m.findUser()
}

func (m *mariadb) program(names ...string) string {
	for dir := range strings.SplitSeq(m.path, ":") {
		for _, name := range names {
			if file, err := exec.LookPath(filepath.Join(dir, name)); err == nil && filepath.IsAbs(file) {
				return file
			}
		}
	}
	return ""
}

// findUser finds whom to run mariadbd as.
func (m *mariadb) findUser() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("mysql")
	if err != nil {
		return mariadbd.Advise(fmt.Errorf("mariadbd does not run as root, and there is nobody else to run it as: %w", err), "call the demo as an ordinary user")
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	m.switched, m.uid, m.gid, m.userName = true, uid, gid, u.Username
	return errors.Join(err1, err2)
}

// process is how the server's processes run: as its user, in a group of their own,
// and not longer than we do.
func (m *mariadb) process() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if m.switched {
		attr.Credential = &syscall.Credential{Uid: uint32(m.uid), Gid: uint32(m.gid)}
	}
	return attr
}

// own gives a file to the server's user.
func (m *mariadb) own(file string) error {
	if !m.switched {
		return nil
	}
	return os.Lchown(file, m.uid, m.gid)
}
