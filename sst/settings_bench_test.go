package sst

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// optionFiles makes the option files of an ordinary node, ten of 40 lines, and gives
// the arguments of an SST there.
func optionFiles(tb testing.TB) Args {
	tb.Helper()
	dir := tb.TempDir()
	layFile(tb, filepath.Join(dir, "my.cnf"), "[client-server]\nsocket=/run/mysqld/mysqld.sock\n!includedir "+dir+"/conf.d\n")
	for i := range 9 {
		layFile(tb, filepath.Join(dir, "conf.d", fmt.Sprint(i, ".cnf")), "[mysqld]\n"+strings.Repeat("# comment\nskip-name-resolve\ninnodb_buffer_pool_size = 64M # not much\n", 12)+"[sst]\ntca=/tls/ca.pem\n")
	}
	a, err := ParseArgs(argv("--datadir", dir, "--defaults-file", filepath.Join(dir, "my.cnf")))
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

func BenchmarkLoadSettings(b *testing.B) {
	a := optionFiles(b)
	for b.Loop() {
		if _, err := LoadSettings(a, mycnf.LoadOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVersionOfTheProgram is what comes on top where a group of one version has
// options.
func BenchmarkVersionOfTheProgram(b *testing.B) {
	t := versionTrail{}
	if t.installed(usualServerDirs) == "" {
		b.Skip("mariadbd is not installed")
	}
	for b.Loop() {
		t.installed(usualServerDirs)
	}
}

// A joiner reads its option files while the cluster waits for its "ready", a donor
// while the joiner does. The best of some: that something else runs is no fault of ours.
func TestOptionFilesAreReadInNoTime(t *testing.T) {
	if raced {
		t.Skip("the race detector takes several times as long")
	}
	const limit = 5 * time.Millisecond
	a := optionFiles(t)
	best := time.Hour
	for range 100 {
		began := time.Now()
		if _, err := LoadSettings(a, mycnf.LoadOptions{}); err != nil {
			t.Fatal(err)
		}
		if best = min(best, time.Since(began)); best < limit {
			return
		}
	}
	t.Errorf("it takes %v at best, want less than %v", best, limit)
}
