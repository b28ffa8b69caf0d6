package sst

import (
	"os"
	"path"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// Which files need not be read under the lock, since a copy made before it is provably
// what they are now (precopy-facts.md, the ten rules of its end). The stamps of a file
// lie in two ways that were measured: a write is stamped when it is submitted, and its
// bytes land later, on a slow disk seconds later; and a store to a page that is mapped
// and dirty already moves no stamp at all. So only kinds of files count that are not
// written through mappings, and only copies whose reading began long after the stamp.

// settleMargin is how much older than the read a stamp has to be. It has to be longer
// than the disk takes for its slowest write; 2.1 s was seen. A disk that shows to be slow
// meanwhile raises it (rule 5, writeProbe).
const settleMargin = 30 * time.Second

// A copied says how a file was copied last.
type copied struct {
	stamp ext.Stamp // when its reading began
	begun time.Time // just after that
	// whole: the stamp was the same when the last byte had been read, and as many bytes
	// were read as it says.
	whole bool
}

func copiedBy(r ext.Result) copied {
	return copied{stamp: r.Before, begun: r.ReadStart, whole: r.Err == nil && r.Before == r.After && r.Read == r.Before.Size}
}

// changed is when a file with that stamp was changed last.
func changed(s ext.Stamp) time.Time { return time.Unix(0, max(s.MtimeNs, s.CtimeNs)) }

// A skipping decides.
type skipping struct {
	margin time.Duration
	kinds  []string // suffixes of the files that may be skipped at all
	clock  *clockWatch
	disks  *disks
	writes *writeProbe
}

// settledKinds are written by write(2) or io_submit(2) alone: 0 of 358,000 "unchanged"
// files of them were wrong on a disk that keeps up. Not among them: MYD, which
// myisam_use_mmap maps, and every kind of an engine that nobody measured.
var settledKinds = []string{".ibd", ".frm", ".par", ".opt", ".MAD", ".MAI", ".MYI", ".CSM", ".CSV", ".TRG", ".TRN"}

func newSkipping() skipping {
	return skipping{margin: settleMargin, kinds: settledKinds, clock: newClockWatch(), disks: newDisks()}
}

// sure says that the copy c is what the file is now.
func (s skipping) sure(f *counted, c copied) bool {
	return c.whole && c.stamp == f.stamp && s.settled(c) && s.mayRest(f)
}

// mayRest says whether such a file may be skipped at all.
func (s skipping) mayRest(f *counted) bool {
	return f.inDatabase() && slices.Contains(s.kinds, path.Ext(f.name)) && s.disks.trusted(f) && !s.clock.stepped()
}

// settled: whatever the stamp announced had landed when the reading began. A stamp in
// the future says nothing.
func (s skipping) settled(c copied) bool { return c.begun.Sub(changed(c.stamp)) >= s.age() }

// age is the margin, as the disk is.
func (s skipping) age() time.Duration { return max(s.margin, s.writes.margin()) }

// ripe says that a copy that is not settled would be, were it made now.
func (s skipping) ripe(f *counted, now time.Time) bool { return now.Sub(changed(f.stamp)) >= s.age() }

// readAgain guesses that the file will be read under the lock, whenever it is copied.
func (s skipping) readAgain(f *counted, now time.Time) bool {
	return !s.mayRest(f) || now.Sub(changed(f.stamp)) < warmAge
}

// maxStep is how far the clock may move against one that is never set.
const maxStep = time.Second

// A clockWatch notices that the clock was set: a step forward makes stamps look old.
type clockWatch struct {
	offset func() time.Duration
	start  time.Duration
	moved  bool
}

func newClockWatch() *clockWatch {
	w := &clockWatch{offset: clockOffset}
	w.start = w.offset()
	return w
}

// stepped is true from the moment that a step was seen.
func (w *clockWatch) stepped() bool {
	if d := w.offset() - w.start; d >= maxStep || d <= -maxStep {
		w.moved = true
	}
	return w.moved
}

// clockOffset is the distance of the two clocks. Slewing moves both.
func clockOffset() time.Duration {
	var real, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_REALTIME, &real) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return time.Duration(time.Now().UnixNano()) // moves all the time: nothing is skipped
	}
	return time.Duration(real.Nano() - mono.Nano())
}

// disks knows the file systems whose stamps are those of the kernel that we run on.
type disks struct {
	kind  func(dir string) (int64, error)
	known map[uint64]bool
}

func newDisks() *disks { return &disks{kind: fileSystem, known: map[uint64]bool{}} }

// trustedDisks: on ext4 the rules were measured; xfs and btrfs stamp in the same place.
// Not those behind a network or a FUSE process, which stamp when they like; nor overlay,
// whose inode numbers may change. (What is in memory is read fast enough.)
var trustedDisks = []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}

func (d *disks) trusted(f *counted) bool {
	ok, known := d.known[f.stamp.Dev]
	if !known {
		kind, err := d.kind(path.Dir(f.path()))
		ok = err == nil && slices.Contains(trustedDisks, kind)
		d.known[f.stamp.Dev] = ok
	}
	return ok
}

func fileSystem(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Type), nil
}
