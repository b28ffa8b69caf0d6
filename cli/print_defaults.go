package cli

import (
	"fmt"
	"io"
	"os"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst"
)

// printDefaultsName is a command that Main takes before the parser of commands sees
// its arguments: they are those of another program, flags and all, and so are the exit
// statuses.
const printDefaultsName = "print-defaults"

// printDefaultsCommand shows the command in the help.
type printDefaultsCommand struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"The arguments of my_print_defaults."`
}

const printDefaultsHelp = `Print what the option files (my.cnf) say, as MariaDB's my_print_defaults does.

Usage: ` + program + ` print-defaults [FILES] [OPTIONS] [GROUPS]

FILES come first, each at most once:
  --no-defaults                read no file; or any of
  --defaults-file=FILE         read this file only
  --defaults-extra-file=FILE   read this file too, before ~/.my.cnf
  --defaults-group-suffix=S    the group g also means gS
  --print-defaults             last of these: all in one line, with a heading

OPTIONS and GROUPS in any order:
  --mysqld, --mariadbd         the groups that mariadbd reads
  --server-version=X.Y         of that mariadbd, for [mariadb-X.Y] and the
                               like; if it is not given it is found out
  -n, --no-defaults            print nothing
  -v, --verbose                has no effect
  -?, --help                   -V, --version

Without FILES it reads /etc/my.cnf, /etc/mysql/my.cnf, $MARIADB_HOME/my.cnf or
$MYSQL_HOME/my.cnf, and ~/.my.cnf.
Example: ` + program + ` print-defaults --mysqld sst
`

// defaultDatadir is where MariaDB's packages have the data.
const defaultDatadir = "/var/lib/mysql"

// printDefaults does what my_print_defaults does, and returns its exit status.
func printDefaults(args []string, stdout, stderr io.Writer) int {
	return mycnf.PrintDefaults(args, mycnf.Printing{
		Version: serverVersionOf,
		Out:     stdout,
		Say:     func(text string) { fmt.Fprintf(stderr, "%s: %s\n", program, text) },
		About:   program + " " + sst.Version,
		Help:    printDefaultsHelp,
	})
}

// serverVersionOf finds the version of the server that reads these files.
func serverVersionOf(f *mycnf.Files) string {
	datadir := defaultDatadir
	if o, ok := f.Get([]string{"--mysqld"}, "datadir"); ok {
		datadir = o.Value
	}
	return sst.ServerVersion(datadir, os.Getenv("PATH"))
}
