package transfer

import (
	"context"
	"sync"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// reports are what the receiving side has to tell the client in words. They are
// sent by a goroutine of their own, and the queue has no bound but the number of
// files, so that the receiver never waits to write: a receiver that does not read
// can stop the whole session.
type reports struct {
	w     *wire.Writer
	mu    sync.Mutex
	queue []report
	wake  chan struct{} // one token: the queue changed
}

type report struct {
	tag  wire.Tag
	text string
	sent chan<- struct{} // not nil: no text, but a mark to be closed when it is reached
}

func newReports(w *wire.Writer) *reports {
	return &reports{w: w, wake: make(chan struct{}, 1)}
}

func (r *reports) put(rep report) {
	r.mu.Lock()
	r.queue = append(r.queue, rep)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// say queues a text.
func (r *reports) say(tag wire.Tag, text string) { r.put(report{tag: tag, text: text}) }

// flush waits until everything queued so far is sent. The client judges the session
// by what it has heard when the last NDX_DONE comes.
func (r *reports) flush(ctx context.Context) error {
	sent := make(chan struct{})
	r.put(report{sent: sent})
	return wait(ctx, sent)
}

// send works until stop is closed.
func (r *reports) send(stop <-chan struct{}) {
	for {
		r.mu.Lock()
		queue := r.queue
		r.queue = nil
		r.mu.Unlock()
		for _, rep := range queue {
			if rep.sent != nil {
				close(rep.sent)
				continue
			}
			_ = r.w.Message(rep.tag, []byte(cut(printable(rep.text), wire.MaxText-100)+"\n"))
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-r.wake:
		case <-stop:
			return
		}
	}
}
