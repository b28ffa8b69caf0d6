package cli

import (
	stdtls "crypto/tls"
	"fmt"
	"runtime"
	"runtime/debug"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
)

// stamp is the commit that the Makefile built from, set by the linker: what go build
// notes by itself depends on whether git may read the checkout, and the bytes of a
// release must not. Empty in a binary of a bare `go build`.
var stamp string

type versionCommand struct{}

// Run prints the version, and what a bug report should say of this program.
func (versionCommand) Run(c console) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintf(c.out, "%s %s\ncommit  %s\ngo      %s %s/%s\nrsync   protocols %d to %d\ntls     %s to %s, ALPN %s\n",
		program, sst.Version, commitOf(stamp, info), runtime.Version(), runtime.GOOS, runtime.GOARCH,
		transfer.MinProtocol, transfer.MaxProtocol,
		stdtls.VersionName(tls.MinVersion), stdtls.VersionName(tls.MaxVersion), tls.ALPN)
	return err
}

// commitOf is the Makefile's stamp, or what go build noted of the sources: nothing if
// they were no checkout.
func commitOf(stamp string, info *debug.BuildInfo) string {
	if stamp != "" {
		return stamp
	}
	noted := map[string]string{}
	if info != nil {
		for _, s := range info.Settings {
			noted[s.Key] = s.Value
		}
	}
	commit := noted["vcs.revision"]
	if commit == "" {
		return "not known: not built in a checkout"
	}
	if t := noted["vcs.time"]; t != "" {
		commit += " of " + t
	}
	if noted["vcs.modified"] == "true" {
		commit += ", with changes"
	}
	return commit
}
