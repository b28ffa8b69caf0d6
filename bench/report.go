package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"wsrep_sst_rsync_tunnel/sst"
)

// A Report is what a measurement found.
type Report struct {
	Version string `json:"version"` // of this program
	CPUs    int    `json:"cpus"`    // that we may use
	Memory  string `json:"file_system"`

	Bytes    int64  `json:"bytes"`
	Files    int    `json:"files"`
	Data     string `json:"data"` // where it is from
	Threads  int    `json:"threads"`
	Compress string `json:"compress"`
	Link     string `json:"link,omitempty"`
	Peer     string `json:"peer,omitempty"` // the other host
	Rounds   int    `json:"rounds"`
	// Load is that of the host in the minute before, without us; -1: not known. Figures
	// of a busy host say little.
	Load float64 `json:"load"`

	Results []Result `json:"results"`
	BoundBy string   `json:"bound_by"`

	timeline []sst.ProgressLine // of our last SST
}

func (b *local) report(all []contender, samples [][]sample, missing []string) *Report {
	r := &Report{
		Version: sst.Version, CPUs: runtime.GOMAXPROCS(0), Memory: fileSystem(b.folder.Dir),
		Bytes: b.set.bytes, Files: len(b.set.files), Data: "synthetic", Threads: b.Threads, Compress: "off", Link: b.Link.String(), Rounds: b.Runs, Load: b.load,
	}
	if b.Dir != "" {
		r.Data = b.Dir
	}
	if b.Compress != "" {
		r.Compress = b.Compress
	}
	r.timeline = b.timeline
	for i, c := range all {
		result := resultOf(c.name, c.kind, b.set.bytes, samples[i])
		result.Missing = missing[i]
		r.Results = append(r.Results, result)
	}
	compare(r.Results)
	r.BoundBy = boundBy(r.Results[0], r.limits(), r.CPUs, false)
	return r
}

func (r *Report) limits() (out []Result) {
	for _, result := range r.Results {
		if result.Kind == kindLimit {
			out = append(out, result)
		}
	}
	return out
}

// hostLoad is the load average of the last minute, -1 if it is not known.
func hostLoad() float64 {
	text, _ := os.ReadFile("/proc/loadavg")
	word, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return -1
	}
	return load
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// titles are the results' names for people.
var titles = map[string]string{
	Raw: "bare program", Reading: "reading alone", TLS: "TLS alone", Network: "network alone", Writing: "writing alone",
}

func title(name string) string {
	if t, ok := titles[name]; ok {
		return t
	}
	return name
}

// Text writes the report for people, in 80 columns.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s in %d files (%s), %s, %d CPUs, %d connections, compress=%s\n", amount(r.Bytes), r.Files, r.Data, r.Memory, r.CPUs, r.Threads, r.Compress)
	if r.Peer != "" {
		fmt.Fprintf(&b, "to %s\n", r.Peer)
	}
	if r.Link != "" {
		fmt.Fprintf(&b, "through a link of %s\n", r.Link)
	}
	fmt.Fprintf(&b, "medians of %d rounds in turns\n\n", r.Rounds)
	fmt.Fprintf(&b, "%-20s %8s  %17s  %17s  %8s\n", "", "", "CPU s/GiB", "peak MiB", "ours is")
	fmt.Fprintf(&b, "%-20s %8s  %8s %8s  %8s %8s  %8s\n", "", "MB/s", "donor", "joiner", "donor", "joiner", "times")
	for i, result := range r.Results {
		if i > 0 && result.Kind != r.Results[i-1].Kind {
			b.WriteByte('\n')
		}
		b.WriteString(result.line())
	}
	fmt.Fprintf(&b, "\nbound by: %s\n", r.BoundBy)
	if own := r.Results[0]; own.ReadyMS > 0 {
		fmt.Fprintf(&b, "ready after %.0f ms; %s MB/s from the handshake to the last file\n", own.ReadyMS, rate(own.CopyMBps))
	}
	for _, result := range r.Results {
		if result.InPlace > 0 {
			fmt.Fprintf(&b, "%s: %.2f times %s, whose place one end of ours takes\n", result.Name, result.InPlace, replaced)
		}
	}
	b.WriteString(busy(r.Load, r.CPUs))
	_, err := io.WriteString(w, b.String())
	return err
}

// busy is a warning if others were at work.
func busy(load float64, cpus int) string {
	if load <= float64(cpus)/2 {
		return ""
	}
	return fmt.Sprintf("warning: the host was busy before the measurement (load %.1f): these figures say little\n", load)
}

func (r Result) line() string {
	if r.Missing != "" {
		return fmt.Sprintf("%-20s %s\n", title(r.Name), r.Missing)
	}
	times := ""
	if r.Ours > 0 {
		times = fmt.Sprintf("%.2f", r.Ours)
	}
	cell := func(format string, v float64) string {
		if v <= 0 {
			return "-"
		}
		return fmt.Sprintf(format, v)
	}
	line := fmt.Sprintf("%-20s %8s  %8s %8s  %8s %8s  %8s", title(r.Name), rate(r.MBps), cell("%.2f", r.DonorCPU), cell("%.2f", r.JoinerCPU),
		cell("%.0f", r.DonorPeak), cell("%.0f", r.JoinerPeak), times)
	return strings.TrimRight(line, " ") + "\n"
}

// rate has three digits.
func rate(mbps float64) string {
	if mbps < 99.95 {
		return fmt.Sprintf("%.1f", mbps)
	}
	return fmt.Sprintf("%.0f", mbps)
}

// amount is in GB or MB, powers of 1000.
func amount(bytes int64) string {
	if bytes >= 10e9 {
		return fmt.Sprintf("%.0f GB", float64(bytes)/1e9)
	}
	if bytes >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(bytes)/1e9)
	}
	return fmt.Sprintf("%.0f MB", float64(bytes)/1e6)
}
