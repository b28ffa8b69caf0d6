package sst

import (
	"slices"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// A knownKey is a key of the option files that an SST reads, or that it knows to be
// another method's. The table of them is what the loader goes by (it refuses to ask for
// a key that is not there), what a misspelt key is compared with, what the command
// config prints in its order, and what docs/options.md has tables of: a test compares.
type knownKey struct {
	name     string // with "-"
	part     optionPart
	groups   optionGroups
	methods  optionMethods
	roles    optionRoles
	standard string // what holds if it is not set, as people read it; "" is nothing
	limits   string // range and unit
	example  string // a value
	meaning  string
	secret   bool // the value is never shown
}

// An optionPart is a table of the document.
type optionPart int

const (
	partChannel  optionPart = iota // who is trusted, and what is encrypted
	partTransfer                   // what is sent, how fast, what is said of it
	partTimes                      // time limits
	partServer                     // mariadbd's own: where the data is
	partOthers                     // other methods' and other servers': accepted, without effect
)

// optionGroups are the groups that are asked, and in which order.
type optionGroups int

const (
	inSST          optionGroups = iota
	inServer                    // mariadbd's groups
	inServerAndSST              // the first of them with a value wins
	inAll                       // and then those of the backup methods
	inSSTAndBackup
)

func (g optionGroups) String() string {
	return [...]string{"`[sst]`", "server", "server, `[sst]`", "server, `[sst]`, `[xtrabackup]`, `[mariabackup]`",
		"`[sst]`, `[xtrabackup]`, `[mariabackup]`"}[g]
}

// names lists the groups as mycnf has them. A server that reads no option files has no
// groups.
func (g optionGroups) names(noServer bool) []string {
	groups := [...][]string{
		{sstGroup}, {serverGroup}, {serverGroup, sstGroup}, {serverGroup, sstGroup, "xtrabackup", "mariabackup"},
		{sstGroup, "xtrabackup", "mariabackup"},
	}[g]
	if noServer {
		groups = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == serverGroup })
	}
	return groups
}

func (g optionGroups) withSST() bool { return g != inServer }

type optionMethods int

const (
	everyMethod optionMethods = iota
	tunnelOnly
	stockOnly
)

func (m optionMethods) String() string {
	return [...]string{"all", "rsync_tunnel", "rsync, rsync_wan"}[m]
}

func (m optionMethods) has(method Method) bool {
	return m == everyMethod || (m == tunnelOnly) == (method == Tunnel)
}

type optionRoles int

const (
	bothRoles optionRoles = iota
	donorOnly
	joinerOnly
)

func (r optionRoles) String() string { return [...]string{"both", "donor", "joiner"}[r] }

func (r optionRoles) has(role Role) bool {
	return r == bothRoles || (r == donorOnly) == (role == Donor)
}

// lookupKey finds a key of the table.
func lookupKey(name string) (knownKey, bool) {
	i := slices.IndexFunc(knownKeys, func(k knownKey) bool { return k.name == name })
	if i < 0 {
		return knownKey{}, false
	}
	return knownKeys[i], true
}

// find is the one place where a value is picked out of the option files.
func (k knownKey) find(files *mycnf.Files, noServer bool) (mycnf.Option, bool) {
	return files.Get(k.groups.names(noServer), k.name)
}
