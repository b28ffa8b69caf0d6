// Package picture draws what an SST did, as SVG: bars of speeds, and bytes over time with
// the rounds and the lock. It promises well-formed files without scripts, fonts or links.
// What is drawn it leaves to others.
package picture

import (
	"fmt"
	"html"
	"io"
	"os"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst"
)

const width = 760

// Write draws bars under a heading, if there are any, and below them a timeline, if there
// are two lines of it at least.
func Write(w io.Writer, head string, all []Bar, lines []sst.ProgressLine) error {
	var s strings.Builder
	height := 0
	if len(all) > 0 {
		height = bars(&s, head, all)
		head = "the last SST of ours"
	}
	if len(lines) > 1 {
		height = timeline(&s, height, head, lines)
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n"+
		`<rect width="%d" height="%d" fill="#ffffff"/>`+"\n%s</svg>\n", width, height, width, height, width, height, s.String())
	return err
}

// ReadLines reads the lines of one role in a file that progress= has named; none if
// there is no such file.
func ReadLines(file, role string) (lines []sst.ProgressLine) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if l, ok := sst.ParseProgress(strings.TrimSuffix(line, "\n")); ok && l.Role == role {
			lines = append(lines, l)
		}
	}
	return lines
}

// A band is a stretch of time with a meaning.
type band struct {
	from, to time.Time
	round    int // 0: the tables are locked
	locked   time.Duration
}

// bands are the rounds and the lock.
func bands(lines []sst.ProgressLine) (all []band) {
	for _, l := range lines {
		round := l.Round
		if l.Locked >= 0 {
			round = 0
		}
		if round == 0 && l.Locked < 0 { // nothing to say
			continue
		}
		if n := len(all) - 1; n >= 0 && all[n].round == round {
			all[n].to, all[n].locked = l.At, l.Locked
			continue
		}
		from := l.At
		if l.Locked > 0 {
			from = l.At.Add(-l.Locked)
		}
		if n := len(all) - 1; n >= 0 {
			all[n].to = from // one goes over into the other
		}
		all = append(all, band{from: from, to: l.At, round: round, locked: l.Locked})
	}
	// The line after the lock's last one tells when it was over.
	if n := len(all) - 1; n >= 0 && all[n].round == 0 {
		for _, l := range lines {
			if l.At.After(all[n].to) && l.Locked < 0 {
				all[n].to = l.At
				break
			}
		}
	}
	return all
}

// timeline draws bytes over time, and gives the height down to its end.
func timeline(s *strings.Builder, top int, head string, lines []sst.ProgressLine) (height int) {
	const left, right, above, tall, below = 70, 20, 44, 200, 40
	first, last := lines[0], lines[len(lines)-1]
	span, most := max(last.At.Sub(first.At), time.Millisecond), max(last.Moved-first.Moved, 1)
	x := func(t time.Time) float64 {
		return left + float64(t.Sub(first.At))/float64(span)*(width-left-right)
	}
	floor := float64(top + above + tall)
	y := func(bytes int64) float64 { return floor - float64(bytes-first.Moved)/float64(most)*tall }
	fmt.Fprintf(s, `<text x="10" y="%d" font-size="15">%s</text>`+"\n", top+24, html.EscapeString(head))
	for i, b := range bands(lines) {
		fill, label := []string{"#eaf2fb", "#d5e5f5"}[i%2], fmt.Sprintf("round %d", b.round)
		if b.round == 0 {
			fill, label = "#f8c9c4", fmt.Sprintf("locked %.2f s", b.to.Sub(b.from).Seconds())
		}
		wide := max(x(b.to)-x(b.from), 2) // a lock of a moment shows, too
		fmt.Fprintf(s, `<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>`, x(b.from), top+above, wide, tall, fill)
		at, anchor := x(b.from)+4, "start"
		if at > width-120 {
			at, anchor = x(b.from)-4, "end"
		}
		fmt.Fprintf(s, `<text x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n", at, top+above+16+18*(i%4), anchor, label)
	}
	var points []string
	for _, l := range lines {
		points = append(points, fmt.Sprintf("%.1f,%.1f", x(l.At), y(l.Moved)))
	}
	fmt.Fprintf(s, `<polyline points="%s" fill="none" stroke="#1f77b4" stroke-width="2"/>`+"\n", strings.Join(points, " "))
	const parts = 4
	for i := range parts + 1 {
		part := float64(i) / parts
		fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="middle">%.1f s</text>`, left+part*(width-left-right), floor+20, part*span.Seconds())
		fmt.Fprintf(s, `<text x="%d" y="%.1f" text-anchor="end">%.0f MB</text>`+"\n", left-8, floor-part*tall+4, part*float64(most)/1e6)
	}
	fmt.Fprintf(s, `<path d="M%d %d V%.1f H%d" fill="none" stroke="#7f7f7f"/>`+"\n", left, top+above, floor, width-right)
	return top + above + tall + below
}
