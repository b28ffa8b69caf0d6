// Package plan decides which files an SST sends, from where, by which module, and
// what is protected. It is the only place that does: the two roles, the rsync
// engine and the lifecycle of the joiner's data directory all ask it.
//
// What becomes of which file is one table, [kinds]. Everything at the top of a
// data directory that is not in it stays where it is; directories are databases.
//
// It promises:
//   - Donor finds what cannot be sent whole (tables outside the roots, links that
//     lead nowhere, files that may not be read) before anything is locked.
//   - No configured path that is not data leaves the donor, and none is written or
//     removed at the joiner: certificates, key files, logs, binlogs, temporary
//     directories, and everything else in a directory that holds such a path and
//     no table.
//   - It looks (readdir, stat, readlink, access, and the text of .isl files) and
//     changes nothing.
//
// It leaves to others: reading option files, opening files, the rsync options that
// are the same in all sessions, the binlog archive, and the magic file.
package plan
