package sst

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// text has what pv showed, and what the donor is at. What is asked first comes first: a narrow terminal shows
// no more of it.
//
//	donor: 19 % (9.4 MiB of 47.7 MiB), about 41 s left, round 1, 1 MB/s now, 1 MB/s on average, sent 9.4 MiB in 10 s
func (p progress) text(m moment) string {
	s := p.role + ": "
	if m.pass.total > 0 {
		s += fmt.Sprintf("%d %% (%s of %s), ", m.pass.percent(), bytesText(m.pass.done), bytesText(m.pass.total))
	}
	if left, known := m.pass.left(m.at); known && !m.last {
		s += "about " + timeText(left) + " left, "
	}
	if at := m.pass.words(m.at); at != "" {
		s += at + ", "
	}
	return s + fmt.Sprintf("%s now, %s on average, %s %s in %s",
		rateText(m.more, m.since), rateText(m.bytes, m.elapsed), p.verb, bytesText(m.bytes), timeText(m.elapsed))
}

// timeText is no finer than somebody who waits wants to know.
func timeText(d time.Duration) string {
	switch minutes := int64(d.Round(time.Minute).Minutes()); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case minutes < 2*60:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
}

// stampOfLine is the time that a line in a file begins with, of the host's zone.
const stampOfLine = "2006-01-02 15:04:05.000"

// line is the text for people with the time before it and the figures for programs behind
// it, which [ParseProgress] reads.
func (p progress) line(m moment) string {
	figures := fmt.Sprintf("%s=%d done=%d total=%d", p.verb, m.bytes, m.pass.done, m.pass.total)
	if m.pass.round > 0 {
		figures += fmt.Sprintf(" round=%d", m.pass.round)
	}
	if !m.pass.locked.IsZero() {
		figures += fmt.Sprintf(" locked=%.3f", m.at.Sub(m.pass.locked).Seconds())
	}
	return m.at.Format(stampOfLine) + " " + p.text(m) + " [" + figures + "]\n"
}

// A ProgressLine is what a line of the file that progress names says.
type ProgressLine struct {
	At          time.Time
	Role        string // joiner or donor
	Moved       int64  // bytes over the data connections so far
	Done, Total int64  // bytes of files of the present pass; 0: not known
	Round       int    // before the lock; 0: none
	// Locked is how long the donor's tables have been locked; -1: they are not.
	Locked time.Duration
}

var progressFigures = regexp.MustCompile(`^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (joiner|donor): .* \[(?:sent|received)=(\d{1,18}) done=(\d{1,18}) total=(\d{1,18})(?: round=(\d{1,9}))?(?: locked=(\d{1,9}\.\d{3}))?\]$`)

// ParseProgress reads a line without its newline; false if it is none.
func ParseProgress(line string) (ProgressLine, bool) {
	f := progressFigures.FindStringSubmatch(line)
	if f == nil {
		return ProgressLine{}, false
	}
	at, err := time.ParseInLocation(stampOfLine, f[1], time.Local)
	if err != nil {
		return ProgressLine{}, false
	}
	number := func(s string) int64 { n, _ := strconv.ParseInt(s, 10, 64); return n } // digits, and not too many
	l := ProgressLine{At: at, Role: f[2], Moved: number(f[3]), Done: number(f[4]), Total: number(f[5]), Round: int(number(f[6])), Locked: -1}
	if f[7] != "" {
		seconds, _ := strconv.ParseFloat(f[7], 64)
		l.Locked = time.Duration(seconds * float64(time.Second))
	}
	return l, true
}
