package sst

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// unpackPrefix is before the names of binlogs and their index until all are there.
const unpackPrefix = ".wsrep_sst_binlog."

// UnpackBinlogs takes the joiner's binlogs away and puts those of an archive in
// their place, with an index that lists them. archive has size bytes and comes from
// the donor, or from whoever passes for it: only names of binlogs are taken, and no
// file is written over that is not a binlog. It returns the base names, oldest
// first; an archive without files changes nothing.
//
// The new files are complete on the disk under other names before the first old one
// goes. As root they are given to the owner of the data directory.
func UnpackBinlogs(archive io.Reader, size int64, b Binlog, datadir string) (names []string, err error) {
	dir, err := os.OpenRoot(b.Dir())
	if err != nil {
		return nil, fmt.Errorf("binlog directory: %w", err)
	}
	defer dir.Close()
	u := &unpacking{binlog: b, dir: dir, uid: -1, gid: -1}
	if os.Geteuid() == 0 {
		info, err := os.Stat(datadir)
		if err != nil {
			return nil, err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			u.uid, u.gid = int(st.Uid), int(st.Gid)
		}
	}
	defer func() {
		if err != nil {
			u.abandon()
		}
	}()
	if err := u.read(archive, size); err != nil {
		return nil, fmt.Errorf("binlogs from the donor: %w", err)
	}
	if len(u.names) == 0 {
		return nil, nil
	}
	return u.names, u.swap(datadir)
}

type unpacking struct {
	binlog   Binlog
	dir      *os.Root
	uid, gid int // -1: leave
	names    []string
}

// read unpacks under other names.
func (u *unpacking) read(archive io.Reader, size int64) error {
	// What is left counts, so that a header cannot promise more than is there.
	left := &io.LimitedReader{R: archive, N: size}
	in := tar.NewReader(left)
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(h.Name, "./")
		if err := u.admit(h, name); err != nil {
			return err
		}
		if h.Size > left.N {
			return fmt.Errorf("%s: %d bytes of it are missing", name, h.Size-left.N)
		}
		u.names = append(u.names, name)
		if err := u.write(name, h, in); err != nil {
			return err
		}
	}
}

// admit refuses what is not the next binlog of the archive.
func (u *unpacking) admit(h *tar.Header, name string) error {
	base, ok := isBinlogName(name)
	switch {
	case h.Typeflag != tar.TypeReg || len(h.PAXRecords) > 0 && isSparse(h):
		return fmt.Errorf("%q is not a plain file", h.Name)
	case !ok:
		return fmt.Errorf("%q is not the name of a binlog", h.Name)
	case len(name) > 255-len(unpackPrefix):
		return fmt.Errorf("%q is too long for a name", h.Name)
	case slices.Contains(u.names, name):
		return fmt.Errorf("%q is there twice", h.Name)
	case len(u.names) == maxTarFiles:
		return fmt.Errorf("more than %d files", maxTarFiles)
	}
	if len(u.names) > 0 {
		if first, _ := isBinlogName(u.names[0]); first != base {
			return fmt.Errorf("%q does not go with %q", h.Name, u.names[0])
		}
	}
	return nil
}

// isSparse: such a file is longer than what travels of it, without a bound.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

func (u *unpacking) write(name string, h *tar.Header, content io.Reader) error {
	f, err := u.create(unpackPrefix + name)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		// The server purges by this time.
		err = u.dir.Chtimes(unpackPrefix+name, h.ModTime, h.ModTime)
	}
	return err
}

// create makes a file of the server's, in the place of one of an earlier attempt.
func (u *unpacking) create(name string) (*os.File, error) {
	return createFor(u.dir, name, u.uid, u.gid)
}

func createFor(dir *os.Root, name string, uid, gid int) (*os.File, error) {
	if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o660)
	if err != nil {
		return nil, err
	}
	if uid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// swap removes the old binlogs and gives the new ones their names.
func (u *unpacking) swap(datadir string) error {
	old, err := u.old(datadir)
	if err != nil {
		return err
	}
	for _, name := range u.names {
		if _, err := u.dir.Lstat(name); err == nil && !slices.Contains(old, name) {
			return fmt.Errorf("binlog %s from the donor: a file of this name is in %s and is no binlog of this server", name, u.binlog.Dir())
		}
	}
	indexDir, err := os.OpenRoot(filepath.Dir(u.binlog.Index))
	if err != nil {
		return fmt.Errorf("directory of the binlog index: %w", err)
	}
	defer indexDir.Close()
	// Without an index the server would make a new one beside old files: it is
	// replaced last, and is never without its files.
	for _, name := range old {
		if err := u.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old binlog: %w", err)
		}
	}
	for _, name := range u.names {
		if err := u.dir.Rename(unpackPrefix+name, name); err != nil {
			return fmt.Errorf("put a binlog in its place: %w", err)
		}
	}
	if err := syncRoot(u.dir); err != nil {
		return fmt.Errorf("sync %s: %w", u.binlog.Dir(), err)
	}
	if err := u.index(indexDir); err != nil {
		return fmt.Errorf("write binlog index %s: %w", u.binlog.Index, err)
	}
	return nil
}

// old lists the binlogs of the joiner, by their names and by its index, and the note
// of their last position.
func (u *unpacking) old(datadir string) ([]string, error) {
	base := filepath.Base(u.binlog.Path)
	d, err := u.dir.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	listed, err := readIndex(u.binlog.Index, datadir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	mine := map[string]bool{base + ".state": true}
	for _, file := range listed {
		// From an SST before this one they may have the donor's base.
		if _, ok := isBinlogName(path.Base(file)); ok && filepath.Dir(file) == u.binlog.Dir() {
			mine[path.Base(file)] = true
		}
	}
	var old []string
	for _, e := range entries {
		b, ok := isBinlogName(e.Name())
		if !e.IsDir() && (mine[e.Name()] || ok && b == base) {
			old = append(old, e.Name())
		}
	}
	return old, nil
}

func (u *unpacking) index(dir *os.Root) error {
	var text strings.Builder
	for _, name := range u.names {
		text.WriteString(u.binlog.line(name) + "\n")
	}
	name := filepath.Base(u.binlog.Index)
	f, err := createFor(dir, unpackPrefix+name, u.uid, u.gid)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text.String())
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = dir.Rename(unpackPrefix+name, name)
	}
	if err != nil {
		return err
	}
	return syncRoot(dir)
}

// abandon removes what was unpacked.
func (u *unpacking) abandon() {
	for _, name := range u.names {
		_ = u.dir.Remove(unpackPrefix + name) // room taken, no harm done
	}
}

func syncRoot(root *os.Root) error {
	d, err := root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
