// Package transfer is an rsync engine for protocols 30, 31 and 32: it pushes a
// selection of files to a module of a daemon (Push), and it is such a daemon
// whose modules can be written (Daemon). It knows nothing of MariaDB, TLS or
// option files and works over any net.Conn.
//
// What it promises: real rsync 3.1 to 3.5 can stand on the other side of either
// role; whatever the peer sends is bounded before it is stored, and no path
// leaves the root of its module; every wait ends with the context or with the
// time-out of the session; and a session that returns nil left every file of
// its list verified by digest.
//
// What it leaves to others: which files to send (the caller's filter rules and
// Source), where they are put (Store), who the peer is (the caller authenticated
// the connection), and when to try again. It does not offer or grant incremental
// recursion, compression, hard links, ACLs, extended attributes, and refuses a
// peer that insists on one of them.
//
// The seams are Source (what is sent), Store (where it lands) and Basis (what is
// known of the file that is there already). The layers below are one package
// each: wire, filter, flist, delta.
//
// Section numbers in comments are those of rsync-wire.md, our description of the
// protocol.
package transfer
