package mariadbd

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

// A Folder is where nodes are played.
type Folder struct {
	Dir  string // absolute
	keep bool
}

// NewFolder makes a folder whose name begins with prefix in temporary, if the file
// system has room for need bytes.
func NewFolder(temporary, prefix string, keep bool, need int64) (*Folder, error) {
	base, err := filepath.Abs(temporary)
	if err != nil {
		return nil, err
	}
	// mariadbd puts paths between such quotes as they are.
	if strings.Contains(base, "'") {
		return nil, Advise(fmt.Errorf("temporary directory %s: a quote in it would break mariadbd's command line", base), HintTemp)
	}
	if err := CheckRoom(base, need); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, Advise(err, HintTemp)
	}
	// Users other than ours come here too, when root runs the demo.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	return &Folder{Dir: dir, keep: keep}, nil
}

// CheckRoom says whether need bytes are free in dir.
func CheckRoom(dir string, need int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Advise(fmt.Errorf("temporary directory %s: %w", dir, err), HintTemp)
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return Advise(fmt.Errorf("temporary directory %s: %d MB are free, %d are needed", dir, free>>20, need>>20),
			HintTemp+", or take a smaller --mb")
	}
	return nil
}

// HintTemp is the next step where the temporary directory will not do.
const HintTemp = "set TMPDIR to another directory"

// Path is that of something in the folder.
func (f *Folder) Path(name ...string) string {
	return filepath.Join(append([]string{f.Dir}, name...)...)
}

// End removes the folder, or says where it is.
func (f *Folder) End(say func(string)) error {
	if f.keep {
		say("kept: " + f.Dir)
		return nil
	}
	if err := os.RemoveAll(f.Dir); err != nil {
		return fmt.Errorf("remove the folder %s: %w", f.Dir, err)
	}
	return nil
}

// Install makes program available under its own name in a directory for PATH.
// A copy instead of a link is for users who may not enter the program's directory.
func (f *Folder) Install(program string, copied bool) (dir string, err error) {
	dir = f.Path("bin")
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

// Advise adds the next step to an error.
func Advise(err error, hint string) error { return advised{err, hint} }
