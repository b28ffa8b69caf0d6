package ext

import "wsrep_sst_rsync_tunnel/transfer/flist"

func quote(name string) string { return flist.Quote(name) }
