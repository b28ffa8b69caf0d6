package wire

// Limits of rsync-wire.md §2, §3.1, §5 and §17.1. A peer that goes beyond one is refused before anything is allocated for it.
const (
	MaxLineWrite = 1000 // handshake line we send, without its newline: 3.0.x reads into 1 KiB
	MaxLine      = 5120 // handshake line we accept, without its newline

	MaxArg      = 5120    // bytes of one argument
	MaxArgs     = 16000   // arguments in one list
	MaxArgBytes = 1 << 20 // all arguments of one list together; real clients send under 1 KiB

	MaxNegotiation = 255  // negotiation vstring: the list of checksum or compression names
	MaxRule        = 5119 // filter rule as transmitted
	MaxName        = 4095 // path name in the file list, symlink target, pattern of a filter rule
	MaxOwner       = 255  // user or group name

	MaxText    = 4000 // text message we send; longer ones are cut
	MaxMessage = 5119 // text message we accept: real receivers refuse more

	MaxFrame   = 1<<16 - 1                            // payload of a data frame we send; any 24-bit length is accepted
	MaxReserve = 32<<10 + 16                          // most that Writer.Reserve gives: a literal of 32 KiB with what stands around it
	MaxVString = 1<<15 - 1                            // what the encoding of a vstring can hold
	maxFrames  = 8                                    // literals of full size in one write to the connection
	headerLen  = 4                                    // frame header
	bufferLen  = maxFrames * (headerLen + MaxReserve) // 256 KiB and a little
)
