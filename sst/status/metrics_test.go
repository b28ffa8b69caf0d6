package status

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startWithMetrics begins a run of a role with metrics and no status file.
func startWithMetrics(t *testing.T, name, role string, count *atomic.Int64) *Recorder {
	t.Helper()
	return Start("", Run{Role: role, Method: "rsync_tunnel"}, count.Load, func(text string) { t.Error("warned: ", text) }, Metrics(name))
}

// samplesOf reads the file as Prometheus would: every line has the form, and every
// sample stands below the type of its family.
func samplesOf(t *testing.T, name string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^([a-z_]+)\{role="(joiner|donor)"(,[a-z]+="[a-z_]+")?\} ([0-9]+(\.[0-9]+)?)$`)
	samples, family := map[string]string{}, ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(rest, " ")
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := form.FindStringSubmatch(line)
		if m == nil || m[1] != family {
			t.Errorf("below %s: %q", family, line)
			continue
		}
		key, value, _ := strings.Cut(line, "} ")
		samples[key+"}"] = value
	}
	return samples
}

func wantSamples(t *testing.T, name string, want map[string]string) {
	t.Helper()
	got := samplesOf(t, name)
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s: %q, want %q", key, got[key], value)
		}
	}
}

func TestTheMetricsOfARun(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sst.prom")
	var count atomic.Int64
	r := startWithMetrics(t, name, "donor", &count)
	wantSamples(t, name, map[string]string{
		`wsrep_sst_running{role="donor"}`: "1", `wsrep_sst_state{role="donor",state="starting"}`: "1",
		`wsrep_sst_failures_total{role="donor",reason="disk_full"}`: "0",
	})
	count.Store(4711)
	r.Change(func(run *Run) {
		run.Phase, run.Total, run.Locked = Transferring, 5000, time.Now().Add(-3*time.Second)
	})
	r.Change(func(run *Run) { run.Locked = time.Time{} })
	r.End(0, "")
	wantSamples(t, name, map[string]string{
		`wsrep_sst_running{role="donor"}`: "0", `wsrep_sst_state{role="donor",state="complete"}`: "1",
		`wsrep_sst_state{role="donor",state="starting"}`: "0", `wsrep_sst_bytes{role="donor"}`: "4711",
		`wsrep_sst_planned_bytes{role="donor"}`: "5000", `wsrep_sst_successes_total{role="donor"}`: "1",
	})
	got := samplesOf(t, name)
	if !regexp.MustCompile(`^3\.0`).MatchString(got[`wsrep_sst_lock_seconds{role="donor"}`]) {
		t.Errorf("locked for %s s", got[`wsrep_sst_lock_seconds{role="donor"}`])
	}
	if _, there := got[`wsrep_sst_running{role="joiner"}`]; there {
		t.Error("there are samples of a role that never ran")
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode: %v, %v", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(name), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Each SST is a process of its own: counters go on, and the other role's samples stay.
func TestCountersGoOnFromOneSSTToTheNext(t *testing.T) {
	name := filepath.Join(t.TempDir(), "sst.prom")
	var count atomic.Int64
	startWithMetrics(t, name, "donor", &count).End(0, "")
	for _, why := range []Reason{DiskFull, DiskFull, "of a later version"} {
		r := startWithMetrics(t, name, "joiner", &count)
		r.Change(func(run *Run) { run.Class = why })
		r.End(255, "reason")
	}
	count.Store(7)
	startWithMetrics(t, name, "joiner", &count).End(0, "")
	startWithMetrics(t, name, "joiner", &count) // and is killed
	startWithMetrics(t, name, "donor", &count).End(0, "")
	wantSamples(t, name, map[string]string{
		`wsrep_sst_successes_total{role="donor"}`:                    "2",
		`wsrep_sst_successes_total{role="joiner"}`:                   "1",
		`wsrep_sst_failures_total{role="joiner",reason="disk_full"}`: "2",
		`wsrep_sst_failures_total{role="joiner",reason="other"}`:     "1",
		`wsrep_sst_failures_total{role="joiner",reason="killed"}`:    "1",
		`wsrep_sst_running{role="joiner"}`:                           "0",
		`wsrep_sst_state{role="joiner",state="failed"}`:              "1",
		`wsrep_sst_bytes{role="joiner"}`:                             "7",
	})
	got := samplesOf(t, name)
	for _, key := range []string{`wsrep_sst_last_success_timestamp_seconds{role="joiner"}`, `wsrep_sst_last_failure_timestamp_seconds{role="joiner"}`} {
		if got[key] == "0" {
			t.Errorf("%s is 0", key)
		}
	}
}

// Between two changes of phase the file is written every 10 s, and tells the rate since.
func TestWhenTheMetricsAreWritten(t *testing.T) {
	m := startMetrics(filepath.Join(t.TempDir(), "sst.prom"))
	began := time.Now()
	run := Run{Role: "joiner", Phase: Transferring, Began: began, Updated: began}
	if !m.due(run) {
		t.Error("not at the beginning")
	}
	m.take(run)
	run.Updated = began.Add(5 * time.Second)
	if m.due(run) {
		t.Error("after 5 s")
	}
	run.Updated, run.Bytes = began.Add(10*time.Second), 1000
	if !m.due(run) {
		t.Error("not after 10 s")
	}
	m.take(run)
	if got := m.samples[`wsrep_sst_bytes_per_second{role="joiner"}`]; got != 100 {
		t.Errorf("rate %v", got)
	}
	run.Phase = Failed
	run.Ended, run.Updated = began.Add(11*time.Second), began.Add(20*time.Second)
	if !m.due(run) {
		t.Error("not at the end")
	}
	m.take(run)
	if got := m.samples[`wsrep_sst_bytes_per_second{role="joiner"}`]; got != 50 {
		t.Errorf("mean rate %v", got)
	}
}

func TestMetricsThatCannotBeWrittenAreSaidOnce(t *testing.T) {
	var warnings []string
	r := Start("", Run{Role: "joiner"}, new(atomic.Int64).Load, func(text string) { warnings = append(warnings, text) },
		Metrics(filepath.Join(t.TempDir(), "none", "sst.prom")))
	r.Enter(Waiting, "")
	r.End(0, "")
	if len(warnings) != 1 || !strings.Contains(warnings[0], "none/sst.prom") || !strings.Contains(warnings[0], "goes on without it") {
		t.Errorf("%q", warnings)
	}
}

// The file is read again, and others may have written it.
func FuzzMetricsThatAreThere(f *testing.F) {
	f.Add("wsrep_sst_bytes{role=\"joiner\"} 7\n")
	f.Add("wsrep_sst_bytes{role=\"joiner\"} NaN\nwsrep_sst_failures_total{role=\"donor\",reason=\"other\"} -1\n}")
	f.Fuzz(func(t *testing.T, text string) {
		m := &metrics{samples: parseMetrics(text)}
		again := parseMetrics(string(m.render()))
		for key, v := range again {
			if v != m.samples[key] || v < 0 {
				t.Errorf("%s: %v, then %v", key, m.samples[key], v)
			}
		}
		if n := len(again); n > 100 {
			t.Error(fmt.Sprint(n), "samples")
		}
	})
}
