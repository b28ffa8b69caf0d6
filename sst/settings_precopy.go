package sst

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Defaults of the rounds before the lock.
const (
	defaultPrecopyRounds  = 6
	maxPrecopyRounds      = 100
	defaultPrecopyMaxTime = time.Hour
)

// precopy reads what concerns the rounds before the lock.
func (l *settingsLoader) precopy() {
	l.s.Precopy, l.s.PrecopyRounds = true, defaultPrecopyRounds
	sst := []string{sstGroup}
	if o, ok := l.files.Get(sst, "precopy"); ok {
		switch strings.ToLower(o.Value) {
		case "auto":
		case "off":
			l.s.Precopy = false
		default:
			l.warn("%s: precopy=%s is neither auto nor off, auto is used", where(o), o.Value)
		}
	}
	if n, ok := l.integer("precopy-rounds", 1, maxPrecopyRounds); ok {
		l.s.PrecopyRounds = n
	}
	if o, ok := l.files.Get(sst, "precopy-rlimit"); ok {
		n, err := parseRate(o.Value)
		if err != nil {
			l.warn("%s: precopy-rlimit=%s %v, there is no limit", where(o), o.Value, err)
		}
		l.s.PrecopyRate = n
	}
	l.s.RejectsQueries = isOn(l.server("wsrep-sst-donor-rejects-queries").Value)
}

func isOn(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

// minRate is the lowest that a person can mean: with less an SST takes for ever.
const minRate = 1 << 10

// parseRate reads bytes a second; k, m, g, t are powers of 1024. 0 is no limit.
func parseRate(s string) (int64, error) {
	number, unit := strings.TrimRight(s, "kKmMgGtT"), 1.0
	if letters := s[len(number):]; letters != "" {
		unit = math.Pow(1024, float64(strings.Index("kmgt", strings.ToLower(letters))+1))
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(f) || f < 0 || strings.ContainsAny(number, "xXpPeE_") || unit < 1024 && number != s {
		return 0, fmt.Errorf("is no number of bytes a second")
	}
	if n := f * unit; n == 0 || n >= minRate && n < 1<<50 {
		return int64(n), nil
	}
	return 0, fmt.Errorf("is not between 1k and 1024t bytes a second")
}
