// Package lookalike makes directories that look like the data directories of a
// MariaDB server with Galera, without one: a donor's, and that of a former member
// that will join again.
//
// It promises every kind of file and name that an SST has an opinion on: table
// spaces of real pages with right checksums, some with holes, redo, undo, Aria,
// databases that are links, names with blanks, raw bytes and wildcards; and beside
// them what must never travel. For each name it says what an SST has to make of it
// ([Datadir.Fate]). That is stated here by hand, as the documentation of the server
// and of the stock scripts has it, and not asked of the program under test.
//
// It leaves to others to run the SST and to compare. No server could start on such
// a directory.
package lookalike
