// Package ext is what only our own two ends speak: contents of files by ranges,
// over several connections at once, with remembered digests. The rsync engine
// (package transfer) makes directories and links and removes what must go; this
// package fills the regular files. docs/own-protocol.md describes the wire.
//
// The donor has a Sender, which lives as long as the SST. Each Send reads files
// once, compares blocks of 16 KiB with what Memory knows of the joiner's, and sends
// those that differ; it returns when the joiner has written and verified all. A
// connection that breaks is made again by Options.Dial, and only what was not
// acknowledged is sent twice. The joiner has a Receiver, whose Serve takes one
// connection.
//
// What it promises: every byte that Send reports was hashed where it was read and
// again where it was written, and before a file is committed the digests of all
// its blocks agree. Whatever a peer sends is bounded before it is stored, and files
// are reached only through transfer.Store, under names that the file list would
// accept. Every wait ends with the context, with the connection, or with
// Options.Timeout.
//
// Memory of the data path, for each connection: at most 4 buffers of 268 KiB on either end; at the
// joiner 300 KiB more while it is asked for digests; with zstd about 2 MiB more. Memory of digests: 32
// MiB, and about 400 bytes and its name for each file; at most 4 Mi files and 256 MiB of names.
//
// What it leaves to others: who the peer is, and what to try again how often
// (Dial), which files, whether they stay as they are (Result tells the stamps
// before and after), and their directories, which must be there.
package ext
