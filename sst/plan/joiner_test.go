package plan

import (
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// accepted says whether a module lets a file be written.
func accepted(t *testing.T, m Module, name string) bool {
	t.Helper()
	return !rules(t, m.Protect).Excluded(filter.Receiver, name, false)
}

func acceptedDir(t *testing.T, m Module, name string) bool {
	t.Helper()
	return !rules(t, m.Protect).Excluded(filter.Receiver, name, true)
}
