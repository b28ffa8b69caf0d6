package plan

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// walk counts what is below a database directory, and refuses what would not be
// whole at the joiner. rel is its name below the data directory.
func (d *donor) walk(dir, rel string) (Total, error) {
	var sum Total
	if d.ctx.Err() != nil {
		return sum, context.Cause(d.ctx)
	}
	in, entries, err := list(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return sum, nil // dropped meanwhile
	}
	if err != nil {
		d.refuse("%v", err)
		return sum, nil
	}
	defer in.Close()
	for _, e := range entries {
		var total Total
		switch {
		case len(d.cuts) > 0 && cutsOut(d.cuts, rel+"/"+e.Name(), e.IsDir()):
			continue
		case e.IsDir():
			total, err = d.walk(filepath.Join(dir, e.Name()), rel+"/"+e.Name())
		case e.Type()&fs.ModeSymlink != 0:
			d.tableLink(filepath.Join(dir, e.Name()))
		case strings.HasSuffix(e.Name(), ".isl"):
			d.isl(filepath.Join(dir, e.Name()), e)
		default:
			total, err = d.file(in, dir, e)
		}
		if err != nil {
			return sum, err
		}
		sum.add(total)
	}
	return sum, nil
}

// list opens and lists a directory.
func list(dir string) (*os.File, []fs.DirEntry, error) {
	in, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	entries, err := in.ReadDir(-1)
	if err != nil {
		in.Close()
		return nil, nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return in, entries, nil
}

// file counts one file of the directory in, which is dir. One that went away meanwhile counts nothing.
func (d *donor) file(in *os.File, dir string, e fs.DirEntry) (Total, error) {
	if !e.Type().IsRegular() || d.uncounted {
		return Total{}, nil
	}
	var st unix.Stat_t
	err := unix.Fstatat(int(in.Fd()), e.Name(), &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, fs.ErrNotExist) {
		return Total{}, nil
	}
	if err != nil {
		return Total{}, &fs.PathError{Op: "lstat", Path: filepath.Join(dir, e.Name()), Err: err}
	}
	if st.Uid != d.user || st.Mode&unix.S_IRUSR == 0 {
		if err := unix.Faccessat(int(in.Fd()), e.Name(), unix.R_OK, unix.AT_EACCESS); errors.Is(err, unix.EACCES) {
			d.refuse("%s may not be read by the user that mariadbd runs as", filepath.Join(dir, e.Name()))
		}
	}
	return Total{Files: 1, Size: st.Size, Allocated: st.Blocks * 512}, nil
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
