package transfer

import (
	"sync"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Numbers with a meaning in the place of an index (§6.3).
const (
	ndxDone     = -1
	ndxDelStats = -3
)

// Flags of a request that change the protocol (§10.1).
const (
	iflagBasisType = 0x0800
	iflagXName     = 0x1000
	iflagIsNew     = 0x2000
	iflagTransfer  = 0x8000
)

// Memory for block sums at the sender: of one request, and of all that wait. A
// terabyte file has 8.4 million blocks, 10 bytes each.
const (
	maxSumsMemory    = 256 << 20
	maxWaitingMemory = 32 << 20
)

// maxRequests is how often a file may be asked for: once, and once more after it
// failed its digest (§13).
const maxRequests = 2

// sumsMemory is what the sums of one request may take: nothing when they are of more
// blocks than an honest generator makes for a file of this size and twice as much
// (§10.4: of 700 bytes at least in short files, of a page in long ones). They are
// read and dropped then, and the file is sent whole; a peer who announces much has
// the memory of his own, not ours.
func sumsMemory(count int32, size int64) int64 {
	const page, short = 4 << 10, 32 << 10
	if int64(count) > short+size/(page/2) {
		return 0
	}
	return maxSumsMemory
}

// requestQueue holds the requests between the goroutine that reads them and the
// one that answers. It has no limit on their number, which the file list bounds
// (maxRequests): the daemon asks for everything at once and counts on our reading.
// Only block sums make it wait.
type requestQueue struct {
	mu     sync.Mutex
	change sync.Cond
	queue  []request
	memory int64
	closed bool // by either side
	err    error
}

func newRequestQueue() *requestQueue {
	q := &requestQueue{}
	q.change.L = &q.mu
	return q
}

// put adds a request; false when nobody takes any more.
func (q *requestQueue) put(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.memory > maxWaitingMemory {
		q.change.Wait()
	}
	if q.closed {
		return false
	}
	q.queue = append(q.queue, r)
	q.memory += r.memory()
	q.change.Broadcast()
	return true
}

// take gives the next request. Before it waits for one, it flushes w: what was
// answered so far must reach the daemon.
func (q *requestQueue) take(w *wire.Writer) (request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 && !q.closed {
		q.mu.Unlock()
		err := w.Flush()
		q.mu.Lock()
		if err != nil {
			return request{}, err
		}
	}
	for len(q.queue) == 0 {
		if q.closed {
			return request{}, q.err
		}
		q.change.Wait()
	}
	r := q.queue[0]
	q.queue[0] = request{}
	q.queue = q.queue[1:]
	q.memory -= r.memory()
	q.change.Broadcast()
	return r, nil
}

// close ends the queue: take gives what is left, then err.
func (q *requestQueue) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.err = true, err
	if err == nil {
		q.err = errQueueEnd
	}
	q.change.Broadcast()
}

var errQueueEnd = wire.Errorf("14.2", "the daemon ended its requests too early")

func (r request) memory() int64 {
	if r.sums == nil {
		return 0
	}
	return int64(4*len(r.sums.Weak) + len(r.sums.Strong))
}
