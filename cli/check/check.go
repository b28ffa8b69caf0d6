// Package check is what an operator runs on a node before its first SST: it looks at
// everything an SST of either role would look at, and says what an SST would refuse,
// trip over or put up with.
//
// It promises to do no harm, on a running node too: nothing is written, no lock is
// taken. The port is opened for a moment, and only while no SST runs and nobody listens
// there. Every wait ends.
//
// It leaves to others: what the settings mean (sst), which files are sent (sst/plan),
// what makes a certificate good (tls). What it says of them is what they say.
package check

import (
	"context"
	"os"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// Options are what is checked. The zero value is the node as mariadbd's option files
// have it.
type Options struct {
	Defaults mycnf.Args
	Method   string   // "" = wsrep_sst_method
	Datadir  string   // "" = that of the option files
	Mysqld   []string // mariadbd's own arguments, if it is started with some

	// What follows is for tests; the zero value is this machine.
	LookupEnv func(string) (string, bool)
	Dirs      []string // of option files
	Self      string   // the file of this program
	Now       func() time.Time
	ServerDir string // "" = found; mariadbd's program directory
}

func (o Options) withDefaults() Options {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Node looks at this node alone.
func Node(ctx context.Context, o Options) *Report {
	o = o.withDefaults()
	r := &Report{}
	n := readNode(o, r)
	if n == nil {
		return r
	}
	n.program()
	n.clock()
	n.trust()
	n.keys()
	busy := n.running()
	if n.datadir() {
		if !busy {
			n.leftovers()
		}
		n.places(ctx)
	}
	n.port(ctx)
	return r
}
