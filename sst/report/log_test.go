package report

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"
)

func noon() time.Time { return time.Date(2026, 11, 23, 17, 43, 46, 814_000_000, time.UTC) }

const stamp = " (20261123 17:43:46.814)\n"

// hinted is an error with advice, as other packages have them.
type hinted struct{ text, hint string }

func (h hinted) Error() string { return h.text }
func (h hinted) Hint() string  { return h.hint }

func TestLogLines(t *testing.T) {
	for _, c := range []struct {
		name string
		say  func(*Log)
		want string
	}{
		{"has the form of the stock scripts",
			func(l *Log) { l.Infof("Tables %s", "flushed") }, "WSREP_SST: [INFO] Tables flushed" + stamp},
		{"shows a warning as one",
			func(l *Log) { l.Warningf("2 of 3") }, "WSREP_SST: [WARNING] 2 of 3" + stamp},
		{"makes a line of each line",
			func(l *Log) { l.Infof("one\r\n\n  two \n") }, "WSREP_SST: [INFO] one" + stamp + "WSREP_SST: [INFO]   two" + stamp},
		{"says an empty text",
			func(l *Log) { l.Infof("") }, "WSREP_SST: [INFO] " + stamp},
		{"says nothing of no error",
			func(l *Log) { l.Error(nil) }, ""},
		{"follows an error by its hint, however deep it is wrapped",
			func(l *Log) {
				l.Error(fmt.Errorf("joiner: %w", errors.Join(errors.New("first"), hinted{"tkey: no", "look at it"})))
			},
			"WSREP_SST: [ERROR] joiner: first" + stamp + "WSREP_SST: [ERROR] tkey: no" + stamp + "WSREP_SST: [ERROR] hint: look at it" + stamp},
		{"takes the hint that is closest to the top",
			func(l *Log) { l.Error(hintedWrap{hinted{"a", "outer"}, hinted{"b", "inner"}}) },
			"WSREP_SST: [ERROR] a" + stamp + "WSREP_SST: [ERROR] hint: outer" + stamp},
		{"looks below an empty hint",
			func(l *Log) { l.Error(hintedWrap{hinted{"a", ""}, hinted{"b", "inner"}}) },
			"WSREP_SST: [ERROR] a" + stamp + "WSREP_SST: [ERROR] hint: inner" + stamp},
		{"escapes what moves a terminal's cursor, and bytes of no encoding",
			func(l *Log) { l.Infof("a\x1b[2Jb\tc\x00d\x7f \xff é \u0085\u202e\ufffd") },
			`WSREP_SST: [INFO] a\x1b[2Jb c\x00d\x7f \xff é \x85\u202e\ufffd` + stamp},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			c.say(NewLog(&b, noon))
			if b.String() != c.want {
				t.Errorf("got  %q\nwant %q", b.String(), c.want)
			}
		})
	}
}

type hintedWrap struct {
	hinted
	inner error
}

func (h hintedWrap) Unwrap() error { return h.inner }

// writes keeps what each Write was given.
type writes []string

func (w *writes) Write(p []byte) (int, error) { *w = append(*w, string(p)); return len(p), nil }

func TestLogWritesALineAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.StringOfN(rapid.RuneFrom([]rune("é€\nx")), 3800, 9000, -1)).Draw(t, "text")
		var w writes
		NewLog(&w, noon).Say(Info, text)
		if len(w) == 0 {
			t.Fatal("nothing was said")
		}
		for _, line := range w {
			if len(line) > 4096 {
				t.Fatalf("a line of %d bytes", len(line))
			}
			if !strings.HasPrefix(line, "WSREP_SST: [INFO] ") || !strings.HasSuffix(line, stamp) {
				t.Fatalf("line %q", line)
			}
			if i := strings.IndexFunc(line[:len(line)-1], unicode.IsControl); i >= 0 {
				t.Fatalf("line %q has a control character at %d", line, i)
			}
		}
		if !strings.ContainsAny(text, "\n") && strings.IndexFunc(text, unprintable) < 0 {
			var got strings.Builder
			for _, line := range w {
				got.WriteString(strings.TrimSuffix(strings.TrimPrefix(line, "WSREP_SST: [INFO] "), stamp))
			}
			if want := strings.TrimRight(text, " "); got.String() != want {
				t.Fatalf("said %q, wrote %q", want, got.String())
			}
		}
	})
}

func TestLogKeepsLinesOfGoroutinesApart(t *testing.T) {
	r, w := io.Pipe()
	log := NewLog(w, noon)
	var speakers sync.WaitGroup
	for i := range 8 {
		speakers.Go(func() {
			for range 50 {
				log.Infof("%s", strings.Repeat(fmt.Sprint(i), 100))
			}
		})
	}
	go func() { speakers.Wait(); w.Close() }()
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for line := range strings.Lines(string(all)) {
		counts[line]++
	}
	for i := range 8 {
		if n := counts["WSREP_SST: [INFO] "+strings.Repeat(fmt.Sprint(i), 100)+stamp]; n != 50 {
			t.Errorf("%d of 50 lines of speaker %d arrived whole", n, i)
		}
	}
}

func TestDefaultClockIsNow(t *testing.T) {
	var b strings.Builder
	before := time.Now().Truncate(time.Millisecond)
	NewLog(&b, nil).Infof("x")
	_, rest, _ := strings.Cut(b.String(), "(")
	got, err := time.ParseInLocation("20060102 15:04:05.000", strings.TrimSuffix(rest, ")\n"), time.Local)
	if err != nil || got.Before(before) || got.After(time.Now()) {
		t.Errorf("stamp %v (%v), now %v", got, err, before)
	}
}
