package plan

import (
	"os"
	"path/filepath"
)

// A Root is a directory that data lies in. Several roots may be one directory, and
// one may lie in another.
type Root int

// The roots, in the order in which they are sent.
const (
	DataDir Root = iota
	HomeDir      // innodb_data_home_dir
	LogDir       // innodb_log_group_home_dir
	UndoDir      // innodb_undo_directory
	AriaDir      // aria_log_dir_path
)

// Roots are all of them.
var Roots = []Root{DataDir, HomeDir, LogDir, UndoDir, AriaDir}

// Suffix is what the module for a root has after the name of the main one.
func (r Root) Suffix() string {
	return [...]string{"", "-data_dir", "-log_dir", "-undo_dir", "-aria_log"}[r]
}

// Key is the server's name for the root.
func (r Root) Key() string {
	return [...]string{"datadir", "innodb_data_home_dir", "innodb_log_group_home_dir", "innodb_undo_directory", "aria_log_dir_path"}[r]
}

// Places says where a server keeps what. All paths are absolute; an empty root is
// the data directory.
type Places struct {
	Datadir    string
	InnoDBHome string
	RedoDir    string
	UndoDir    string
	AriaDir    string

	// SystemFiles are the files of innodb_data_file_path. nil: ibdata1 in InnoDBHome.
	SystemFiles []string
	// StaleFiles are configured names (without a directory) of files of kind Stale.
	StaleFiles []string
	// NotData is every configured path that is not data, wherever it lies.
	NotData []NotData
	// BinlogDirs are where a joiner puts binlogs and their index.
	BinlogDirs []string
	// Binlogs: the first session takes the archive BinlogArchive along (donor).
	Binlogs bool
}

// NotData is a configured path that an SST keeps away from. It need not exist.
type NotData struct {
	Key  string // the setting, for messages
	Path string
	// Stem: Path is the beginning of the names PATH.NNNNNN, PATH.index, PATH.state.
	Stem bool
}

// Dir is the directory of a root.
func (p Places) Dir(r Root) string {
	if dir := [...]string{p.Datadir, p.InnoDBHome, p.RedoDir, p.UndoDir, p.AriaDir}[r]; dir != "" {
		return dir
	}
	return p.Datadir
}

// systemFiles are those of innodb_data_file_path or of its default.
func (p Places) systemFiles() []string {
	if len(p.SystemFiles) > 0 {
		return p.SystemFiles
	}
	return []string{filepath.Join(p.Dir(HomeDir), "ibdata1")}
}

// sameDir says whether two paths are one directory, whatever links lead there.
func sameDir(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
