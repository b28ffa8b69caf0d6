package status

import (
	"fmt"
	"time"
)

// A Verdict is what a supervisor wants to know.
type Verdict int

// The verdicts.
const (
	Idle    Verdict = iota // no SST runs, and the last one, if any, went well
	Running                // one runs and gets on, or waits for what may take long
	Stuck                  // one runs and does not get on, or its process has stopped
	Broken                 // none runs, and the last one failed
)

var verdicts = [...]string{Idle: "idle", Running: "running", Stuck: "stuck", Broken: "failed"}

func (v Verdict) String() string { return verdicts[v] }

// Judge says what the file means at the moment now, and why in words. A run whose
// process is gone has failed, whatever it said last.
func (f File) Judge(now time.Time) (Verdict, string) {
	return f.judge(now, lives)
}

func (f File) judge(now time.Time, lives func(Run) bool) (Verdict, string) {
	switch c := f.Current; {
	case c == nil:
	case !lives(*c):
		return Broken, fmt.Sprintf("the %s's process %d is gone without saying how it ended", c.Role, c.PID)
	case now.Sub(c.Updated) > fresh:
		return Stuck, fmt.Sprintf("the %s's process %d lives but has not said so for %s: it is stopped, or its disk is", c.Role, c.PID, ago(now, c.Updated))
	case (c.Phase == Transferring || c.Phase == Finishing) && c.Silence > 0 && now.Sub(c.Moved).Seconds() > c.Silence:
		return Stuck, fmt.Sprintf("the %s has made no progress for %s", c.Role, ago(now, c.Moved))
	default:
		return Running, fmt.Sprintf("the %s is %s", c.Role, c.Phase)
	}
	if len(f.Last) == 0 {
		return Idle, "no SST has run"
	}
	last := f.Last[0]
	if last.Phase == Failed {
		return Broken, fmt.Sprintf("the last SST failed: %s", last.Reason)
	}
	return Idle, "no SST runs, the last one is complete"
}

func ago(now, then time.Time) time.Duration { return now.Sub(then).Round(time.Second) }
