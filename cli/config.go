package cli

import (
	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/cli/config"
)

type configCommand struct {
	Method  string `placeholder:"METHOD" enum:",rsync_tunnel,rsync,rsync_wan" default:"" help:"rsync_tunnel, rsync or rsync_wan; wsrep_sst_method if not given."`
	Datadir string `placeholder:"DIR" help:"That of the option files if not given."`
	Address string `placeholder:"HOST[:PORT]" help:"The joiner's, for the name that a donor wants in its certificate."`

	DefaultsFile        *string `placeholder:"FILE" help:"As mariadbd is started with; so the next two."`
	DefaultsExtraFile   *string `placeholder:"FILE" help:"Read besides the usual ones."`
	DefaultsGroupSuffix *string `placeholder:"SUFFIX" help:"Of groups that are read too."`

	JSON       bool `name:"json" help:"Print one JSON object."`
	MysqldArgs rest `name:"mysqld-args" placeholder:"ARG..." help:"All that follows is mariadbd's own command line."`
}

// rest takes all that follows a flag, dashes or not.
type rest []string

// Decode implements kong's interface for types that parse themselves.
func (r *rest) Decode(ctx *kong.DecodeContext) error {
	for ctx.Scan.Len() > 0 {
		*r = append(*r, ctx.Scan.Pop().String())
	}
	return nil
}

// Run prints the settings, and fails if no SST can have them.
func (k configCommand) Run(c console) error {
	o := config.Options{Method: k.Method, Datadir: k.Datadir, Address: k.Address, Mysqld: k.MysqldArgs}
	d := &o.Defaults
	for _, a := range []struct {
		given *string
		to    *string
		has   *bool
	}{
		{k.DefaultsFile, &d.File, &d.HasFile},
		{k.DefaultsExtraFile, &d.ExtraFile, &d.HasExtra},
		{k.DefaultsGroupSuffix, &d.Suffix, &d.HasSuffix},
	} {
		if a.given != nil {
			*a.to, *a.has = *a.given, true
		}
	}
	r, err := config.Read(o)
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
