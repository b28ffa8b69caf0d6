package picture

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/sst"
)

// An SST of two rounds and a lock of 0.3 s, which falls between two lines.
func example(t *testing.T) []sst.ProgressLine {
	t.Helper()
	began := time.Date(2026, 11, 26, 1, 2, 3, 0, time.Local)
	var text strings.Builder
	for _, l := range []struct {
		at      time.Duration
		sent    int
		figures string
	}{
		{0, 0, "round=1"}, {1000, 100e6, "round=1"}, {2000, 200e6, "round=2"}, {2500, 210e6, "locked=0.100"}, {2700, 220e6, ""}, {3000, 220e6, ""},
	} {
		fmt.Fprintln(&text, strings.Replace(fmt.Sprintf("%s donor: x [sent=%d done=1 total=2 %s]",
			began.Add(l.at*time.Millisecond).Format("2006-01-02 15:04:05.000"), l.sent, l.figures), " ]", "]", 1))
	}
	file := filepath.Join(t.TempDir(), "progress")
	if err := os.WriteFile(file, []byte("nonsense\n"+text.String()+strings.ReplaceAll(text.String(), "donor", "joiner")), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := ReadLines(file, "donor")
	if len(lines) != 6 {
		t.Fatalf("%d lines are read", len(lines))
	}
	return lines
}

func TestTheTimelineHasRoundsLockAndBytes(t *testing.T) {
	var got bytes.Buffer
	bars := []Bar{{Label: "a<b", Value: 2, Text: "two", Colour: "#000000"}, {Label: "c", Value: 1, Text: "one", Colour: "#000000"}}
	if err := Write(&got, "head & more", bars, example(t)); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(bytes.NewReader(got.Bytes())); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, got.String())
		}
	}
	for _, want := range []string{"head &amp; more", "a&lt;b", ">round 1<", ">round 2<", ">locked 0.30 s<", ">220 MB<", ">3.0 s<", `<polyline points="70.0,`} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("%s is not in\n%s", want, got.String())
		}
	}
}

func TestWithoutLinesThereAreBarsAlone(t *testing.T) {
	var got bytes.Buffer
	if err := Write(&got, "head", []Bar{{Label: "a", Value: 1}}, nil); err != nil || strings.Contains(got.String(), "polyline") {
		t.Errorf("%v\n%s", err, got.String())
	}
	if lines := ReadLines(filepath.Join(t.TempDir(), "absent"), "donor"); lines != nil {
		t.Errorf("%d lines of no file", len(lines))
	}
}
