// Package hostile tries to harm the engine from the other end of the connection: as a donor with a valid certificate that
// wants more than to send a database, as a joiner that wants more than to receive one, and as a fuzzer that changes recorded
// sessions of real rsync field by field. It consists of tests only; docs/security.md tells which promise each one holds.
package hostile
