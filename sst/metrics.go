package sst

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/transfer"
)

// metricsFile reads where the metrics go.
func (l *settingsLoader) metricsFile() {
	const key = "metrics-file"
	o, ok := l.get(key)
	switch {
	case !ok || o.Value == "":
	case !filepath.IsAbs(o.Value):
		l.warn("%s: %s=%s is no absolute path, no metrics are written", where(o), key, o.Value)
	case inside(filepath.Clean(o.Value), l.args.Datadir):
		l.warn("%s: %s=%s is in the data directory, no metrics are written", where(o), key, o.Value)
	default:
		l.s.MetricsFile = filepath.Clean(o.Value)
	}
}

// reasonOf is why an SST failed, in a word that metrics can count.
func reasonOf(err error) status.Reason {
	var session *transfer.ExitError
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return status.DiskFull
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &session) && session.Code == transfer.ExitTimeout:
		return status.Timeout
	}
	switch statusOf(err) {
	case exitMissing, exitInvalid:
		return status.Configuration
	case exitSignal:
		return status.Signal
	case exitBusy:
		return status.PortTaken
	case exitPipe:
		return status.Connection
	case exitProtocol:
		return status.Protocol
	case exitRunning:
		return status.Already
	}
	return status.Other
}

// overdue is the error of a time limit of ours.
type overdue struct{ error }

// Is lets it count as one.
func (overdue) Is(target error) bool { return target == os.ErrDeadlineExceeded }
