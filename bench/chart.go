package bench

import (
	"fmt"
	"io"

	"wsrep_sst_rsync_tunnel/bench/picture"
)

var colours = map[string]string{kindOwn: "#1f77b4", kindRaw: "#7f7f7f", kindLimit: "#c7c7c7", kindOther: "#ff7f0e"}

// SVG draws the report as a bar chart: MB/s of all that copy, and a line each for the
// limits; below it our last SST over time.
func (r *Report) SVG(w io.Writer) error {
	var bars []picture.Bar
	for _, result := range r.Results {
		if result.Missing != "" || result.MBps <= 0 {
			continue
		}
		cpu := fmt.Sprintf("%.0f MB/s, %.1f CPU s/GiB", result.MBps, result.DonorCPU+result.JoinerCPU)
		bars = append(bars, picture.Bar{Label: title(result.Name), Value: result.MBps, Text: cpu, Colour: colours[result.Kind]})
	}
	return picture.Write(w, fmt.Sprintf("%s in %d files, %s, %d CPUs, medians of %d", amount(r.Bytes), r.Files, r.Memory, r.CPUs, r.Rounds), bars, r.timeline)
}
