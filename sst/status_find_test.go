package sst

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/status"
)

// Whoever asks has the option files and perhaps mariadbd's arguments, and must find what
// an SST wrote by them.
func TestStatusIsFoundWhereAnSSTWroteIt(t *testing.T) {
	dir := t.TempDir()
	data, run := filepath.Join(dir, "data"), filepath.Join(dir, "run")
	for _, d := range []string{data, run} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	write(t, dir, "my.cnf", fmt.Sprintf("[mysqld]\ndatadir=%s\nsocket=%s/x.sock\n", data, run))
	cnf := mycnf.Args{File: filepath.Join(dir, "my.cnf"), HasFile: true}
	s, err := LoadSettings(Args{Datadir: data, Defaults: cnf}, mycnf.LoadOptions{})
	if err != nil || len(s.StatusFiles) != 2 {
		t.Fatalf("%v, %v", s.StatusFiles, err)
	}
	query := map[string]StatusQuery{
		"by the option file":                    {Defaults: cnf},
		"by the data directory":                 {Defaults: cnf, Datadir: data},
		"by another path to the data directory": {Defaults: cnf, Datadir: link},
		"by mariadbd's arguments":               {Mysqld: []string{"--defaults-file=" + cnf.File, "--datadir=" + data}},
	}
	for i, place := range []string{s.StatusFiles[1], s.StatusFiles[0]} {
		// The later one counts, wherever it is.
		r := status.Start(place, status.Run{Role: "joiner"}, func() int64 { return int64(i) }, func(w string) { t.Error(w) })
		r.End(i, strings.Repeat("no ", i))
		for name, q := range query {
			q.LookupEnv = func(string) (string, bool) { return "", false }
			file, at, err := FindStatus(q)
			if err != nil || at != place || len(file.Last) != 1 || file.Last[0].Exit != i {
				t.Errorf("%s: %s, %+v, %v", name, at, file, err)
			}
		}
	}
	if v, _ := mustFind(t, StatusQuery{Defaults: cnf, File: s.StatusFiles[1]}).Judge(time.Now()); v != status.Idle {
		t.Errorf("the file that is asked for: %v", v)
	}
}

func mustFind(t *testing.T, q StatusQuery) status.File {
	t.Helper()
	file, _, err := FindStatus(q)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
