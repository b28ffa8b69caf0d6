package dtls

import (
	"sync"
	"time"
)

// A limit is a deadline of something that waits on a condition; the condition's lock
// is held for its methods.
type limit struct {
	at    time.Time
	timer *time.Timer
}

// set changes the deadline; the zero time is none. Who waits on cond looks again when
// it is over.
func (l *limit) set(t time.Time, cond *sync.Cond) {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.at = t
	if t.IsZero() {
		return
	}
	if d := time.Until(t); d > 0 {
		l.timer = time.AfterFunc(d, func() {
			cond.L.Lock()
			defer cond.L.Unlock()
			cond.Broadcast()
		})
		return
	}
	cond.Broadcast()
}

func (l *limit) over() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }
