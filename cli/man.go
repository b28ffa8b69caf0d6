package cli

import (
	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/cli/completion"
	"wsrep_sst_rsync_tunnel/cli/manual"
	"wsrep_sst_rsync_tunnel/sst"
)

type manCommand struct{}

// Run prints the page.
func (manCommand) Run(c console, k *kong.Context) error {
	return manual.Write(c.out, k.Model, sst.Version)
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script.
func (s completionCommand) Run(c console, k *kong.Context) error {
	return completion.Write(c.out, k.Model, s.Shell)
}
