package bench

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"
)

// A bar of a chart.
type bar struct {
	label string
	value float64
	text  string // beside it
	kind  string // decides on the colour
}

var colours = map[string]string{kindOwn: "#1f77b4", kindRaw: "#7f7f7f", kindLimit: "#c7c7c7", kindOther: "#ff7f0e"}

// SVG draws the report as a bar chart: MB/s of all that copy, and a line each for the
// limits.
func (r *Report) SVG(w io.Writer) error {
	var bars []bar
	for _, result := range r.Results {
		if result.Missing != "" || result.MBps <= 0 {
			continue
		}
		cpu := fmt.Sprintf("%.0f MB/s, %.1f CPU s/GiB", result.MBps, result.DonorCPU+result.JoinerCPU)
		bars = append(bars, bar{title(result.Name), result.MBps, cpu, result.Kind})
	}
	return chart(w, fmt.Sprintf("%s in %d files, %s, %d CPUs, medians of %d", amount(r.Bytes), r.Files, r.Memory, r.CPUs, r.Rounds), bars)
}

// chart writes horizontal bars, the longest across the width.
func chart(w io.Writer, head string, bars []bar) error {
	const width, left, row, top, room = 760, 170, 26, 44, 190
	longest := 0.0
	for _, b := range bars {
		if !math.IsInf(b.value, 0) && b.value > longest {
			longest = b.value
		}
	}
	var s strings.Builder
	height := top + row*len(bars) + 12
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height, width, height)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&s, `<text x="10" y="24" font-size="15">%s</text>`+"\n", html.EscapeString(head))
	for i, b := range bars {
		y := top + row*i
		long := 0.0
		if longest > 0 {
			long = b.value / longest * (width - left - room)
		}
		fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+14, html.EscapeString(b.label))
		fmt.Fprintf(&s, `<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>`, left, y, long, colours[b.kind])
		fmt.Fprintf(&s, `<text x="%.1f" y="%d">%s</text>`+"\n", left+long+6, y+14, html.EscapeString(b.text))
	}
	s.WriteString("</svg>\n")
	_, err := io.WriteString(w, s.String())
	return err
}
