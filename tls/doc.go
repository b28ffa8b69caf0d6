// Package tls is the secure channel of an SST: it listens and dials with the
// certificates of the [sst] group and with the socat address options of sockopt.
//
// A joiner loads a [Channel] in the role [Joiner], listens, and hands each
// accepted connection to [Channel.Server]. A donor loads one in the role [Donor]
// and calls [Channel.Dial] as often as it needs a connection.
//
// What it promises:
//
//   - Everything that can be read and checked is checked by [Load], before the
//     joiner says ready and before the donor locks a table.
//   - TLS 1.2 at least. A certificate is demanded of the peer and verified unless
//     sockopt says verify=0. The donor also checks that the joiner's certificate
//     bears the name of the host it was sent to, by CN or by SAN, as socat does.
//   - Every member of tca is a trust anchor, an intermediate or a node's own
//     certificate as well as a root. (socat wants a self-signed one.)
//   - Certificate files are read again at each handshake until one has succeeded,
//     and then held: a certificate renewed while a joiner waits for its donor
//     needs no restart, and all connections of one SST see the same trust.
//   - Nothing is logged. What an operator should know comes back as an error with
//     a hint (see [Hint]), from [Channel.Warnings] or from [Channel.Describe].
//
// It leaves to others: which peer owns the SST (the callers compare
// [Peer].Fingerprint), what is said over the connection, the hello that follows an
// agreed ALPN included, plain text connections, and certificate revocation.
package tls
