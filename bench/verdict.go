package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A sample is one run of a contender.
type sample struct {
	seconds       float64
	ready         time.Duration // of ours: from the joiner's start to its ready
	copying       float64       // of ours: seconds from the handshake to the last file
	donor, joiner Use
}

// median is the middle one, or between the two in the middle; 0 of none.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

func medianOf(samples []sample, value func(sample) float64) float64 {
	v := make([]float64, len(samples))
	for i, s := range samples {
		v[i] = value(s)
	}
	return median(v)
}

// A Result is the median of the samples of one contender.
type Result struct {
	Name    string    `json:"name"`
	Kind    string    `json:"kind"` // own, raw, limit or alternative
	MBps    float64   `json:"mb_per_s"`
	Seconds float64   `json:"seconds"`
	Runs    []float64 `json:"runs_seconds"`

	// CPU-seconds for a GiB, and the peak of memory in MiB.
	DonorCPU   float64 `json:"donor_cpu_s_per_gib"`
	JoinerCPU  float64 `json:"joiner_cpu_s_per_gib"`
	DonorPeak  float64 `json:"donor_peak_mib"`
	JoinerPeak float64 `json:"joiner_peak_mib"`

	// Ours is our rate divided by this one's; 0 if one is not known.
	Ours float64 `json:"ours_is_times,omitempty"`
	// InPlace is the rate of one end of ours with a script's at the other, divided by that of
	// the script's at both.
	InPlace float64 `json:"in_place_of_script_times,omitempty"`
	// CopyMBps is ours without the start of the program and the handshake.
	CopyMBps float64 `json:"copy_mb_per_s,omitempty"`
	// ReadyMS is from the joiner's start to its ready.
	ReadyMS float64 `json:"ready_ms,omitempty"`
	// Missing says why it was not measured.
	Missing string `json:"missing,omitempty"`
}

const (
	mb  = 1e6
	mib = 1 << 20
	gib = 1 << 30
)

func resultOf(name, kind string, bytes int64, samples []sample) Result {
	r := Result{Name: name, Kind: kind}
	for _, s := range samples {
		r.Runs = append(r.Runs, s.seconds)
	}
	r.Seconds = median(r.Runs)
	if r.Seconds > 0 {
		r.MBps = float64(bytes) / mb / r.Seconds
	}
	perGiB := func(d time.Duration) float64 { return d.Seconds() / (float64(max(bytes, 1)) / gib) }
	r.DonorCPU = medianOf(samples, func(s sample) float64 { return perGiB(s.donor.CPU) })
	r.JoinerCPU = medianOf(samples, func(s sample) float64 { return perGiB(s.joiner.CPU) })
	for _, s := range samples { // a peak is a peak
		r.DonorPeak = max(r.DonorPeak, float64(s.donor.Peak)/mib)
		r.JoinerPeak = max(r.JoinerPeak, float64(s.joiner.Peak)/mib)
	}
	if copying := medianOf(samples, func(s sample) float64 { return s.copying }); copying > 0 {
		r.CopyMBps = float64(bytes) / mb / copying
	}
	r.ReadyMS = medianOf(samples, func(s sample) float64 { return float64(s.ready) / 1e6 })
	return r
}

// compare sets the ratios to ours, which is the first.
func compare(results []Result) {
	if len(results) == 0 {
		return
	}
	for i := range results {
		if i > 0 && results[i].MBps > 0 {
			results[i].Ours = results[0].MBps / results[i].MBps
		}
	}
	i := slices.IndexFunc(results, func(r Result) bool { return r.Name == replaced })
	if i < 0 || results[i].MBps <= 0 {
		return
	}
	for j := range results {
		if results[j].Kind == kindStock {
			results[j].InPlace = results[j].MBps / results[i].MBps
		}
	}
}

const (
	near = 0.8  // how close to a limit counts as bound by it
	same = 0.95 // how close to the network TLS has nothing to do with it
)

// boundBy says in words what keeps ours from being faster, by the limits that were
// measured alone in the same run:
//
//   - a limit that ours comes near to binds, the slowest if there are several;
//   - else the CPUs do if the ends together have used nearly all of them (on one host both
//     share them; on two hosts each end has its own), and what takes most of that is named;
//   - else nothing that was measured does: it is waiting.
//
// cpus are how many both ends share, or each has if apart.
func boundBy(own Result, limits []Result, cpus int, apart bool) string {
	limits = slices.DeleteFunc(slices.Clone(limits), func(l Result) bool { return l.MBps <= 0 })
	if len(limits) == 0 || own.MBps <= 0 {
		return "not known: no limit was measured"
	}
	slowest := slices.MinFunc(limits, func(a, b Result) int { return cmp.Compare(a.MBps, b.MBps) })
	if slowest.Name == TLS { // which goes over the network
		i := slices.IndexFunc(limits, func(l Result) bool { return l.Name == Network && slowest.MBps >= same*l.MBps })
		if i >= 0 {
			slowest = limits[i]
		}
	}
	if share := own.MBps / slowest.MBps; share >= near {
		return fmt.Sprintf("%s (%.0f %% of what it does alone)", words(slowest, limits), 100*share)
	}
	load := func(cpuPerGiB float64) float64 { return cpuPerGiB * own.MBps * mb / gib / float64(max(cpus, 1)) }
	busy, who := load(own.DonorCPU+own.JoinerCPU), "both ends'"
	if apart {
		busy, who = load(own.DonorCPU), "the donor's"
		if j := load(own.JoinerCPU); j > busy {
			busy, who = j, "the joiner's"
		}
	}
	if busy >= near {
		return fmt.Sprintf("%s CPUs (%.0f %% busy); most of it is %s", who, 100*busy, dearest(limits))
	}
	return fmt.Sprintf("none of the limits alone: %.0f %% of %s, the slowest, and the CPUs are %.0f %% busy",
		100*own.MBps/slowest.MBps, words(slowest, limits), 100*busy)
}

// words name a limit. TLS is bound by the CPU of the end that has more to do for it
// than for the network alone.
func words(l Result, all []Result) string {
	if l.Name != TLS {
		return map[string]string{Reading: "reading", Writing: "writing", Network: "the network"}[l.Name]
	}
	donor, joiner := tlsCPU(l, all)
	if joiner > donor {
		return "TLS on the joiner's CPU"
	}
	return "TLS on the donor's CPU"
}

// tlsCPU is what TLS costs each end beyond the network.
func tlsCPU(l Result, all []Result) (donor, joiner float64) {
	donor, joiner = l.DonorCPU, l.JoinerCPU
	for _, n := range all {
		if n.Name == Network {
			donor, joiner = donor-n.DonorCPU, joiner-n.JoinerCPU
		}
	}
	return donor, joiner
}

// dearest is the stage with the most CPU.
func dearest(limits []Result) string {
	type stage struct {
		name string
		cpu  float64
	}
	var stages []stage
	for _, l := range limits {
		switch l.Name {
		case Reading:
			stages = append(stages, stage{"reading on the donor", l.DonorCPU})
		case Writing:
			stages = append(stages, stage{"writing on the joiner", l.JoinerCPU})
		case Network:
			stages = append(stages, stage{"sending", l.DonorCPU}, stage{"receiving", l.JoinerCPU})
		case TLS:
			donor, joiner := tlsCPU(l, limits)
			stages = append(stages, stage{"TLS on the donor", donor}, stage{"TLS on the joiner", joiner})
		}
	}
	if len(stages) == 0 {
		return "not known"
	}
	most := slices.MaxFunc(stages, func(a, b stage) int { return cmp.Compare(a.cpu, b.cpu) })
	return fmt.Sprintf("%s (%.2f s/GiB)", most.name, most.cpu)
}
