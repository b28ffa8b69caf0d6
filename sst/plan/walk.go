package plan

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// walk counts what is below a database directory, and refuses what would not be
// whole at the joiner. rel is its name below the data directory.
func (d *donor) walk(dir, rel string) (Total, error) {
	var sum Total
	if d.ctx.Err() != nil {
		return sum, context.Cause(d.ctx)
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil // dropped meanwhile
	}
	if err != nil {
		d.refuse("%v", err)
		return sum, nil
	}
	for _, e := range entries {
		file, name := filepath.Join(dir, e.Name()), path.Join(rel, e.Name())
		var total Total
		switch {
		case cutsOut(d.cuts, name, e.IsDir()):
			continue
		case e.IsDir():
			total, err = d.walk(file, name)
		case e.Type()&fs.ModeSymlink != 0:
			d.tableLink(file)
		case strings.HasSuffix(e.Name(), ".isl"):
			d.isl(file, e)
		default:
			total, err = d.file(file, e)
		}
		if err != nil {
			return sum, err
		}
		sum.add(total)
	}
	return sum, nil
}

// file counts one file. One that went away meanwhile counts nothing.
func (d *donor) file(file string, e fs.DirEntry) (Total, error) {
	if !e.Type().IsRegular() {
		return Total{}, nil
	}
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return Total{}, nil
	}
	if err != nil {
		return Total{}, err
	}
	if err := unix.Faccessat(unix.AT_FDCWD, file, unix.R_OK, unix.AT_EACCESS); errors.Is(err, unix.EACCES) {
		d.refuse("%s may not be read by the user that mariadbd runs as", file)
	}
	t := Total{Files: 1, Size: info.Size(), Allocated: info.Size()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		t.Allocated = st.Blocks * 512
	}
	return t, nil
}

// linkedTables are the files that DATA DIRECTORY and INDEX DIRECTORY put elsewhere.
var linkedTables = []string{".MYD", ".MYI", ".MAD", ".MAI", ".ARZ", ".ibd"}

// tableLink refuses the link that DATA DIRECTORY leaves: at the joiner it would
// lead nowhere, or to an old table. Other links travel as links.
func (d *donor) tableLink(file string) {
	if !slices.Contains(linkedTables, filepath.Ext(file)) {
		return
	}
	target, err := os.Readlink(file)
	if err == nil && !strings.Contains(target, "/") {
		return // within the directory
	}
	d.refuse("table file %s lies outside the data directory (DATA DIRECTORY %s)", file, target)
}

// isl refuses InnoDB's note of a table space elsewhere, and tells what it says. The
// note may be a leftover, but only the server could tell.
func (d *donor) isl(file string, e fs.DirEntry) {
	target := "unknown"
	if e.Type().IsRegular() {
		if f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0); err == nil {
			b := make([]byte, 512)
			n, _ := f.Read(b)
			f.Close()
			target = strings.TrimSpace(string(b[:n]))
		}
	}
	d.refuse("table space of %s lies outside the data directory (DATA DIRECTORY %s)", file, target)
}
