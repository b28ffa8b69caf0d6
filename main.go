// The program is the SST method rsync_tunnel of MariaDB Galera when mariadbd calls
// it, and a set of commands when a person does.
package main

import (
	"fmt"
	"os"
	"strings"

	"wsrep_sst_rsync_tunnel/sst"
)

func main() {
	if isSST(os.Args) {
		os.Exit(sst.Main(os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("wsrep_sst_rsync_tunnel", sst.Version)
		return
	}
	fmt.Fprint(os.Stderr, `usage: wsrep_sst_rsync_tunnel --role joiner|donor --address HOST:PORT --datadir DIR ...
       wsrep_sst_rsync_tunnel --version

mariadbd starts this program by itself: set wsrep_sst_method=rsync_tunnel and put it in a directory of the PATH.
`)
	os.Exit(2)
}

// isSST says whether mariadbd calls. Its arguments must not go through a parser of
// commands: it passes flags that no such parser knows, values that begin with a
// dash, and its own command line after --mysqld-args.
func isSST(argv []string) bool {
	if len(argv) < 2 || !strings.HasPrefix(argv[1], "-") {
		return false // a command
	}
	for _, arg := range argv[1:] {
		switch {
		case arg == "--mysqld-args":
			return false
		case arg == "--role" || strings.HasPrefix(arg, "--role="):
			return true
		}
	}
	return false
}
