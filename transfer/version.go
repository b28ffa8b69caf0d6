package transfer

import "wsrep_sst_rsync_tunnel/transfer/wire"

// The rsync protocols that are spoken.
const (
	MinProtocol = wire.MinProto
	MaxProtocol = wire.MaxProto
)
