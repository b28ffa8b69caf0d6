package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// places are the settings that take files out of the data directory, with the files they move.
var places = []struct {
	setting string
	files   []string
}{
	{"innodb_data_home_dir", []string{"ibdata1"}},
	{"innodb_log_group_home_dir", []string{"ib_logfile0"}},
	{"innodb_undo_directory", []string{"undo*"}},
	{"aria_log_dir_path", []string{"aria_log*"}},
}

// scattered makes a directory for each of these and returns the options that name it. The node's name is in the path,
// so that no file can land in the right place by having the donor's path.
func (n *node) scattered(t *testing.T) []string {
	t.Helper()
	var options []string
	for _, p := range places {
		dir := n.path(n.name + "-" + p.setting)
		n.mkdir(t, dir)
		options = append(options, p.setting+"="+dir)
	}
	return options
}

// scatter moves the files of a fresh database there.
func (n *node) scatter(t *testing.T) {
	t.Helper()
	for _, p := range places {
		for _, pattern := range p.files {
			found, err := filepath.Glob(n.data(pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				if err := os.Rename(f, filepath.Join(n.path(n.name+"-"+p.setting), filepath.Base(f))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
