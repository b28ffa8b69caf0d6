package cli

import (
	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// serverFlags are those of mariadbd's arguments that decide which option files there
// are.
type serverFlags struct {
	DefaultsFile        *string `name:"defaults-file" placeholder:"FILE" help:"As mariadbd is started with."`
	DefaultsExtraFile   *string `name:"defaults-extra-file" placeholder:"FILE" help:"As mariadbd is started with."`
	DefaultsGroupSuffix *string `name:"defaults-group-suffix" placeholder:"SUFFIX" help:"As mariadbd is started with."`
}

func (k serverFlags) defaults() mycnf.Args {
	var a mycnf.Args
	for _, d := range []struct {
		from *string
		to   *string
		has  *bool
	}{
		{k.DefaultsFile, &a.File, &a.HasFile},
		{k.DefaultsExtraFile, &a.ExtraFile, &a.HasExtra},
		{k.DefaultsGroupSuffix, &a.Suffix, &a.HasSuffix},
	} {
		if d.from != nil {
			*d.to, *d.has = *d.from, true
		}
	}
	return a
}

// serverWords are all that follows a flag, dashes or not.
type serverWords []string

// Decode takes them.
func (w *serverWords) Decode(ctx *kong.DecodeContext) error {
	for ctx.Scan.Len() > 0 {
		*w = append(*w, ctx.Scan.Pop().String())
	}
	return nil
}
