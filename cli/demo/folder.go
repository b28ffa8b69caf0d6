package demo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programName is the name under which mariadbd looks for the method rsync_tunnel.
const programName = "wsrep_sst_rsync_tunnel"

// A folder is where a demo takes place.
type folder struct {
	dir  string
	keep bool
}

// newFolder makes the folder in temporary, if the file system has room for need
// bytes.
func newFolder(temporary string, keep bool, need int64) (*folder, error) {
	base, err := filepath.Abs(temporary)
	if err != nil {
		return nil, err
	}
	// mariadbd puts paths between such quotes as they are.
	if strings.Contains(base, "'") {
		return nil, advise(fmt.Errorf("temporary directory %s: a quote in it would break mariadbd's command line", base), hintTemp)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(base, &st); err != nil {
		return nil, advise(fmt.Errorf("temporary directory %s: %w", base, err), hintTemp)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return nil, advise(fmt.Errorf("temporary directory %s: %d MB are free, %d are needed", base, free>>20, need>>20),
			hintTemp+", or take a smaller --mb")
	}
	dir, err := os.MkdirTemp(base, "sst-demo-")
	if err != nil {
		return nil, advise(err, hintTemp)
	}
	// Users other than ours come here too, when root runs the demo.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	return &folder{dir: dir, keep: keep}, nil
}

const hintTemp = "set TMPDIR to another directory"

func (f *folder) path(name ...string) string {
	return filepath.Join(append([]string{f.dir}, name...)...)
}

// end removes the folder, or says where it is.
func (f *folder) end(say func(string)) error {
	if f.keep {
		say("kept: " + f.dir)
		return nil
	}
	if err := os.RemoveAll(f.dir); err != nil {
		return fmt.Errorf("remove the demo's folder: %w", err)
	}
	return nil
}

// install makes program available under its own name in a directory for PATH.
// A copy instead of a link is for users who may not enter the program's directory.
func (f *folder) install(program string, copied bool) (dir string, err error) {
	dir = f.path("bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask is
		return "", err
	}
	to := filepath.Join(dir, programName)
	if !copied {
		return dir, os.Symlink(program, to)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", err
	}
	return dir, errors.Join(os.WriteFile(to, content, 0o755), os.Chmod(to, 0o755))
}

// advised is an error with the next step.
type advised struct {
	error
	hint string
}

func (a advised) Hint() string  { return a.hint }
func (a advised) Unwrap() error { return a.error }

func advise(err error, hint string) error { return advised{err, hint} }
