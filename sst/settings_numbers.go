package sst

import (
	"fmt"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// Defaults of what can be set. 300 s is what the stock script's rsync waits for a
// sign of life. For the donor to come at all there is no limit: a joiner may queue
// for hours behind a busy donor, as long as its mariadbd lives.
const (
	defaultSilence          = 300 * time.Second
	defaultConnectTimeout   = 10 * time.Second
	defaultHandshakeTimeout = 30 * time.Second
	defaultPreviousTimeout  = 30 * time.Second
	defaultReconnect        = 60 * time.Second
	defaultReconnectLocked  = 10 * time.Second
	defaultSilenceLocked    = 60 * time.Second

	defaultMaxBinlogs = 1
	maxBackupThreads  = 256
	defaultPageSize   = 16 << 10
)

// transfer reads how the data is sent.
func (l *settingsLoader) transfer() {
	size := l.server("innodb-page-size")
	l.s.PageSize = pageSize(size.Value)
	if size.Value != "" {
		l.remark("innodb-page-size", fmt.Sprintf("%d bytes", l.s.PageSize))
	}
	l.s.BackupThreads = runtime.GOMAXPROCS(0)
	if n, ok := l.integer("backup-threads", 1, math.MaxInt32); ok {
		if n > maxBackupThreads {
			l.warn("backup-threads=%d is more than makes sense, %d are used", n, maxBackupThreads)
			n = maxBackupThreads
			l.remark("backup-threads", fmt.Sprintf("%d are used", n))
		}
		l.s.BackupThreads = n
	} else {
		l.record("backup-threads", strconv.Itoa(l.s.BackupThreads), byDefault)
	}
	l.s.MaxBinlogs = defaultMaxBinlogs
	if n, ok := l.integer("sst-max-binlogs", math.MinInt32, math.MaxInt32); ok {
		l.s.MaxBinlogs = n
	}
	l.progress()
	l.rateLimit()
	l.times()
}

// refuse tells of a value that cannot be used. That is as good as not set: no node
// shall stay down for it.
func (l *settingsLoader) refuse(o mycnf.Option, key, why string) {
	l.warn("%s: %s=%s is %s, the default is used", where(o), key, o.Value, why)
	delete(l.found, key)
	l.remark(key, fmt.Sprintf("%s at %s is %s", o.Value, where(o), why))
}

func (l *settingsLoader) integer(key string, low, high int) (int, bool) {
	o, ok := l.get(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(o.Value)
	if err != nil || n < low || n > high {
		l.refuse(o, key, fmt.Sprintf("not a number of at least %d", low))
		return 0, false
	}
	return n, true
}

// pageSize reads innodb_page_size, which may end in k; the default if it is none.
func pageSize(s string) int64 {
	number, unit := strings.TrimRight(s, "kK"), int64(1)
	if number != s {
		unit = 1 << 10
	}
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || n <= 0 {
		return defaultPageSize
	}
	return n * unit
}

// rateLimit reads rlimit. As in mariabackup's script there is none with progress=none,
// which turns off all that pv does.
func (l *settingsLoader) rateLimit() {
	o, ok := l.get("rlimit")
	if !ok {
		return
	}
	rate, err := parseRate(o.Value)
	switch {
	case err != nil:
		l.refuse(o, "rlimit", err.Error())
	case l.s.Progress == noProgress && rate > 0:
		l.warn("%s: rlimit=%s is not in force, since progress=none turns it off too", where(o), o.Value)
		l.remark("rlimit", "not in force: progress=none turns it off")
	case rate > 0:
		l.s.RateLimit = rate
		l.remark("rlimit", fmt.Sprintf("%d bytes a second", rate))
	}
}

// Bounds of rlimit in bytes a second. What is below is most likely a number whose
// suffix was forgotten, and would never end.
const (
	minRate = 1 << 10
	maxRate = 1 << 50
)

// parseRate reads a rate as pv -L does: a number of bytes a second, with k, m, g or t
// for powers of 1024, in upper case too and after blanks. Fractions are understood, as
// newer versions of pv do. 0 is no limit.
func parseRate(s string) (int64, error) {
	number, shift := s, 0
	if i := len(s) - 1; i > 0 {
		if n := strings.IndexByte("kmgt", s[i]|0x20); n >= 0 {
			number, shift = strings.TrimRight(s[:i], " \t"), 10*(n+1)
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.Trim(number, "0123456789.") != "" {
		return 0, fmt.Errorf("not a rate such as 40m")
	}
	switch f = math.Ldexp(f, shift); {
	case f == 0:
		return 0, nil
	case f < minRate:
		return 0, fmt.Errorf("less than 1k a second (is a k, m or g missing?)")
	case f > maxRate:
		return 0, fmt.Errorf("more than 1024t a second")
	}
	return int64(f), nil
}

// Values of progress that are no file.
const (
	noProgress  = "none"
	logProgress = "1"
)

func (l *settingsLoader) progress() {
	o, _ := l.get("progress")
	switch o.Value {
	case "", noProgress, logProgress:
		l.s.Progress = o.Value
	default:
		l.s.Progress = l.abs(o.Value)
		l.record("progress", l.s.Progress, where(o))
	}
	const key, least = "progress-interval", time.Second
	if o, ok := l.get(key); ok {
		d, err := parseSeconds(o.Value)
		if err != nil || d < least {
			l.refuse(o, key, "not a number of seconds of at least 1")
			return
		}
		l.s.ProgressInterval = d
	}
}

// times reads time, which for the scripts is on if it is 1.
func (l *settingsLoader) times() {
	o, ok := l.get("time")
	switch n, err := strconv.Atoi(o.Value); {
	case !ok:
	case err != nil || n < 0 || n > 1:
		l.refuse(o, "time", "neither 0 nor 1")
	default:
		l.s.Times = n == 1
	}
}

func (l *settingsLoader) timeouts() {
	for _, t := range []struct {
		key      string
		to       *time.Duration
		standard time.Duration
		zero     bool // 0 means no limit
	}{
		{"sst-initial-timeout", &l.s.InitialTimeout, 0, true},
		{"sst-timeout", &l.s.Silence, defaultSilence, true},
		{"sst-connect-timeout", &l.s.ConnectTimeout, defaultConnectTimeout, false},
		{"sst-handshake-timeout", &l.s.HandshakeTimeout, defaultHandshakeTimeout, false},
		{"sst-previous-timeout", &l.s.PreviousTimeout, defaultPreviousTimeout, false},
		{"sst-reconnect-timeout", &l.s.Reconnect, defaultReconnect, true},
		{"sst-reconnect-timeout-locked", &l.s.ReconnectLocked, defaultReconnectLocked, true},
		{"sst-timeout-locked", &l.s.SilenceLocked, defaultSilenceLocked, true},
		{"precopy-max-time", &l.s.PrecopyMaxTime, defaultPrecopyMaxTime, true},
	} {
		*t.to = t.standard
		o, ok := l.get(t.key)
		if !ok {
			continue
		}
		switch d, err := parseSeconds(o.Value); {
		case err != nil:
			l.refuse(o, t.key, "not a number of seconds")
		case d == 0 && !t.zero:
			l.refuse(o, t.key, "no limit, and there must be one")
		default:
			*t.to = d
		}
	}
}

// parseSeconds reads a number of seconds, fractions allowed, up to ten years.
func parseSeconds(s string) (time.Duration, error) {
	const limit = 10 * 365 * 24 * 3600
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > limit || strings.ContainsAny(s, "xXpPeE_") {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	if d := time.Duration(f * float64(time.Second)); d > 0 || f == 0 {
		return d, nil
	}
	return 0, fmt.Errorf("%q is too short", s)
}
