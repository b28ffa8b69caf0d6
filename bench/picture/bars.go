package picture

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A Bar of a chart.
type Bar struct {
	Label  string
	Value  float64
	Text   string // beside it
	Colour string // as CSS has it
}

// bars draws horizontal bars below a heading, the longest across the width, and gives
// what they take of the height.
func bars(s *strings.Builder, head string, all []Bar) (height int) {
	const left, row, top, room = 170, 26, 44, 190
	longest := 0.0
	for _, b := range all {
		if !math.IsInf(b.Value, 0) && b.Value > longest {
			longest = b.Value
		}
	}
	fmt.Fprintf(s, `<text x="10" y="24" font-size="15">%s</text>`+"\n", html.EscapeString(head))
	for i, b := range all {
		y := top + row*i
		long := 0.0
		if longest > 0 {
			long = b.Value / longest * (width - left - room)
		}
		fmt.Fprintf(s, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+14, html.EscapeString(b.Label))
		fmt.Fprintf(s, `<rect x="%d" y="%d" width="%.1f" height="18" fill="%s"/>`, left, y, long, b.Colour)
		fmt.Fprintf(s, `<text x="%.1f" y="%d">%s</text>`+"\n", left+long+6, y+14, html.EscapeString(b.Text))
	}
	return top + row*len(all) + 12
}
