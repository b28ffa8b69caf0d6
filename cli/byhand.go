package cli

import (
	"os"

	"wsrep_sst_rsync_tunnel/sst"
)

type receiveCommand struct {
	Address string `placeholder:"HOST[:PORT]" help:"Where to listen; this host's name and 4444 if not given."`
	Datadir string `placeholder:"DIR" help:"Empty; that of the option files if not given."`
	Replace bool   `help:"There is old data in it, which may go."`
	serverFlags
}

// Run receives a data directory.
func (r receiveCommand) Run(c console) error {
	h := sst.ByHand{Address: r.Address, Datadir: r.Datadir, Defaults: r.defaults(), Replace: r.Replace}
	return byHandStatus(sst.Receive(h, os.Environ(), c.out, c.err))
}

type sendCommand struct {
	Address  string `arg:"" help:"What receive has printed."`
	Datadir  string `placeholder:"DIR" help:"That of the option files if not given."`
	Locked   bool   `help:"Its server runs, and a session of yours holds FLUSH TABLES WITH READ LOCK."`
	Position string `placeholder:"UUID:SEQNO" help:"Where the data stands in its cluster's history, if that is asked for."`
	serverFlags
}

// Run sends one.
func (s sendCommand) Run(c console) error {
	h := sst.ByHand{Address: s.Address, Datadir: s.Datadir, Defaults: s.defaults(), Locked: s.Locked, Position: s.Position}
	return byHandStatus(sst.Send(h, os.Environ(), c.out, c.err))
}

// byHandStatus: what went wrong is in the log, which is on stderr.
func byHandStatus(code int) error {
	if code == 0 {
		return nil
	}
	return exitStatus(code)
}
