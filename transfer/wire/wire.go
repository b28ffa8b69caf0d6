// Package wire is the lowest layer of the rsync protocol, versions 30 to 32: the text handshake's lines, the greeting and
// what two peers agree on, the primitive encodings, and the multiplexed frames that carry everything after the handshake.
// The reference is rsync-wire.md, sections 2 to 6, 16 and 17; every exported name says which part it is.
//
// What it promises:
//
//   - A [Reader] allocates no more than the limits of this package, whatever the peer sends, and every failure that is the
//     peer's fault is a [*ProtocolError] that names the section. It never blocks to fill its buffer: one Read of the
//     connection that brings a byte is enough.
//   - A [Writer] gathers the stream in a large buffer and hands it to the connection in few calls. A file can be read
//     straight into that buffer ([Writer.Reserve]). Messages and keep-alives of other goroutines go between two frames.
//   - The hot paths, [Reader.Next] and [Writer.Reserve], neither copy nor allocate.
//
// What it leaves to others: the meaning of messages (exit codes, time-outs, io_error bits), which items follow one
// another, and the goroutines. It starts none.
package wire
