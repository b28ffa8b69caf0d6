package sessions

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// run is one rsync run of a script.
type run struct {
	name      string
	from      place  // whose content is sent
	below     string // a directory of it: sent to "./below" of the module
	file      string // a single file of it instead (the magic file)
	module    string
	rules     []string
	recursive bool     // else --dirs
	only      []string // the directories of the first level that our source looks at; nil: all
	list      bool     // no data: --max-size=0
}

// place is one of the directories that the scripts know.
type place string

const (
	data place = "data"
	home place = "home"
	redo place = "redo"
	undo place = "undo"
	aria place = "aria"
)

// layout is a set of such directories below root, all of them the data directory unless they are apart.
type layout struct {
	root  string
	apart bool
}

func (l layout) dir(p place) string {
	if !l.apart {
		p = data
	}
	return filepath.Join(l.root, string(p))
}

// modules are those of the joiner of both scripts, with the directory behind each.
func (l layout) modules() map[string]string {
	return map[string]string{
		"rsync_tunnel_sst":         l.dir(data),
		"rsync_tunnel_sst-log_dir": l.dir(redo),
		"rsync_sst":                l.dir(data),
		"rsync_sst-log_dir":        l.dir(redo),
		"rsync_sst-data_dir":       l.dir(home),
		"rsync_sst-undo_dir":       l.dir(undo),
		"rsync_sst-aria_log":       l.dir(aria),
	}
}

// tunnelScript are the runs T1 to T4.
func tunnelScript(t *testing.T, l layout) []run {
	runs := []run{
		{name: "T1", from: data, module: "rsync_tunnel_sst", rules: []string{"- /lost+found", "- /.fseventsd", "- /.Trashes",
			"+ /wsrep_sst_binlog.tar", "+ /ib_lru_dump", "+ /ibdata*", "+ /*/", "- /*"}},
		{name: "T2", from: redo, module: "rsync_tunnel_sst-log_dir", rules: []string{"+ /ib_logfile[0-9]*", "- **"}},
	}
	for _, d := range directories(t, l.dir(data), false) {
		if d != "lost+found" {
			runs = append(runs, run{name: "T3 " + d, from: data, below: d, module: "rsync_tunnel_sst", recursive: true, rules: []string{"- */ib_logfile*"}})
		}
	}
	return append(runs, run{name: "T4", from: data, file: "rsync_tunnel_sst_complete", module: "rsync_tunnel_sst"})
}

// stockScript are the runs R1 to R7 of 10.11.19.
func stockScript(t *testing.T, l layout) []run {
	runs := []run{
		{name: "R1", from: data, module: "rsync_sst", rules: []string{"- /lost+found", "- /.zfs", "- /.fseventsd", "- /.Trashes", "- /.pid",
			"- /.conf", "- /.snapshot/", "+ /wsrep_sst_binlog.tar", "- " + l.dir(home) + "/ib_lru_dump", "- " + l.dir(home) + "/ibdata*",
			"- " + l.dir(undo) + "/undo*", "- " + l.dir(redo) + "/ib_logfile[0-9]*", "- " + l.dir(aria) + "/aria_log_control",
			"- " + l.dir(aria) + "/aria_log.*", "+ /*/", "- /*"}},
		{name: "R2", from: home, module: "rsync_sst-data_dir", rules: []string{"+ /ibdata*", "+ /ib_lru_dump", "- **"}},
		{name: "R3", from: redo, module: "rsync_sst-log_dir", rules: []string{"+ /ib_logfile0", "- **"}},
		{name: "R4", from: undo, module: "rsync_sst-undo_dir", rules: []string{"+ /undo*", "- **"}},
		{name: "R5", from: aria, module: "rsync_sst-aria_log", rules: []string{"+ /aria_log_control", "+ /aria_log.*", "- **"}},
	}
	for _, d := range directories(t, l.dir(data), true) {
		if !slices.Contains([]string{"lost+found", ".zfs", ".snapshot"}, d) {
			// the dollar signs are meant: the script's quotes keep the shell from seeing them
			runs = append(runs, run{name: "R6 " + d, from: data, below: d, module: "rsync_sst", recursive: true, rules: []string{
				"- $ib_home_dir/ib_lru_dump", "- $ib_home_dir/ibdata*", "- $ib_undo_dir/undo*", "- $ib_log_dir/ib_logfile[0-9]*",
				"- $ar_log_dir/aria_log_control", "- $ar_log_dir/aria_log.*"}})
		}
	}
	return append(runs, run{name: "R7", from: data, file: "rsync_sst_complete", module: "rsync_sst"})
}

// directories names those of dir, with links to directories if they count.
func directories(t *testing.T, dir string, links bool) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		target, err := os.Stat(filepath.Join(dir, e.Name()))
		if e.IsDir() || links && err == nil && target.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}
