package mariadbd

import (
	"context"
	"os"
	"sync"
	"time"
)

// A Moment of an SST.
type Moment string

// The moments, in their order.
const (
	Started   Moment = "started"   // the joiner's program
	Ready     Moment = "ready"     // the joiner listens
	Asked     Moment = "asked"     // the donor's program is started
	Connected Moment = "connected" // both know each other
	Locked    Moment = "locked"    // the donor's tables cannot be written
	Copied    Moment = "copied"    // all files are with the joiner
	Unlocked  Moment = "unlocked"
	Done      Moment = "done" // everything is on the joiner's disk and has its name
)

// An SST is one run of both programs.
type SST struct {
	Donor, Joiner *Side
	// Patience is how long one node may go on after the other has failed: its log
	// then says how it took that.
	Patience time.Duration

	// Mark is told each moment as it comes, some more than once; from any goroutine.
	Mark func(m Moment, detail string)
	// Ready is called when the joiner is ready and has given up its position.
	Ready func(ctx context.Context) error
	// Lock is called when the donor wants its tables flushed and locked; nil: they are.
	Lock func(ctx context.Context) error
	// Via gives the address that the donor is sent to, from the one that the joiner
	// offers; nil: the same.
	Via func(offer string) (string, error)
}

// Run starts the joiner, and when that is ready the donor, and returns when no
// process is left.
func (s *SST) Run(ctx context.Context) error {
	port, err := FreePort()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	address := make(chan string, 1)
	joinerOver, donorOver := make(chan struct{}), make(chan struct{})
	both := failures{patience: s.Patience}
	var nodes sync.WaitGroup
	nodes.Go(func() {
		err := s.joins(ctx, port, address)
		if err == nil {
			s.Mark(Done, "joiner, everything is on its disk")
		}
		close(joinerOver)
		both.node(err, donorOver, cancel)
	})
	nodes.Go(func() {
		var err error
		select {
		case <-joinerOver:
		case offer := <-address:
			err = s.gives(ctx, offer)
		}
		close(donorOver)
		both.node(err, joinerOver, cancel)
	})
	nodes.Wait()
	return context.Cause(ctx)
}

// joins plays the joiner's mariadbd, which gives up its position when it asks the
// cluster for a state.
func (s *SST) joins(ctx context.Context, port int, address chan<- string) error {
	return s.Joiner.joins(ctx, port, s.Mark, func(offer string, giveUp func() error) (err error) {
		if err := giveUp(); err != nil {
			return err
		}
		s.Mark(Ready, "joiner at "+offer)
		if s.Via != nil {
			if offer, err = s.Via(offer); err != nil {
				return err
			}
		}
		address <- offer
		if s.Ready == nil {
			return nil
		}
		return s.Ready(ctx)
	})
}

func (s *SST) gives(ctx context.Context, offer string) error {
	return s.Donor.gives(ctx, offer, s.Mark, func() error {
		if s.Lock != nil {
			if err := s.Lock(ctx); err != nil {
				return err
			}
		}
		s.Mark(Locked, "donor")
		return s.Donor.flushed()
	})
}

// failures keeps the first failure of two nodes.
type failures struct {
	patience time.Duration

	mu    sync.Mutex
	first error
}

// node ends the run if a node failed, but lets the other one find out by itself.
func (f *failures) node(err error, other <-chan struct{}, cancel context.CancelCauseFunc) {
	if err == nil {
		return
	}
	f.mu.Lock()
	if f.first == nil {
		f.first = err
	}
	err = f.first
	f.mu.Unlock()
	patience := time.NewTimer(f.patience)
	defer patience.Stop()
	select {
	case <-other:
	case <-patience.C:
	}
	cancel(err)
}

// A Meter is told of the processes of a side.
type Meter interface {
	Begin(pid int)
	// End is told when the process has ended and was waited for.
	End(*os.ProcessState)
}
