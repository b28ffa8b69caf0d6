package sst

import (
	"fmt"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/ext"
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
	if o, ok := l.get("precopy"); ok {
		switch strings.ToLower(o.Value) {
		case "auto":
		case "off":
			l.s.Precopy = false
		default:
			l.refuse(o, "precopy", "neither auto nor off")
		}
	}
	if n, ok := l.integer("precopy-rounds", 1, maxPrecopyRounds); ok {
		l.s.PrecopyRounds = n
	}
	if o, ok := l.get("precopy-rlimit"); ok {
		n, err := parseRate(o.Value)
		if err != nil {
			l.refuse(o, "precopy-rlimit", err.Error())
		} else {
			l.s.PrecopyRate = n
			l.remark("precopy-rlimit", fmt.Sprintf("%d bytes a second", n))
		}
	}
	o, _ := l.get("wsrep-sst-donor-rejects-queries")
	l.s.RejectsQueries = isOn(o.Value)
}

// isOn reads a switch of the server's.
func isOn(s string) bool {
	switch strings.ToLower(s) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}

// compression reads how contents travel between two of our programs. The key is also
// one of mariabackup's, whose values mean nothing here.
func (l *settingsLoader) compression() {
	o, ok := l.get("compress")
	if !ok {
		return
	}
	how, err := ext.ParseCompression(strings.ToLower(o.Value))
	if err != nil {
		l.refuse(o, "compress", "none of off, zstd and auto")
		return
	}
	l.s.Compress = how
}
