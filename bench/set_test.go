package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/bench/lookalike"
)

func namesOf(s *set) string {
	var names []string
	for _, f := range s.files {
		names = append(names, f.name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// The user's directory is looked at, and that is all.
func TestGivenDataIsShownWithoutBeingTouched(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]int
		sends string // of the user's
		shows string
	}{
		{"a data directory", map[string]int{"ibdata1": 100, "ib_logfile0": 50, "undo001": 7, "aria_log_control": 3, "ib_buffer_pool": 9, "galera.cache": 1000, "shop/t.ibd": 33,
			"shop/deep/u.ibd": 4, ".ssh/id": 5, "lost+found/x": 6, "server-key.pem": 8},
			"aria_log_control ib_logfile0 ibdata1 shop/deep/u.ibd shop/t.ibd undo001",
			"aria_log_control ib_logfile0 ibdata1 shop/deep/u.ibd shop/t.ibd undo001"},
		{"a data directory with its redo log elsewhere", map[string]int{"ibdata1": 100, "shop/t.ibd": 33},
			"ibdata1 shop/t.ibd", "ib_logfile0 ibdata1 shop/t.ibd"},
		{"any other directory", map[string]int{"one": 1, "some/two": 2},
			"one some/two", "data/one data/some/two ib_logfile0 ibdata1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tables(t, c.files)
			if err := os.Symlink("nowhere", filepath.Join(dir, "dangling")); err != nil && c.name != "any other directory" {
				t.Fatal(err)
			}
			os.Remove(filepath.Join(dir, "dangling"))
			s, copied, err := given(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got := namesOf(s); got != c.sends {
				t.Errorf("sends %s, want %s", got, c.sends)
			}
			if c.files["undo001"] > 0 && copied != 160 {
				t.Errorf("%d bytes are to be copied", copied)
			}
			to := filepath.Join(t.TempDir(), "donor")
			if err := view(t.Context(), dir, to); err != nil {
				t.Fatal(err)
			}
			shown, err := listSet(to)
			if err != nil {
				t.Fatal(err)
			}
			if got := namesOf(shown); got != c.shows {
				t.Errorf("shows %s, want %s", got, c.shows)
			}
			for name, size := range c.files {
				if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != int64(size) {
					t.Errorf("%s was changed (%v)", name, err)
				}
			}
		})
	}
}

func TestSyntheticDataHasTheSizeThatItShould(t *testing.T) {
	for _, c := range []struct {
		bytes int64
		files int
	}{{8 << 20, 0}, {100 << 10, 0}, {1 << 20, 256}, {4 << 20, 1}} {
		dir := filepath.Join(t.TempDir(), "d")
		if _, err := lookalike.NewPlain(t.Context(), dir, c.bytes, c.files); err != nil {
			t.Fatal(err)
		}
		s, err := listSet(dir)
		if err != nil {
			t.Fatal(err)
		}
		const always = 2 << 20 // system table space and redo log
		n := len(s.files) - 2
		if s.bytes-always > c.bytes || s.bytes-always < c.bytes-int64(n)*16<<10 || c.files > 0 && n != c.files {
			t.Errorf("%+v: %d bytes in %d files", c, s.bytes-always, n)
		}
	}
}

func TestAMeterSeesChildrenToo(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("NOT TESTED: no sh")
	}
	m := newMeter()
	// The inner one holds 20 MB and says so; both live until stdin ends.
	p, err := start(m, t.TempDir(), nil, "sh", "-c", `sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); echo ready; read line'; exit 3`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	m.sample()
	if err := p.finish(t.Context()); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("ends with %v", err)
	}
	use := m.close()
	if use.Peak < 20e6 || use.Peak > 200e6 || use.CPU <= 0 {
		t.Errorf("%+v", use)
	}
}

func TestVmHWMIsRead(t *testing.T) {
	for text, want := range map[string]int64{
		"Name:\tx\nVmPeak:\t  99 kB\nVmHWM:\t    1234 kB\nVmRSS:\t 5 kB\n": 1234 << 10,
		"Name:\tkthread\n": 0, "": 0, "\nVmHWM:\tmany kB\n": 0,
	} {
		if got := vmHWM([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
