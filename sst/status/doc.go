// Package status keeps the small file that tells what the SSTs of a node are doing,
// for probes, supervisors and people: the one under way, and how the last ten ended.
//
// What it promises: the file is replaced as a whole, so a reader never sees half of
// it; it is written at each change of phase and every few seconds, by whoever works,
// so a file that is not refreshed tells of a process that has stopped; a reader
// finds out whether that process still lives without signalling it. A file that
// cannot be written is said once and is no reason to end an SST. Reading is bounded.
//
// What it leaves to others: where the file is (sst), and what is done about it.
package status
