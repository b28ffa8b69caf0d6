// Package bench measures what an SST can do on this host or between two hosts, and
// what limits it.
//
//   - [Local]: a donor and a joiner in two processes on this host, run as mariadbd runs
//     them; the limits of reading, TLS, network and writing, each alone, and a bare
//     program that does no more than these four; and, if asked for, the programs whose
//     place ours takes. All on the same data, in turns, medians of the rounds.
//   - [Grow]: the same with more and more data and connections.
//   - [Listen] and [Connect]: between two hosts.
//   - [End]: one end of a limit, in a process of its own so that its CPU and memory can be
//     told from the other's.
//
// It promises:
//   - Nothing is written but into one temporary folder, which is gone afterwards, as are
//     all processes, also after a signal. Room is checked before.
//   - A figure is only reported for a copy that arrived: names and lengths are compared,
//     contents are what the programs verify themselves.
//
// It leaves to others: how the roles are played (mariadbd), what data looks like
// (lookalike), and flags.
package bench
