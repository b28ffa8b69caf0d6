package sst

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// progressFile tells packaging and cluster scripts that a joiner is at work.
// mariadbd does not know it.
const progressFile = "sst_in_progress"

// Control files are the small files in the data directory through which scripts,
// mariadbd and ourselves talk. They are made anew, never written through: a link
// or an old file of that name is removed first.

// createControl makes a control file with the given content.
func createControl(root *os.Root, name, content string) error {
	if err := removeControl(root, name); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o660)
	if err != nil {
		return fmt.Errorf("make %s in the data directory: %w", name, err)
	}
	_, err = io.WriteString(f, content)
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write %s in the data directory: %w", name, err)
	}
	return nil
}

// removeControl removes a control file if it is there.
func removeControl(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s from the data directory: %w", name, err)
	}
	return nil
}

// readControl reads at most limit bytes of a control file, not through a link;
// fs.ErrNotExist if there is none.
func readControl(root *os.Root, name string, limit int64) (string, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s in the data directory is no ordinary file", name)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return string(b), err
}

// presence is the pair of files that show a running SST to others, from its first
// to its last instruction.
type presence struct {
	root     *os.Root
	pid      int
	progress bool // a joiner also has sst_in_progress
}

func (p presence) begin() error {
	if p.progress {
		if err := createControl(p.root, progressFile, ""); err != nil {
			return err
		}
	}
	return createControl(p.root, pidFile, strconv.Itoa(p.pid)+"\n")
}

// end removes the files; wsrep_sst.pid only if it is still ours, for somebody may
// have taken us for dead and started over.
func (p presence) end() error {
	var errs []error
	if p.progress {
		errs = append(errs, removeControl(p.root, progressFile))
	}
	text, err := readControl(p.root, pidFile, 32)
	if err == nil && strings.TrimSpace(text) == strconv.Itoa(p.pid) {
		errs = append(errs, removeControl(p.root, pidFile))
	}
	return errors.Join(errs...)
}
