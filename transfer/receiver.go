package transfer

import (
	"context"
	"errors"
	"fmt"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// receiver reads the stream from the client and writes the files. It must go on
// reading whatever happens, or generator and sender wait for each other.
type receiver struct {
	*session
	verify *delta.Receiver
}

// run reads up to the client's last NDX_DONE (§14.2). It closes firstPass when all
// that was asked for in the first pass is in.
func (r *receiver) run(ctx context.Context, firstPass chan<- struct{}) error {
	last := 3
	if r.proto >= 31 {
		last = 4
	}
	for done := 0; done < last; {
		ndx, err := r.r.NDX()
		if err != nil {
			return fmt.Errorf("read file data: %w", r.reason(err))
		}
		if ndx != ndxDone {
			if done >= 2 {
				return wire.Errorf("14.1", "file data after the end of the transfer")
			}
			if err := r.reply(ctx, ndx); err != nil {
				return err
			}
			continue
		}
		switch done++; done {
		case 1:
			r.settle()
			close(firstPass)
		case 2:
			r.settle()
		}
	}
	return nil
}

// reason turns the end of the stream into what it means here.
func (r *receiver) reason(err error) error {
	if errors.Is(err, errAcknowledged) {
		return exitf(ExitStream, "the other side ended the session")
	}
	return err
}

// settle closes the books of a pass: what was asked for and neither came nor was
// refused is missing.
func (r *receiver) settle() {
	r.board.mu.Lock()
	var missing []int32
	for i, st := range r.board.state {
		switch st {
		case requested:
			missing = append(missing, int32(i))
			r.board.state[i] = failed
		case noSendSaid:
			r.board.state[i] = failed
		}
	}
	r.board.mu.Unlock()
	for _, i := range missing {
		e := r.list.Entries[i]
		r.complain(e.Name, fmt.Errorf("%s was asked for and not sent", flist.Quote(e.Name)))
	}
}

// noSend notes that a file will not come (§11.1). It is called while the receiver
// reads, so in its goroutine.
func (s *session) noSend(ndx int32) error {
	if s.board == nil || ndx < 0 || int(ndx) >= len(s.board.state) {
		return wire.Errorf("5.2", "NO_SEND for file number %d, which was not asked for", ndx)
	}
	s.board.mu.Lock()
	defer s.board.mu.Unlock()
	if st := s.board.state[ndx]; st != requested && st != redoAsked {
		return wire.Errorf("5.2", "NO_SEND for file number %d, which was not asked for", ndx)
	}
	s.board.state[ndx] = noSendSaid
	name := s.list.Entries[ndx].Name
	s.mu.Lock()
	s.stats.Vanished = append(s.stats.Vanished, name)
	s.mu.Unlock()
	s.log(Warning, "the other side could not send "+flist.Quote(name))
	return nil
}

// reply takes one file (§11.1).
func (r *receiver) reply(ctx context.Context, ndx int32) error {
	if ndx < 0 || int(ndx) >= len(r.list.Entries) {
		return wire.Errorf("17.1", "data of file number %d of %d", ndx, len(r.list.Entries))
	}
	e := r.list.Entries[ndx]
	state, wanted := r.board.get(ndx)
	if state != requested {
		return wire.Errorf("17.2", "data of %s, which was not asked for", flist.Quote(e.Name))
	}
	iflags, err := r.r.Short()
	if err != nil {
		return fmt.Errorf("receive %s: %w", flist.Quote(e.Name), err)
	}
	if iflags&iflagTransfer == 0 || iflags&(iflagBasisType|iflagXName) != 0 {
		return wire.Errorf("11.1", "reply for %s with flags %#x, which repeat no request of ours", flist.Quote(e.Name), iflags)
	}
	head, err := delta.ReadSumHead(r.r, r.sum.Size())
	if err != nil {
		return fmt.Errorf("receive %s: %w", flist.Quote(e.Name), err)
	}
	if head != wanted.head {
		return wire.Errorf("11.1", "reply for %s repeats another sum head than was sent", flist.Quote(e.Name))
	}
	return r.data(ctx, ndx, e, wanted, iflags&iflagIsNew != 0)
}

// data receives tokens and digest into the file and settles its fate.
func (r *receiver) data(ctx context.Context, ndx int32, e *flist.Entry, wanted want, isNew bool) error {
	path := r.path(e)
	f, openErr := r.module.Store.Update(path, r.args.inPlace)
	if openErr != nil {
		if Fatal(openErr) {
			return &ExitError{Code: ExitFile, Err: openErr}
		}
		r.board.set(ndx, failed)
		r.complain(e.Name, openErr)
		_, _, err := r.verify.Receive(r.r, wanted.head, nil)
		return err
	}
	sink, err := r.newSink(path, f, wanted)
	if err != nil {
		return errors.Join(err, f.Abandon(-1))
	}
	n, ok, err := r.verify.Receive(r.r, wanted.head, sink)
	if err == nil {
		err = sink.flush()
	}
	sink.close()
	if err != nil {
		f.Abandon(-1)
		var local *delta.SinkError
		if errors.As(err, &local) {
			return &ExitError{Code: ExitFile, Err: fmt.Errorf("write %s: %w", flist.Quote(path), local.Err)}
		}
		return fmt.Errorf("receive %s: %w", flist.Quote(e.Name), r.reason(err))
	}
	if ok {
		return r.commit(ndx, e, f, n, isNew)
	}
	if err := f.Abandon(n); err != nil {
		return &ExitError{Code: ExitFile, Err: err}
	}
	r.unverified(ndx, e)
	return nil
}

func (r *receiver) commit(ndx int32, e *flist.Entry, f File, n int64, isNew bool) error {
	if err := f.Commit(n, r.attrs(e, isNew)); err != nil {
		if Fatal(err) {
			return &ExitError{Code: ExitFile, Err: err}
		}
		r.board.set(ndx, failed)
		r.complain(e.Name, err)
		return nil
	}
	r.board.set(ndx, received)
	r.stats.Files++
	r.stats.Bytes += n
	r.stats.Literal += n - r.verify.Matched()
	if r.d.Progress != nil {
		r.d.Progress(n)
	}
	return nil
}

// unverified deals with a file whose digest did not match: it is asked for once
// more, and then given up (§13).
func (r *receiver) unverified(ndx int32, e *flist.Entry) {
	r.board.mu.Lock()
	again := !r.redone[ndx]
	if again {
		if r.redone == nil {
			r.redone = map[int32]bool{}
		}
		r.redone[ndx] = true
		r.board.state[ndx] = redoAsked
		r.board.redo = append(r.board.redo, ndx)
		delete(r.board.wants, ndx)
	} else {
		r.board.state[ndx] = failed
	}
	r.board.mu.Unlock()
	if again {
		r.stats.Redone++
		r.log(Warning, flist.Quote(e.Name)+" failed verification, asking for it once more")
		return
	}
	r.complain(e.Name, fmt.Errorf("ERROR: %s failed verification -- update retained", flist.Quote(e.Name)))
}
