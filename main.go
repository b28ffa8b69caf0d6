// The program is the SST method rsync_tunnel of MariaDB Galera when mariadbd calls
// it, and a set of commands when a person does.
package main

import (
	"os"
	"path/filepath"
	"strings"

	"wsrep_sst_rsync_tunnel/cli"
	"wsrep_sst_rsync_tunnel/sst"
)

func main() {
	if isSST(os.Args) {
		os.Exit(sst.Main(os.Args, os.Environ(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// isSST says whether mariadbd calls. Its arguments must not go through a parser of
// commands: it passes flags that no such parser knows, values that begin with a
// dash, and its own command line after --mysqld-args.
//
// Under the names of the stock methods the program is a stock script: there is no
// command but --version.
func isSST(argv []string) bool {
	switch filepath.Base(argv[0]) {
	case "wsrep_sst_rsync", "wsrep_sst_rsync_wan":
		return len(argv) != 2 || argv[1] != "--version"
	}
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
