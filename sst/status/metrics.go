package status

import (
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Reason is why an SST failed, as one of few words that can be counted.
type Reason string

// The reasons. Killed is found out by the next SST: who was killed could not say so.
const (
	Configuration Reason = "configuration" // an option, an address, a certificate, a missing file
	PortTaken     Reason = "port_taken"
	DiskFull      Reason = "disk_full" // or a quota
	Timeout       Reason = "timeout"
	Connection    Reason = "connection" // the other side is gone, or mariadbd is
	Protocol      Reason = "protocol"
	Signal        Reason = "signal"
	Already       Reason = "already_running"
	Killed        Reason = "killed"
	Other         Reason = "other"
)

// Reasons are all of them.
var Reasons = []Reason{Configuration, PortTaken, DiskFull, Timeout, Connection, Protocol, Signal, Already, Killed, Other}

// metricsInterval is the time between two writings of the metrics while nothing
// happens; slack lets a tick that comes early count.
const (
	metricsInterval = 10 * time.Second
	slack           = time.Second
)

// maxMetrics bounds what is read of a file that is there: ours has some 5 KB.
const maxMetrics = 64 << 10

// A family is a metric with all its samples, in Prometheus' text form. Each has a
// sample for each role that has run here, and for each value of label, if there is one.
type family struct {
	name, kind, help string
	label            string
	values           []string
}

var families = []family{
	{name: "wsrep_sst_running", kind: "gauge", help: "1 while an SST runs, 0 when it has ended."},
	{name: "wsrep_sst_state", kind: "gauge", help: "1 for the state of the present or last SST.", label: "state", values: phases},
	{name: "wsrep_sst_bytes", kind: "gauge", help: "Bytes moved by the present or last SST."},
	{name: "wsrep_sst_planned_bytes", kind: "gauge", help: "Bytes of files it is to move, 0 if not known."},
	{name: "wsrep_sst_bytes_per_second", kind: "gauge", help: "Rate since the last writing; of an SST that has ended the mean of its transfer."},
	{name: "wsrep_sst_lock_seconds", kind: "gauge", help: "How long its tables have been locked by the present or last SST."},
	{name: "wsrep_sst_start_timestamp_seconds", kind: "gauge", help: "When the present or last SST began."},
	{name: "wsrep_sst_update_timestamp_seconds", kind: "gauge", help: "When this was written by that SST."},
	{name: "wsrep_sst_last_success_timestamp_seconds", kind: "gauge", help: "When the last SST that went well ended."},
	{name: "wsrep_sst_last_failure_timestamp_seconds", kind: "gauge", help: "When the last SST that failed ended."},
	{name: "wsrep_sst_successes_total", kind: "counter", help: "SSTs that went well."},
	{name: "wsrep_sst_failures_total", kind: "counter", help: "SSTs that failed, by reason.", label: "reason", values: reasonWords()},
}

var (
	roles  = []string{"joiner", "donor"}
	phases = []string{string(Starting), string(Waiting), string(Transferring), string(Finishing), string(Complete), string(Failed)}
)

func reasonWords() (words []string) {
	for _, r := range Reasons {
		words = append(words, string(r))
	}
	return words
}

// key is a sample's name with its labels.
func (f family) key(role, value string) string {
	if f.label == "" {
		return fmt.Sprintf("%s{role=%q}", f.name, role)
	}
	return fmt.Sprintf("%s{role=%q,%s=%q}", f.name, role, f.label, value)
}

// each calls do with the keys of a role.
func (f family) each(role string, do func(key, value string)) {
	values := f.values
	if f.label == "" {
		values = []string{""}
	}
	for _, v := range values {
		do(f.key(role, v), v)
	}
}

// metrics keeps the file for one run. What it says of earlier runs and of the other
// role is taken from the file that was there, so counters go on.
type metrics struct {
	name    string
	samples map[string]float64

	phase  Phase // as last written
	at     time.Time
	bytes  int64
	moving time.Time // since when it transfers
	failed bool
}

// set sets the sample of a family without a label, or of one with.
func (m *metrics) set(name, role, value string, v float64) {
	i := slices.IndexFunc(families, func(f family) bool { return f.name == name })
	m.samples[families[i].key(role, value)] = v
}

func (m *metrics) add(name, role, value string) {
	i := slices.IndexFunc(families, func(f family) bool { return f.name == name })
	m.samples[families[i].key(role, value)]++
}

// startMetrics goes on with what is in the file. A run that it has as running did not
// say how it ended.
func startMetrics(name string) *metrics {
	m := &metrics{name: name, samples: readMetrics(name)}
	for _, role := range roles {
		if m.samples[families[0].key(role, "")] == 0 {
			continue
		}
		m.set("wsrep_sst_running", role, "", 0)
		m.state(role, Failed)
		m.add("wsrep_sst_failures_total", role, string(Killed))
		m.set("wsrep_sst_last_failure_timestamp_seconds", role, "", m.samples[`wsrep_sst_update_timestamp_seconds{role="`+role+`"}`])
	}
	return m
}

// readMetrics takes the samples that we know; nothing of a file that is not there, or
// that somebody else made.
func readMetrics(name string) map[string]float64 {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return map[string]float64{}
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return map[string]float64{}
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetrics))
	if err != nil {
		return map[string]float64{}
	}
	return parseMetrics(string(b))
}

func parseMetrics(text string) map[string]float64 {
	known := map[string]bool{}
	for _, f := range families {
		for _, role := range roles {
			f.each(role, func(key, _ string) { known[key] = true })
		}
	}
	samples := map[string]float64{}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "} ")
		v, err := strconv.ParseFloat(value, 64)
		if key += "}"; known[key] && err == nil && v >= 0 && !math.IsInf(v, 0) {
			samples[key] = v
		}
	}
	return samples
}

// render is the file.
func (m *metrics) render() []byte {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", f.name, f.help, f.name, f.kind)
		for _, role := range roles {
			if _, ran := m.samples[families[0].key(role, "")]; !ran {
				continue
			}
			f.each(role, func(key, _ string) {
				fmt.Fprintf(&b, "%s %s\n", key, strconv.FormatFloat(m.samples[key], 'f', -1, 64))
			})
		}
	}
	return []byte(b.String())
}

func (m *metrics) state(role string, now Phase) {
	for _, p := range phases {
		v := 0.0
		if p == string(now) {
			v = 1
		}
		m.set("wsrep_sst_state", role, p, v)
	}
}

// due says whether it is time to write.
func (m *metrics) due(run Run) bool {
	return run.Phase != m.phase || !run.Ended.IsZero() || run.Updated.Sub(m.at) >= metricsInterval-slack
}

// take takes over a run as it stands.
func (m *metrics) take(run Run) {
	role, now := run.Role, run.Updated
	if m.moving.IsZero() && run.Phase == Transferring {
		m.moving = now
	}
	ended := !run.Ended.IsZero()
	rate := 0.0
	if since := now.Sub(m.at).Seconds(); !m.at.IsZero() && since > 0 && !ended {
		rate = float64(run.Bytes-m.bytes) / since
	}
	if since := now.Sub(m.moving).Seconds(); ended && !m.moving.IsZero() && since > 0 {
		rate = float64(run.Bytes) / since
	}
	m.phase, m.at, m.bytes = run.Phase, now, run.Bytes
	lock := run.LockSeconds
	if !run.Locked.IsZero() {
		lock += now.Sub(run.Locked).Seconds()
	}
	m.state(role, run.Phase)
	for name, v := range map[string]float64{
		"wsrep_sst_running":                  1,
		"wsrep_sst_bytes":                    float64(run.Bytes),
		"wsrep_sst_planned_bytes":            float64(run.Total),
		"wsrep_sst_bytes_per_second":         rate,
		"wsrep_sst_lock_seconds":             lock,
		"wsrep_sst_start_timestamp_seconds":  stamp(run.Began),
		"wsrep_sst_update_timestamp_seconds": stamp(now),
	} {
		m.set(name, role, "", max(v, 0))
	}
	switch {
	case !ended:
		return
	case run.Phase == Complete:
		m.add("wsrep_sst_successes_total", role, "")
		m.set("wsrep_sst_last_success_timestamp_seconds", role, "", stamp(run.Ended))
	default:
		why := run.Class
		if !slices.Contains(Reasons, why) {
			why = Other
		}
		m.add("wsrep_sst_failures_total", role, string(why))
		m.set("wsrep_sst_last_failure_timestamp_seconds", role, "", stamp(run.Ended))
	}
	m.set("wsrep_sst_running", role, "", 0)
}

func stamp(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
