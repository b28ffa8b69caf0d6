// Package dtls carries the connections of an SST over UDP: SCTP (RFC 9260) makes
// reliable, ordered, congestion-controlled streams of DTLS 1.2 (RFC 6347), both by
// pion. A [Dialer] and a [Listener] hand out a net.Conn for each stream; all streams
// of one pair of processes share one association, so that one handshake serves them
// all. Both ends are ours: nothing else speaks this.
//
// A connection begins in layers, each of which keeps strangers from the next:
//
//   - The knock (knock.go) is a cookie exchange without any state in the listener. It
//     shows that the peer receives what is sent to its address, and that both speak
//     this protocol. DTLS has such an exchange, too (HelloVerifyRequest), but pion
//     keeps a connection for each first datagram, from wherever it claims to come.
//   - The handshake of DTLS, in which both sides show certificates. Which of them are
//     good is decided by the package tls ([Config].Verify), as for TLS.
//   - The association of SCTP, and a stream for each connection (conn.go).
//
// What it promises of a [Conn]: deadlines as of any net.Conn; Close sends what was
// written before it returns, or gives up after [lingerLimit], since no kernel would go
// on sending for a process that has ended; an end of the association without a word is
// never taken for the end of the stream. Each stream has a window of its own (credit,
// as in HTTP/2), so that one that nobody reads stops no other.
//
// What comes from the network is bounded: flows, streams, what each of them buffers,
// and how much is protected by one set of keys (wear.go).
package dtls
