package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"wsrep_sst_rsync_tunnel/bench/picture"
)

// -update writes the golden files anew: go test ./bench -run Golden -update
var update = flag.Bool("update", false, "write the golden files")

func example() *Report {
	result := func(name, kind string, mbps, donor, joiner float64) Result {
		return Result{Name: name, Kind: kind, MBps: mbps, Seconds: 2147.5 / mbps, DonorCPU: donor, JoinerCPU: joiner, DonorPeak: 31, JoinerPeak: 33}
	}
	r := &Report{
		Version: "1.2.3", CPUs: 2, Memory: "tmpfs", Bytes: 2147483648, Files: 80, Data: "synthetic", Threads: 2, Compress: "off", Rounds: 5, Load: 7,
		Results: []Result{
			result("ours", kindOwn, 1010, 0.9, 0.95), result(Raw, kindRaw, 1100, 0.8, 0.85), result(TLS, kindLimit, 1900, 0.5, 0.45),
			result("rsync in the clear", kindOther, 780, 0.7, 1.2), {Name: "rsync + <stunnel>", Kind: kindOther, Missing: "stunnel not installed"},
			result("cp -r", kindOther, 2500, 0.4, 0), result(replaced, kindOther, 350, 2.4, 2.6),
			result("ours to socat, rsync", kindStock, 420, 0.9, 2.6), result("rsync, socat to ours", kindStock, 390, 2.4, 1.1),
		},
	}
	r.Results[0].ReadyMS, r.Results[0].CopyMBps = 21, 1031.5
	compare(r.Results)
	r.BoundBy = boundBy(r.Results[0], r.limits(), r.CPUs, false)
	return r
}

func TestGoldenReports(t *testing.T) {
	r := example()
	g := &Growth{CPUs: 2, Memory: "tmpfs", Rounds: 3, Points: []GrowthAt{
		{Bytes: 1 << 30, Connections: 1, PerGiB: 1.5, OfBare: 0.95, Result: r.Results[0]}, {Bytes: 2 << 30, Connections: 1, PerGiB: 1.65, OfBare: 0.97, Result: r.Results[0]},
		{Bytes: 1 << 30, Connections: 2, PerGiB: 1.1, OfBare: 1.01, Result: r.Results[0]},
	}}
	for name, write := range map[string]func(io.Writer) error{
		"report.txt": r.Text, "report.json": r.JSON, "report.svg": r.SVG, "growth.txt": g.Text, "growth.svg": g.SVG,
	} {
		var got bytes.Buffer
		if err := write(&got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got.String(), want)
		}
		for line := range strings.Lines(got.String()) {
			if strings.HasSuffix(name, ".txt") && len(strings.TrimSuffix(line, "\n")) > 110 {
				t.Errorf("%s: a line is too long: %q", name, line)
			}
		}
		if strings.HasSuffix(name, ".svg") {
			wellFormed(t, got.Bytes())
		}
		if strings.HasSuffix(name, ".json") && !json.Valid(got.Bytes()) {
			t.Errorf("%s is no JSON", name)
		}
	}
}

func wellFormed(t *testing.T, text []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, text)
		}
	}
}

func TestAnEmptyChartIsAChart(t *testing.T) {
	var got bytes.Buffer
	if err := picture.Write(&got, `a "b" <c>`, []picture.Bar{{Label: "x", Value: 0}}, nil); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, got.Bytes())
}
