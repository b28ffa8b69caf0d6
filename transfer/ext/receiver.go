package ext

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A Receiver is the joiner's side. It lives as long as the SST; the fields are set
// before the first Serve.
type Receiver struct {
	// Stores has one for each number of a root that the donor may use. Files are
	// written in place. nil: that root is refused.
	Stores []transfer.Store
	Owners transfer.Owners // nil: transfer.SystemOwners
	// Memory is what this side knows of its own files. nil: one of the Receiver's own.
	Memory *Memory
	// Progress, if set, is called with how many bytes more of content were written, by
	// several goroutines.
	Progress func(n int64)
	// Log, if set, gets a line about a file that was refused, or damaged on its way.
	Log func(level transfer.Level, line string)

	mu     sync.Mutex
	sender uint64 // whose streams these are
	slots  [maxSlots]*session
	taken  atomic.Int32 // of the slots
	files  [256]map[string]*rfile
	open   int // rfiles in files
	fatal  error
	own    bool // Memory is ours to close
	owners ownerCache
}

// maxOpen bounds the files that are open at a time.
const maxOpen = 512

// A FatalError is what makes the whole transfer fail: no room on the disk, a donor that breaks
// the protocol. The donor gets its text.
type FatalError struct{ Err error }

func (e *FatalError) Error() string { return e.Err.Error() }

func (e *FatalError) Unwrap() error { return e.Err }

var errReplaced = errors.New("the donor has made this connection again")

// Serve serves one stream, after the hellos, until the donor closes it (nil), it breaks, ctx
// ends, or something makes going on pointless: the donor has then been told
// (*FatalError). Many may run at once; a stream that takes the place of a broken one
// ends the Serve of that. The connection is closed.
func (r *Receiver) Serve(ctx context.Context, conn net.Conn) error {
	s := newSession(r, conn)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { s.kill(context.Cause(ctx)) })
	defer stop()
	defer close(s.gone)
	err := s.serve()
	r.leave(s)
	if err == nil {
		return nil
	}
	var fatal *FatalError
	if errors.As(err, &fatal) {
		r.mu.Lock()
		if r.fatal == nil {
			r.fatal = err
		}
		r.mu.Unlock()
		return err
	}
	return fmt.Errorf("stream from the donor: %w", err)
}

// enter gives s its slot. What still runs there belongs to a connection that the donor has
// given up; it must have ended, or what it has not written yet would land on top of
// what comes now.
func (r *Receiver) enter(o open, s *session) error {
	for {
		r.mu.Lock()
		if r.fatal != nil {
			defer r.mu.Unlock()
			return r.fatal
		}
		if r.Memory == nil {
			r.Memory, r.own = NewMemory(""), true
		}
		old := r.rival(o)
		if old == nil {
			if r.sender != o.sender {
				r.closeFiles()
			}
			r.sender, r.slots[o.slot], s.slot = o.sender, s, int(o.slot)
			r.taken.Add(1)
			r.Memory.adopt(o.seed)
			s.hasher = r.Memory.hash()
			r.mu.Unlock()
			return nil
		}
		r.mu.Unlock()
		old.kill(errReplaced)
		select {
		case <-old.quiet:
		case <-s.killed:
			return s.cause()
		}
		r.leave(old)
	}
}

// rival is a session that must end before one with o may begin.
func (r *Receiver) rival(o open) *session {
	if r.sender == o.sender {
		return r.slots[o.slot]
	}
	for _, s := range r.slots {
		if s != nil {
			return s
		}
	}
	return nil
}

func (r *Receiver) leave(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.slot >= 0 && r.slots[s.slot] == s {
		r.slots[s.slot] = nil
		r.taken.Add(-1)
	}
}

// crowded says that there are as many streams as processors (of the cgroup, which the runtime follows).
func (r *Receiver) crowded() bool { return int(r.taken.Load()) >= runtime.GOMAXPROCS(0) }

// Close closes what files are still open. No Serve may be running.
func (r *Receiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.closeFiles()
	if r.own {
		err = errors.Join(err, r.Memory.Close())
	}
	return err
}

func (r *Receiver) closeFiles() error {
	var errs []error
	for _, files := range r.files {
		for name, f := range files {
			errs = append(errs, f.close())
			delete(files, name)
			r.open--
		}
	}
	return errors.Join(errs...)
}

func (r *Receiver) progress(n int64) {
	if r.Progress != nil {
		r.Progress(n)
	}
}

func (r *Receiver) log(level transfer.Level, format string, a ...any) {
	if r.Log != nil {
		r.Log(level, fmt.Sprintf(format, a...))
	}
}

// acquire gives the file of that name to one more user.
func (r *Receiver) acquire(root uint8, name []byte) (*rfile, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if int(root) >= len(r.Stores) || r.Stores[root] == nil {
		return nil, malformed("a file for root %d, which there is not", root)
	}
	if f := r.files[root][string(name)]; f != nil {
		f.users++
		return f, nil
	}
	if r.open >= maxOpen && !r.closeIdle() {
		return nil, malformed("more than %d files open at a time", maxOpen)
	}
	mem, err := r.Memory.file(root, name)
	if err != nil {
		return nil, &FatalError{Err: err}
	}
	if r.files[root] == nil {
		r.files[root] = map[string]*rfile{}
	}
	f := &rfile{r: r, store: r.Stores[root], mem: mem, users: 1}
	r.files[root][mem.name] = f
	r.open++
	return f, nil
}

// closeIdle closes a file that nobody uses: it was begun and neither ended nor given up
// before its connection broke.
func (r *Receiver) closeIdle() bool {
	for _, files := range r.files {
		for name, f := range files {
			if f.users == 0 {
				delete(files, name)
				r.open--
				f.close()
				return true
			}
		}
	}
	return false
}

// release takes a user away. over: the file is committed or given up, and is not kept
// open for the other parts of it.
func (r *Receiver) release(f *rfile, over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.users--
	if over && r.files[f.mem.root][f.mem.name] == f {
		delete(r.files[f.mem.root], f.mem.name)
		r.open--
	}
}

// ownerCache keeps what Owners says, which may have to read files to say it.
type ownerCache struct {
	mu       sync.Mutex
	uid, gid map[owner]uint32
}

type owner struct {
	id   uint32
	name string
}

// look is bounded: a donor that names ever more owners costs look-ups, not memory.
func look(known *map[owner]uint32, id uint32, name []byte, ask func(uint32, string) uint32) uint32 {
	if local, ok := (*known)[owner{id, string(name)}]; ok {
		return local
	}
	if *known == nil || len(*known) >= 1000 {
		*known = map[owner]uint32{}
	}
	key := owner{id, string(name)}
	(*known)[key] = ask(id, key.name)
	return (*known)[key]
}

// attrs are what a file gets here.
func (r *Receiver) attrs(f *fileFrame) transfer.Attrs {
	owners := r.Owners
	if owners == nil {
		owners = transfer.SystemOwners{}
	}
	r.owners.mu.Lock()
	defer r.owners.mu.Unlock()
	return transfer.Attrs{
		SetMode: true, Mode: f.mode, SetTime: true,
		SetOwner: true, UID: look(&r.owners.uid, f.uid, f.user, owners.UID),
		SetGroup: true, GID: look(&r.owners.gid, f.gid, f.group, owners.GID),
	}
}
