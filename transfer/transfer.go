package transfer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Basis tells the sender what the receiver already has of a file, as block sums in
// a request: what matches need not travel. In rsync the receiver computes them
// from the file at the destination.
type Basis interface {
	// WriteSums writes a sum head and the sums to w and returns the head. A file of
	// which nothing is known has the zero head: everything is sent. isNew: nothing
	// stands at path yet. redo asks for the longest sums, after a file failed
	// verification.
	WriteSums(ctx context.Context, w *wire.Writer, path string, isNew, redo bool) (delta.SumHead, error)
}

// noBasis is --whole-file.
type noBasis struct{}

func (noBasis) WriteSums(_ context.Context, w *wire.Writer, _ string, _, _ bool) (delta.SumHead, error) {
	delta.SumHead{}.Write(w)
	return delta.SumHead{}, nil
}

// storeBasis computes the sums of what is at the destination.
type storeBasis struct {
	store Store
	sum   *delta.Algorithm
	page  int64
}

func (b storeBasis) WriteSums(ctx context.Context, w *wire.Writer, path string, isNew, redo bool) (delta.SumHead, error) {
	f, err := openBasis(b.store, path, isNew)
	if err != nil {
		return noBasis{}.WriteSums(ctx, w, path, isNew, redo) // not there, or not to be read
	}
	defer f.Close()
	head := delta.PlanPages(f.Size(), b.page, b.sum.Size(), redo)
	head.Write(w)
	return head, delta.WriteSums(ctx, w, head, b.sum, f)
}

// The life of a file of the list, as generator and receiver share it.
type fileState uint8

const (
	untouched fileState = iota
	requested
	noSendSaid // requested, and the client said that it will not come
	received   // and verified
	redoAsked  // first try failed verification
	failed
)

// want is what a request with block sums asked for.
type want struct {
	head  delta.SumHead
	isNew bool // the sums are those of an older file, not of the one that is written
}

// board is what generator and receiver share.
type board struct {
	mu    sync.Mutex
	state []fileState
	wants map[int32]want // of requests with block sums
	redo  []int32        // files to ask for again
}

func (b *board) get(i int32) (fileState, want) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state[i], b.wants[i]
}

func (b *board) set(i int32, s fileState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state[i] = s
	if s != requested {
		delete(b.wants, i)
	}
}

func (b *board) setWant(i int32, w want) {
	if w.head.Count == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wants[i] = w
}

// transfer runs the generator and the receiver, the two halves of the receiving
// side (§1), until the goodbye.
func (s *session) transfer(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.board = &board{state: make([]fileState, len(s.list.Entries)), wants: map[int32]want{}}
	s.reports = newReports(s.w)
	stopReports := make(chan struct{})
	var reporting sync.WaitGroup
	reporting.Go(func() { s.reports.send(stopReports) })
	firstPass, finished := make(chan struct{}), make(chan struct{})
	g := &generator{session: s, basis: s.basis()}
	r := &receiver{session: s, verify: delta.NewReceiver(s.sum)}
	var receiving sync.WaitGroup
	receiving.Go(func() {
		defer close(finished)
		if err := r.run(ctx, firstPass); err != nil {
			cancel(err)
			// The generator may be stuck writing to a client that does not read.
			s.conn.SetWriteDeadline(time.Now().Add(lastWords))
		}
	})
	if err := g.run(ctx, firstPass, finished); err != nil {
		cancel(err)
		s.conn.SetReadDeadline(time.Now().Add(lastWords / 2))
	}
	receiving.Wait()
	close(stopReports)
	reporting.Wait()
	s.conn.SetDeadline(time.Time{})
	return context.Cause(ctx)
}

func (s *session) basis() Basis {
	if s.args.wholeFile || s.sum.WholeOnly() {
		return noBasis{}
	}
	return storeBasis{s.module.Store, s.sum, s.d.PageSize}
}

// complain reports a file that did not make it. The session goes on; the client
// exits with code 23.
func (s *session) complain(name string, err error) {
	s.mu.Lock()
	s.stats.Failed = append(s.stats.Failed, name)
	s.mu.Unlock()
	s.log(Error, err.Error())
	s.reports.say(wire.ErrorXfer, err.Error())
}

// Fatal says whether an error of the store makes going on pointless: the next file
// would fail as well.
func Fatal(err error) bool {
	for _, e := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// attrs are what a file of the list gets at the destination (§13).
func (s *session) attrs(e *flist.Entry, isNew bool) Attrs {
	a := Attrs{Mode: e.Mode & 0o7777, SetMode: s.args.perms, SetOwner: s.args.owner, SetGroup: s.args.group,
		UID: e.UID, GID: e.GID, SetTime: s.args.times, Mtime: e.Mtime, Nsec: e.Nsec}
	if isNew && !s.args.perms {
		a.SetMode, a.Mode = true, e.Mode&0o755
	}
	if s.args.numericIDs {
		return a
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := s.d.Owners
	if owners == nil {
		owners = SystemOwners{}
	}
	a.UID = mapped(&s.uids, e.UID, s.list.Users, owners.UID)
	a.GID = mapped(&s.gids, e.GID, s.list.Groups, owners.GID)
	return a
}

// mapped looks an id up once a session.
func mapped(known *map[uint32]uint32, id uint32, names map[uint32]string, look func(uint32, string) uint32) uint32 {
	if local, ok := (*known)[id]; ok {
		return local
	}
	if *known == nil {
		*known = map[uint32]uint32{}
	}
	local := look(id, names[id])
	(*known)[id] = local
	return local
}

// digest is the whole-file digest of --checksum.
func digest(ctx context.Context, f SourceFile, size int64, a *delta.Algorithm) ([]byte, error) {
	h := a.NewFile()
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		n, err := f.ReadAt(buf[:min(bufferSize, size-off)], off)
		h.Write(buf[:n])
		off += int64(n)
		if err != nil && off < size {
			return nil, fmt.Errorf("at byte %d: %w", off, err)
		}
	}
	return h.Sum(nil), nil
}

// bufferSize is the unit of file input and output.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func randomSeed() int32 {
	for {
		if n := int32(rand.Uint32()); n != 0 {
			return n
		}
	}
}
