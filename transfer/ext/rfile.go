package ext

import (
	"errors"
	"io/fs"
	"sync"

	"wsrep_sst_rsync_tunnel/transfer"
)

// An rfile is a file of the joiner that is being received, perhaps over several
// connections. It is opened when the first of them writes, and closed when one of them
// commits.
type rfile struct {
	r     *Receiver
	store transfer.Store
	mem   *memFile
	users int // guarded by Receiver.mu

	// Held for reading while the file is used, for writing to open or close it.
	mu    sync.RWMutex
	f     transfer.File // nil: not open
	older transfer.SourceFile
	over  bool // committed or given up
}

// older is a Store that has an older file for some that are not there yet (transfer.DirStore).
type older interface {
	Older(name string) (transfer.SourceFile, error)
}

var errOver = malformed("a frame for a file that is committed")

// use calls do with the open file.
func (f *rfile) use(do func(transfer.File) error) error {
	f.mu.RLock()
	for f.f == nil {
		f.mu.RUnlock()
		if err := f.openUp(); err != nil {
			return err
		}
		f.mu.RLock()
	}
	defer f.mu.RUnlock()
	return do(f.f)
}

func (f *rfile) openUp() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.openLocked()
}

func (f *rfile) openLocked() error {
	if f.over {
		return errOver
	}
	if f.f != nil {
		return nil
	}
	file, err := f.store.Update(f.mem.name, true)
	if err != nil {
		return err
	}
	f.f = file
	// What we remember is of the file as we left it.
	st := file.Opened()
	if was, ok := f.r.Memory.stamp(f.mem); !ok || !same(was, st) {
		f.r.Memory.cut(f.mem, 0)
	}
	if o, ok := f.store.(older); ok && st.Size == 0 {
		old, err := o.Older(f.mem.name)
		if err == nil {
			f.older = old
		} else if !errors.Is(err, fs.ErrNotExist) {
			f.r.log(transfer.Warning, "%s: the older file cannot be used: %v", quote(f.mem.name), err)
		}
	}
	return nil
}

// same says that b is the file as we left it with a. Some file systems keep times in steps of
// 100 ns or 1 s; one that was changed has the time of that.
func same(a, b transfer.Stat) bool {
	return a.Dev == b.Dev && a.Inode == b.Inode && a.Size == b.Size && a.Mtime == b.Mtime &&
		(b.Nsec == a.Nsec || b.Nsec == a.Nsec/100*100 || b.Nsec == 0)
}

// commit ends the file, if what is known of its content has the digest of the donor's.
func (f *rfile) commit(c *commitFrame, a transfer.Attrs) (agreed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.openLocked(); err != nil {
		return false, err
	}
	blocks := blocksIn(c.size)
	have, complete := f.r.Memory.whole(f.mem, blocks)
	if !complete || have != c.digest {
		if err := f.r.Memory.failure(); err != nil {
			return false, &FatalError{Err: err}
		}
		return false, nil
	}
	a.Mtime, a.Nsec = c.mtime, c.nsec
	f.r.Memory.cut(f.mem, blocks)
	file, st := f.f, f.f.Opened()
	st.Size, st.Mtime, st.Nsec = c.size, c.mtime, c.nsec
	f.f, f.over = nil, true
	f.closeOlder()
	if err := file.Commit(c.size, a); err != nil {
		return false, err
	}
	f.r.Memory.setStamp(f.mem, st)
	return true, nil
}

// close closes the file as it is.
func (f *rfile) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.closeOlder()
	if f.f == nil {
		return nil
	}
	err := f.f.Abandon(-1)
	f.f = nil
	if st, e := f.store.Lstat(f.mem.name); e == nil {
		f.r.Memory.setStamp(f.mem, st)
	}
	return err
}

func (f *rfile) closeOlder() {
	if f.older != nil {
		f.older.Close()
		f.older = nil
	}
}
