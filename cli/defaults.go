package cli

import "wsrep_sst_rsync_tunnel/mycnf"

// defaultsFlags are the arguments that say which option files are read.
type defaultsFlags struct {
	DefaultsFile        *string `placeholder:"FILE" help:"As mariadbd is started with; so the next two."`
	DefaultsExtraFile   *string `placeholder:"FILE" help:"Read besides the usual ones."`
	DefaultsGroupSuffix *string `placeholder:"SUFFIX" help:"Of groups that are read too."`
}

// args are the flags as mariadbd hands them to an SST.
func (f defaultsFlags) args() (d mycnf.Args) {
	for _, a := range []struct {
		given *string
		to    *string
		has   *bool
	}{
		{f.DefaultsFile, &d.File, &d.HasFile},
		{f.DefaultsExtraFile, &d.ExtraFile, &d.HasExtra},
		{f.DefaultsGroupSuffix, &d.Suffix, &d.HasSuffix},
	} {
		if a.given != nil {
			*a.to, *a.has = *a.given, true
		}
	}
	return d
}
