package sst

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// settledFile is a file that may be skipped: copied whole, 40 s after its last change,
// and the same now. Each test below takes one of the conditions away.
func settledFile() (skipping, *counted, copied) {
	read := time.Unix(1_800_000_000, 0)
	stamp := ext.Stamp{Dev: 1, Ino: 2, Size: 3, MtimeNs: read.Add(-40 * time.Second).UnixNano(), CtimeNs: read.Add(-40 * time.Second).UnixNano()}
	s := skipping{
		margin: settleMargin, kinds: settledKinds,
		clock: &clockWatch{offset: func() time.Duration { return 0 }},
		disks: &disks{kind: func(string) (int64, error) { return unix.EXT4_SUPER_MAGIC, nil }, known: map[uint64]bool{}},
	}
	f := &counted{fileKey: fileKey{uint8(plan.DataDir), "db/t.ibd"}, stamp: stamp, src: &selected{Session: plan.Session{Dir: "/data"}}}
	return s, f, copied{stamp: stamp, begun: read, whole: true}
}

func TestAFileIsSkippedIfAllTenRulesHold(t *testing.T) {
	s, f, c := settledFile()
	if !s.sure(f, c) {
		t.Fatal("a file that is provably unchanged is read again")
	}
	for name, broken := range map[string]func(*skipping, *counted, *copied){
		// Rules 1 and 2.
		"MyISAM's data may be mapped":    func(_ *skipping, f *counted, _ *copied) { f.name = "db/t.MYD" },
		"an engine that nobody measured": func(_ *skipping, f *counted, _ *copied) { f.name = "db/t.mrn" },
		"a file without a kind":          func(_ *skipping, f *counted, _ *copied) { f.name = "db/ibd" },
		"a suffix in other letters":      func(_ *skipping, f *counted, _ *copied) { f.name = "db/t.IBD" },
		"a file at the top":              func(_ *skipping, f *counted, _ *copied) { f.name = "t.ibd" },
		"the redo log":                   func(_ *skipping, f *counted, _ *copied) { f.fileKey = fileKey{uint8(plan.LogDir), "ib_logfile0"} },
		"the system table space":         func(_ *skipping, f *counted, _ *copied) { f.fileKey = fileKey{uint8(plan.HomeDir), "x/system.ibd"} },
		"an undo table space":            func(_ *skipping, f *counted, _ *copied) { f.fileKey = fileKey{uint8(plan.UndoDir), "undo001"} },
		"Aria's log": func(_ *skipping, f *counted, _ *copied) {
			f.fileKey = fileKey{uint8(plan.AriaDir), "aria_log.00000001"}
		},
		// Rule 3.
		"NFS": func(s *skipping, _ *counted, _ *copied) {
			s.disks.kind = func(string) (int64, error) { return unix.NFS_SUPER_MAGIC, nil }
		},
		"FUSE": func(s *skipping, _ *counted, _ *copied) {
			s.disks.kind = func(string) (int64, error) { return unix.FUSE_SUPER_MAGIC, nil }
		},
		"overlay": func(s *skipping, _ *counted, _ *copied) {
			s.disks.kind = func(string) (int64, error) { return unix.OVERLAYFS_SUPER_MAGIC, nil }
		},
		"a file system that cannot be asked": func(s *skipping, _ *counted, _ *copied) {
			s.disks.kind = func(string) (int64, error) { return unix.EXT4_SUPER_MAGIC, errors.New("no") }
		},
		// Rule 4.
		"changed while it was read, or read short": func(_ *skipping, _ *counted, c *copied) { c.whole = false },
		"never copied": func(_ *skipping, _ *counted, c *copied) { *c = copied{} },
		// Rule 5.
		"content stamped 29 s before the read": func(_ *skipping, f *counted, c *copied) {
			f.stamp.MtimeNs = c.begun.Add(-29 * time.Second).UnixNano()
			c.stamp = f.stamp
		},
		"attributes stamped 29 s before the read": func(_ *skipping, f *counted, c *copied) {
			f.stamp.CtimeNs = c.begun.Add(-29 * time.Second).UnixNano()
			c.stamp = f.stamp
		},
		"a stamp in the future": func(_ *skipping, f *counted, c *copied) {
			f.stamp.MtimeNs = c.begun.Add(time.Hour).UnixNano()
			c.stamp = f.stamp
		},
		// Rule 6.
		"the clock was set forward": func(s *skipping, _ *counted, _ *copied) { s.clock.offset = func() time.Duration { return time.Second } },
		"the clock was set back": func(s *skipping, _ *counted, _ *copied) {
			s.clock.offset = func() time.Duration { return -time.Minute }
		},
		// Rule 7.
		"another device": func(_ *skipping, f *counted, _ *copied) { f.stamp.Dev++ },
		"another file":   func(_ *skipping, f *counted, _ *copied) { f.stamp.Ino++ },
		"another length": func(_ *skipping, f *counted, _ *copied) { f.stamp.Size++ },
		"another mtime":  func(_ *skipping, f *counted, _ *copied) { f.stamp.MtimeNs++ },
		"another ctime":  func(_ *skipping, f *counted, _ *copied) { f.stamp.CtimeNs++ },
	} {
		s, f, c := settledFile()
		broken(&s, f, &c)
		if s.sure(f, c) {
			t.Errorf("%s: skipped", name)
		}
	}
}

// A clock that was set forward and back again has made stamps look old meanwhile.
func TestAStepOfTheClockIsRemembered(t *testing.T) {
	offset := time.Duration(0)
	w := &clockWatch{offset: func() time.Duration { return offset }}
	for _, step := range []struct {
		offset time.Duration
		want   bool
	}{{0, false}, {900 * time.Millisecond, false}, {time.Hour, true}, {0, true}} {
		if offset = step.offset; w.stepped() != step.want {
			t.Errorf("offset %v: %v", offset, !step.want)
		}
	}
}

func TestTheClockOfThisMachineStandsStill(t *testing.T) {
	if newClockWatch().stepped() {
		t.Error("a step is seen where none was")
	}
}

// Rule 8: what was read too early is read again in a round that comes late enough.
func TestAFileIsReadAgainOnceItIsOldEnough(t *testing.T) {
	s, f, c := settledFile()
	c.begun = changed(c.stamp).Add(5 * time.Second)
	if s.settled(c) || !s.ripe(f, changed(f.stamp).Add(30*time.Second)) || s.ripe(f, changed(f.stamp).Add(29*time.Second)) {
		t.Error("not by the margin")
	}
}

// Rule 10: which files the fence sends again.
func TestTheFenceStopsWhatMoved(t *testing.T) {
	locked := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		file   string
		root   plan.Root
		stamp  time.Duration // after the lock
		read   time.Duration // after the stamp
		change func(*counted, *copied)
		moved  bool
	}{
		"written before the lock":                       {file: "db/t.ibd", stamp: -time.Second, read: time.Millisecond},
		"written under the lock, read long after":       {file: "db/t.ibd", stamp: time.Second, read: 2 * time.Second},
		"written under the lock, and read at once":      {file: "db/t.ibd", stamp: time.Second, read: 900 * time.Millisecond, moved: true},
		"an undo table space likewise":                  {file: "undo001", root: plan.UndoDir, stamp: time.Second, read: 900 * time.Millisecond, moved: true},
		"Aria's log is not written past the page cache": {file: "aria_log.00000001", root: plan.AriaDir, stamp: time.Second, read: time.Second},
		"Aria's log, read at once":                      {file: "aria_log.00000001", root: plan.AriaDir, stamp: time.Second, read: 100 * time.Millisecond, moved: true},
		"the general log grows on":                      {file: "mysql/general_log.CSV", stamp: time.Second, read: 0, change: func(f *counted, _ *copied) { f.stamp.Size++ }},
		"a table of that name elsewhere":                {file: "db/general_log.CSV", stamp: time.Second, read: time.Hour, change: func(f *counted, _ *copied) { f.stamp.Size++ }, moved: true},
		"changed while it was read":                     {file: "db/t.frm", stamp: -time.Hour, read: time.Hour, change: func(_ *counted, c *copied) { c.whole = false }, moved: true},
		"replaced":                                      {file: "db/t.frm", stamp: -time.Hour, read: time.Hour, change: func(f *counted, _ *copied) { f.stamp.Ino++ }, moved: true},
		"new":                                           {file: "db/t.frm", stamp: -time.Hour, read: time.Hour, change: func(f *counted, _ *copied) { f.name = "db/new.frm" }, moved: true},
	} {
		at := locked.Add(c.stamp)
		f := counted{fileKey: fileKey{uint8(c.root), c.file}, stamp: ext.Stamp{Dev: 1, Ino: 2, Size: 3, MtimeNs: at.UnixNano()}}
		last := copied{stamp: f.stamp, begun: at.Add(c.read), whole: true}
		key := f.fileKey
		if c.change != nil {
			c.change(&f, &last)
		}
		copies := &copier{donor: &donor{}, copies: map[fileKey]copied{key: last}}
		moved, wait := copies.moved(&census{files: []counted{f}}, locked)
		if (len(moved) == 1) != c.moved || wait > 0 {
			t.Errorf("%s: moved %v, wait %v", name, len(moved), wait)
		}
	}
}

// A write that is in flight is waited for, while others are copied; its file is read again
// when it must have landed, and not before.
func TestTheFenceWaitsForWritesInFlight(t *testing.T) {
	now := time.Now()
	file := func(name string) counted {
		return counted{fileKey: fileKey{0, name}, stamp: ext.Stamp{MtimeNs: now.UnixNano()}}
	}
	landing, gone := file("db/a.ibd"), file("db/b.ibd")
	c := &copier{donor: &donor{}, copies: map[fileKey]copied{landing.fileKey: {stamp: landing.stamp, begun: now, whole: true}}}
	locked := now.Add(-time.Second)
	if moved, wait := c.moved(&census{files: []counted{landing}}, locked); len(moved) != 0 || wait <= 0 || wait > lateInnoDB {
		t.Errorf("%d moved, wait %v", len(moved), wait)
	}
	if moved, wait := c.moved(&census{files: []counted{landing, gone}}, locked); len(moved) != 1 || wait <= 0 || moved[0].name != "db/b.ibd" {
		t.Errorf("%d moved, wait %v", len(moved), wait)
	}
	for _, tt := range []struct {
		name           string
		at, begun, now time.Duration // after the lock
		again          bool
		wait           time.Duration
	}{
		{"written before the lock", -1, 0, 1, false, 0},
		{"read late enough", time.Second, 2 * time.Second, 2 * time.Second, false, 0},
		{"read too soon", time.Second, 1900 * time.Millisecond, 1950 * time.Millisecond, false, 50 * time.Millisecond},
		{"read too soon, and now it is late enough", time.Second, 1900 * time.Millisecond, 2 * time.Second, true, 0},
		{"stamped in the future", time.Hour, 0, 0, false, time.Second},
	} {
		again, wait := inFlight(ext.Stamp{CtimeNs: locked.Add(tt.at).UnixNano()}, locked.Add(tt.begun), locked, locked.Add(tt.now), time.Second)
		if again != tt.again || wait != tt.wait {
			t.Errorf("%s: again %v, wait %v", tt.name, again, wait)
		}
	}
}

// Rule 5's last sentence: a disk that shows to be slow raises the margin of what may be
// skipped, and how long the fence waits.
func TestASlowDiskRaisesTheMargins(t *testing.T) {
	s, f, c := settledFile() // read 40 s after the stamp
	s.writes = &writeProbe{slowest: 3900 * time.Millisecond}
	if !s.sure(f, c) {
		t.Error("39 s are more than 40 s")
	}
	s.writes.slowest = 4100 * time.Millisecond
	if s.sure(f, c) {
		t.Error("a disk whose writes took 4.1 s, and a stamp 40 s old: skipped")
	}
	s.writes = &writeProbe{since: time.Now().Add(-5 * time.Second)}
	if s.sure(f, c) {
		t.Error("a write that has not ended yet does not count")
	}
	for slowest, want := range map[time.Duration]time.Duration{0: lateInnoDB, 10 * time.Millisecond: lateInnoDB, 300 * time.Millisecond: 3 * time.Second, time.Minute: maxLate} {
		d := &donor{writes: &writeProbe{slowest: slowest}}
		if got := d.latency(true); got != want {
			t.Errorf("slowest write %v: the fence waits %v, want %v", slowest, got, want)
		}
		if d.latency(false) != late {
			t.Error("what goes through the page cache waits for the disk")
		}
	}
}

// The probe writes to files that have no name, and times them.
func TestWritesAreTimed(t *testing.T) {
	dir := t.TempDir()
	w := newWriteProbe(plan.Places{Datadir: dir})
	defer w.close()
	if len(w.files) != 1 {
		t.Fatalf("%d files for one file system", len(w.files))
	}
	real, began := w.write, make(chan struct{})
	let := make(chan struct{})
	w.write = func(f *os.File) error {
		close(began)
		<-let
		return real(f)
	}
	stop := w.start()
	<-began
	first := w.margin()
	if w.margin() <= 0 || w.margin() < first {
		t.Error("the write that is under way does not count")
	}
	close(let)
	stop()
	if w.slowest <= 0 || w.margin() != probeFactor*w.slowest {
		t.Errorf("slowest %v, margin %v", w.slowest, w.margin())
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("it left %v, %v", names, err)
	}
	var none *writeProbe
	if none.margin() != 0 {
		t.Error("nothing was timed")
	}
}
