package cli

import "wsrep_sst_rsync_tunnel/cli/config"

type configCommand struct {
	Method  string `placeholder:"METHOD" enum:",rsync_tunnel,rsync,rsync_wan" default:"" help:"rsync_tunnel, rsync or rsync_wan; wsrep_sst_method if not given."`
	Datadir string `placeholder:"DIR" help:"That of the option files if not given."`
	Address string `placeholder:"HOST[:PORT]" help:"The joiner's, for the name that a donor wants in its certificate."`

	serverFlags

	JSON       bool        `name:"json" help:"Print one JSON object."`
	MysqldArgs serverWords `name:"mysqld-args" placeholder:"ARG..." help:"All that follows is mariadbd's own command line."`
}

// Run prints the settings, and fails if no SST can have them.
func (k configCommand) Run(c console) error {
	r, err := config.Read(config.Options{Method: k.Method, Datadir: k.Datadir, Address: k.Address, Mysqld: k.MysqldArgs, Defaults: k.defaults()})
	if err != nil {
		return err
	}
	tell := r.Tell
	if k.JSON {
		tell = r.TellJSON
	}
	if err := tell(c.out); err != nil {
		return err
	}
	return r.Err()
}
