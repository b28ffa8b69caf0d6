package sst

import (
	"context"
	"fmt"
	"time"
)

// progressInterval is the time between two lines about a transfer under way.
const progressInterval = 10 * time.Second

// sayProgress says how many bytes there are, if there are more than before, until
// ctx ends.
func sayProgress(ctx context.Context, verb string, count func() int64, infof func(string, ...any)) {
	t := time.NewTicker(progressInterval)
	defer t.Stop()
	before, since := count(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		now := count()
		if now > before {
			infof("%s %s so far (%s now)", verb, bytesText(now), rateText(now-before, time.Since(since)))
		}
		before, since = now, time.Now()
	}
}

// amount tells bytes, time and rate in one.
func amount(n int64, d time.Duration) string {
	return fmt.Sprintf("%s in %.1f s (%s)", bytesText(n), d.Seconds(), rateText(n, d))
}

// rateText is in MB/s: 10^6, as networks and disks are sold.
func rateText(n int64, d time.Duration) string {
	if d <= 0 {
		d = time.Nanosecond
	}
	return fmt.Sprintf("%.0f MB/s", float64(n)/1e6/d.Seconds())
}
