// Package sessions tests the engine against the rsync program of the machine, in both roles, with the very runs that
// SST scripts make (script-sessions.md): T1 to T4 of the tunnel script, R1 to R7 of the stock script.
//
// Each suite runs twice on equal copies of a stale destination: once between two rsyncs, once with our engine in the
// place of the sender or of the daemon. After every single run the two destinations have to be equal in type, mode,
// owner, content and links, so the same files were made, changed, spared and deleted.
package sessions
