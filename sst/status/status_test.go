package status

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// start begins a run, and collects the warnings.
func start(t *testing.T, name string, count *atomic.Int64) (*Recorder, *[]string) {
	t.Helper()
	var warnings []string
	r := Start(name, Run{Role: "joiner", Method: "rsync_tunnel", Silence: 300}, count.Load,
		func(text string) { warnings = append(warnings, text) })
	return r, &warnings
}

func read(t *testing.T, name string) File {
	t.Helper()
	file, err := Read(name, -1)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestARunFromItsStartToItsEnd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sst.json")
	var count atomic.Int64
	r, warnings := start(t, name, &count)
	if v, why := read(t, name).Judge(time.Now()); v != Running || why != "the joiner is starting" {
		t.Errorf("at the start: %v, %s", v, why)
	}
	r.Enter(Transferring, "receiving from node2")
	count.Store(4711)
	if now := r.Now(); now.Bytes != 4711 || now.Phase != Transferring || now.Moved.Before(now.Began) {
		t.Errorf("in the middle: %+v", now)
	}
	r.End(32, "disk full")
	file := read(t, name)
	if file.Current != nil || len(file.Last) != 1 {
		t.Fatalf("at the end: %+v", file)
	}
	if last := file.Last[0]; last.Phase != Failed || last.Exit != 32 || last.Bytes != 4711 || last.Ended.IsZero() {
		t.Errorf("at the end: %+v", last)
	}
	if v, why := file.Judge(time.Now()); v != Broken || !strings.Contains(why, "disk full") {
		t.Errorf("after it: %v, %s", v, why)
	}
	if len(*warnings) > 0 {
		t.Errorf("warned: %q", *warnings)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestTheLastTenAreKeptTheNewestFirst(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sst.json")
	var count atomic.Int64
	for i := range Kept + 3 {
		r, _ := start(t, name, &count)
		r.End(i, "reason")
	}
	file := read(t, name)
	if len(file.Last) != Kept || file.Last[0].Exit != Kept+2 || file.Last[Kept-1].Exit != 3 {
		t.Errorf("kept %d, from %d to %d", len(file.Last), file.Last[0].Exit, file.Last[len(file.Last)-1].Exit)
	}
}

func TestARunThatWasKilledCountsAsFailedOnceAnotherStarts(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sst.json")
	killed := Run{Role: "donor", Phase: Transferring, PID: 1 << 30, Updated: time.Now().UTC()}
	if err := write(name, File{Format: Format, Current: &killed}); err != nil {
		t.Fatal(err)
	}
	if v, why := read(t, name).Judge(time.Now()); v != Broken || !strings.Contains(why, "is gone without saying") {
		t.Errorf("before: %v, %s", v, why)
	}
	var count atomic.Int64
	r, _ := start(t, name, &count)
	r.End(0, "")
	file := read(t, name)
	if len(file.Last) != 2 || file.Last[1].Phase != Failed || !strings.Contains(file.Last[1].Reason, "without saying why") {
		t.Errorf("after: %+v", file.Last)
	}
	if v, _ := file.Judge(time.Now()); v != Idle {
		t.Errorf("after: %v", v)
	}
}

func TestVerdicts(t *testing.T) {
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	run := func(p Phase, updated, moved time.Duration) *Run {
		return &Run{Role: "joiner", Phase: p, Updated: now.Add(-updated), Moved: now.Add(-moved), Silence: 300}
	}
	for _, tc := range []struct {
		name  string
		file  File
		alive bool
		want  Verdict
	}{
		{"nothing has run", File{}, false, Idle},
		{"the last one went well", File{Last: []Run{{Phase: Complete}, {Phase: Failed}}}, false, Idle},
		{"the last one failed", File{Last: []Run{{Phase: Failed}}}, false, Broken},
		{"one gets on", File{Current: run(Transferring, time.Second, 299*time.Second)}, true, Running},
		{"one has not got on for long", File{Current: run(Transferring, time.Second, 301*time.Second)}, true, Stuck},
		{"one does not finish", File{Current: run(Finishing, time.Second, 301*time.Second)}, true, Stuck},
		{"one waits for hours", File{Current: run(Waiting, time.Second, 5*time.Hour)}, true, Running},
		{"one has no limit", File{Current: &Run{Phase: Transferring, Updated: now}}, true, Running},
		{"one is stopped", File{Current: run(Waiting, 61*time.Second, time.Second)}, true, Stuck},
		{"one was killed", File{Current: run(Transferring, time.Second, time.Second)}, false, Broken},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, why := tc.file.judge(now, func(Run) bool { return tc.alive }); got != tc.want {
				t.Errorf("%v (%s), want %v", got, why, tc.want)
			}
		})
	}
}

func TestAProcessIsKnownByNumberStartAndBoot(t *testing.T) {
	me := self()
	r := Run{PID: me.pid, Tick: me.tick, Boot: me.boot}
	if !lives(r) {
		t.Error("this process does not live")
	}
	later, before := r, r
	later.Tick++
	before.Boot = "another boot"
	if lives(later) || lives(before) {
		t.Error("another process with this one's number lives")
	}
}

func TestWhatIsNoStatusFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	if err := write(good, File{Format: Format}); err != nil {
		t.Fatal(err)
	}
	for name, make := range map[string]func(string) error{
		"a link":         func(n string) error { return os.Symlink(good, n) },
		"a directory":    func(n string) error { return os.Mkdir(n, 0o755) },
		"something else": func(n string) error { return os.WriteFile(n, []byte(`{"a":1}`), 0o644) },
		"no JSON":        func(n string) error { return os.WriteFile(n, []byte("hello"), 0o644) },
		"far too long":   func(n string) error { return os.WriteFile(n, []byte(strings.Repeat(" ", maxFile+1)), 0o644) },
		"somebody else's": func(n string) error {
			return errors.Join(os.WriteFile(n, []byte(`{"format":1}`), 0o644), os.Chown(n, 4711, 0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "somebody else's" && os.Geteuid() != 0 {
				t.Skip("SKIPPED: needs root, to give a file to somebody else")
			}
			file := filepath.Join(dir, name)
			if err := make(file); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(file, -1); err == nil || errors.Is(err, fs.ErrNotExist) {
				t.Errorf("read: %v", err)
			}
			if name == "somebody else's" {
				if _, err := Read(file, 4711); err != nil {
					t.Errorf("of the data directory's owner: %v", err)
				}
			}
		})
	}
}

func TestAFileThatCannotBeWrittenIsSaidOnce(t *testing.T) {
	var count atomic.Int64
	r, warnings := start(t, filepath.Join(t.TempDir(), "no", "such", "folder"), &count)
	r.End(0, "")
	if len(*warnings) != 1 || !strings.Contains((*warnings)[0], "goes on without it") {
		t.Errorf("warned: %q", *warnings)
	}
}

func TestNoRecorderDoesNothing(t *testing.T) {
	var r *Recorder
	r.Enter(Waiting, "")
	r.End(0, "")
	if r.Now() != (Run{}) {
		t.Error("a run of nobody")
	}
}

func FuzzParse(f *testing.F) {
	good, err := json.Marshal(File{Format: 1, Current: &Run{PID: 1}, Last: []Run{{}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"format":1,"current":{"pid":-1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := parse("file", b)
		if err != nil {
			return
		}
		if len(file.Last) > Kept {
			t.Errorf("%d runs kept", len(file.Last))
		}
		file.Judge(time.Now())
	})
}
