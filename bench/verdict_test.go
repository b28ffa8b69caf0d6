package bench

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		name string
		of   []float64
		want float64
	}{
		{"of none", nil, 0},
		{"of one", []float64{3}, 3},
		{"of an odd number, in any order", []float64{9, 1, 4}, 4},
		{"of an even number lies between", []float64{8, 2, 4, 1}, 3},
		{"does not care for one that is far off", []float64{1, 1, 1, 100, 1}, 1},
	} {
		if got := median(c.of); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestResultsAreMediansForAGiBAndPeaksOfAll(t *testing.T) {
	use := func(cpu time.Duration, peak int64) Use { return Use{CPU: cpu, Peak: peak << 20} }
	r := resultOf("x", kindOwn, 2<<30, []sample{
		{seconds: 2, ready: 10 * time.Millisecond, donor: use(2*time.Second, 10), joiner: use(4*time.Second, 20)},
		{seconds: 4, ready: 30 * time.Millisecond, donor: use(6*time.Second, 50), joiner: use(8*time.Second, 5)},
		{seconds: 3, ready: 20 * time.Millisecond, donor: use(4*time.Second, 1), joiner: use(6*time.Second, 6)},
	})
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if !near(r.Seconds, 3) || !near(r.MBps, float64(2<<30)/1e6/3) || !near(r.DonorCPU, 2) || !near(r.JoinerCPU, 3) || r.DonorPeak != 50 || r.JoinerPeak != 20 || r.ReadyMS != 20 {
		t.Errorf("%+v", r)
	}
	both := []Result{r, resultOf("half as fast", kindOther, 2<<30, []sample{{seconds: 6}}), {Name: "not there", Missing: "gone"}}
	compare(both)
	if both[0].Ours != 0 || !near(both[1].Ours, 2) || both[2].Ours != 0 {
		t.Errorf("%+v", both)
	}
	if none := resultOf("none", kindOther, 0, nil); none.MBps != 0 || none.DonorCPU != 0 {
		t.Errorf("%+v", none)
	}
}

func TestWhatBinds(t *testing.T) {
	limit := func(name string, mbps, donor, joiner float64) Result {
		return Result{Name: name, Kind: kindLimit, MBps: mbps, DonorCPU: donor, JoinerCPU: joiner}
	}
	usual := []Result{limit(Reading, 5000, 0.1, 0), limit(TLS, 2000, 0.5, 0.4), limit(Network, 4000, 0.2, 0.3), limit(Writing, 3000, 0, 0.4)}
	with := func(others ...Result) []Result {
		out := append([]Result{}, usual...)
		for i := range out {
			for _, l := range others {
				if out[i].Name == l.Name {
					out[i] = l
				}
			}
		}
		return out
	}
	own := func(mbps, donor, joiner float64) Result {
		return Result{MBps: mbps, DonorCPU: donor, JoinerCPU: joiner}
	}
	for _, c := range []struct {
		name   string
		own    Result
		limits []Result
		cpus   int
		apart  bool
		want   string
	}{
		{"near the TLS that costs the donor more", own(1800, 1, 1), usual, 2, false, "TLS on the donor's CPU (90 % of what it does alone)"},
		{"near the TLS that costs the joiner more", own(1800, 1, 1), with(limit(TLS, 2000, 0.3, 0.8)), 2, false, "TLS on the joiner's CPU (90 %"},
		{"near a slow network", own(19, 1, 1), with(limit(Network, 20, 0.2, 0.2)), 2, false, "the network (95 %"},
		{"TLS through a slow network is as slow as that", own(18.4, 1, 1), with(limit(Network, 19.9, 0.2, 0.2), limit(TLS, 19.8, 0.7, 3)), 2, false, "the network (92 %"},
		{"near a slow disk to write to", own(95, 1, 1), with(limit(Writing, 100, 0, 1)), 2, false, "writing (95 %"},
		{"near a slow disk to read from", own(95, 1, 1), with(limit(Reading, 100, 0, 1)), 2, false, "reading (95 %"},
		{"all shared CPUs are busy", own(1000, 1, 1.1), usual, 2, false, "both ends' CPUs (98 % busy); most of it is writing on the joiner (0.40 s/GiB)"},
		{"the CPUs of one host are busy", own(1000, 0.5, 2), usual, 2, true, "the joiner's CPUs (93 % busy)"},
		{"the same CPU time, twice as many CPUs", own(1000, 1, 1.1), usual, 4, false, "none of the limits alone: 50 % of TLS on the donor's CPU, the slowest, and the CPUs are 49 % busy"},
		{"nothing was measured", own(1000, 1, 1), nil, 2, false, "not known"},
		{"a limit failed", own(1000, 1, 1), []Result{{Name: TLS}}, 2, false, "not known"},
	} {
		if got := boundBy(c.own, c.limits, c.cpus, c.apart); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
