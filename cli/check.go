package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/cli/check"
)

type checkCommand struct {
	serverFlags
	Method  string `placeholder:"METHOD" enum:",rsync_tunnel,rsync,rsync_wan" default:"" help:"rsync_tunnel, rsync or rsync_wan; wsrep_sst_method of the option files if not given."`
	Datadir string `placeholder:"DIR" help:"That of the option files if not given."`

	Listen  optional      `placeholder:"[ADDR]" help:"Wait for check --peer of another node at the joiner's address, or at ADDR (HOST:PORT, HOST, PORT), and say what it is."`
	Timeout time.Duration `default:"10m" help:"How long --listen waits."`
	Peer    string        `placeholder:"HOST[:PORT]" help:"Try the TLS handshake of an SST with check --listen on another node."`

	JSON       bool        `name:"json" help:"Print one JSON object."`
	MysqldArgs serverWords `name:"mysqld-args" placeholder:"ARG..." help:"All that follows is mariadbd's own command line."`
}

// An optional flag may have a value.
type optional struct {
	Given bool
	Text  string
}

// Decode takes a value if there is one.
func (o *optional) Decode(ctx *kong.DecodeContext) error {
	o.Given = true
	if ctx.Scan.Peek().IsValue() {
		o.Text = ctx.Scan.Pop().String()
	}
	return nil
}

// Run checks, and fails when there are errors.
func (k checkCommand) Run(c console) error {
	if k.Listen.Given && k.Peer != "" {
		return fmt.Errorf("check: --listen and --peer belong on two nodes")
	}
	file, err := self()
	if err != nil {
		return err
	}
	o := check.Options{Method: k.Method, Datadir: k.Datadir, Mysqld: k.MysqldArgs, Self: file, Defaults: k.defaults()}
	var r *check.Report
	switch {
	case k.Listen.Given:
		say := func(r *check.Report, text string) {
			if !k.JSON { // the object comes in one piece
				_ = r.Tell(c.out) // an error comes again with the rest
				fmt.Fprintln(c.out, text)
			}
		}
		r = check.Listen(c, o, k.Listen.Text, k.Timeout, say)
	case k.Peer != "":
		r = check.Peer(c, o, k.Peer)
	default:
		r = check.Node(c, o)
	}
	tell := r.Tell
	if k.JSON {
		tell = r.TellJSON
	}
	if err := tell(c.out); err != nil {
		return err
	}
	if c.Err() != nil { // what was not looked at any more is no good news
		return context.Cause(c)
	}
	return r.Err()
}
