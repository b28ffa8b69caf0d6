package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/bench/picture"
)

// A Growth is what ours does with more and more data and connections.
type Growth struct {
	CPUs   int        `json:"cpus"`
	Memory string     `json:"file_system"`
	Rounds int        `json:"rounds"`
	Load   float64    `json:"load"`
	Points []GrowthAt `json:"points"`
}

// A GrowthAt is one size with one number of connections.
type GrowthAt struct {
	Bytes       int64 `json:"bytes"`
	Connections int   `json:"connections"`
	// PerGiB is from the handshake to the last file: the start does not grow.
	PerGiB float64 `json:"seconds_per_gib"`
	// OfBare is our rate divided by the bare program's in the same rounds: what the machine does
	// to both, as with memory that is new to it, is not in it.
	OfBare float64 `json:"of_bare_program"`
	Result
}

// growthConnections are tried with each size.
var growthConnections = []int{1, 2, 4}

// Grow measures ours and the bare program with an eighth, a quarter, half and all of the megabytes, and
// with 1, 2 and 4 connections. The memory that the largest needs is touched beforehand: a guest gets its
// memory from its host when it is used for the first time, and that takes longer than the copy.
func Grow(ctx context.Context, o Options) (*Growth, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if o.Megabytes < 8 {
		return nil, fmt.Errorf("--mb %d: growth takes at least 8", o.Megabytes)
	}
	if err := touch(ctx, room(int64(o.Megabytes)<<20, o.Megabytes, 2)); err != nil {
		return nil, err
	}
	g := &Growth{Rounds: o.Runs, Load: hostLoad()}
	for _, part := range []int{8, 4, 2, 1} {
		for _, n := range growthConnections {
			o := o
			o.Megabytes, o.Threads, o.few = o.Megabytes/part, n, true
			r, err := Local(ctx, o)
			if err != nil {
				return nil, err
			}
			g.CPUs, g.Memory = r.CPUs, r.Memory
			own := r.Results[0]
			g.Points = append(g.Points, GrowthAt{Bytes: r.Bytes, Connections: n, PerGiB: gib / mb / own.CopyMBps, OfBare: r.Results[1].Ours, Result: own})
		}
	}
	return g, nil
}

// touch writes so many bytes where the data will be, and removes them.
func touch(ctx context.Context, bytes int64) (err error) {
	f, err := mariadbd.NewFolder(os.TempDir(), "sst-bench-", false, bytes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.End(func(string) {})) }()
	out, err := os.Create(f.Path("touched"))
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, contextReader{ctx, ones{}}, bytes)
	return errors.Join(err, out.Close())
}

// ones never ends.
type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

// Text writes a row for each point.
func (g *Growth) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d CPUs, medians of %d rounds\n\n", g.Memory, g.CPUs, g.Rounds)
	fmt.Fprintf(&b, "%8s %11s %8s %8s %8s  %17s  %17s\n", "GiB", "connections", "s/GiB", "MB/s", "of bare", "CPU s/GiB", "peak MiB")
	for _, p := range g.Points {
		fmt.Fprintf(&b, "%8.2f %11d %8.2f %8.0f %8.2f  %8.2f %8.2f  %8.0f %8.0f\n", float64(p.Bytes)/gib, p.Connections, p.PerGiB, p.MBps,
			p.OfBare, p.DonorCPU, p.JoinerCPU, p.DonorPeak, p.JoinerPeak)
	}
	fmt.Fprintf(&b, "\nseconds for a GiB, by connections: %s\n", g.spread(func(p GrowthAt) float64 { return p.PerGiB }))
	fmt.Fprintf(&b, "times the bare program's rate: %s\n", g.spread(func(p GrowthAt) float64 { return p.OfBare }))
	b.WriteString(busy(g.Load, g.CPUs))
	_, err := io.WriteString(w, b.String())
	return err
}

// spread says how far the largest value is from the least, for each number of
// connections.
func (g *Growth) spread(value func(GrowthAt) float64) string {
	var out []string
	for _, n := range growthConnections {
		least, most := 0.0, 0.0
		for _, p := range g.Points {
			if p.Connections != n {
				continue
			}
			if v := value(p); least == 0 || v < least {
				least = v
			}
			most = max(most, value(p))
		}
		if least > 0 {
			out = append(out, fmt.Sprintf("%d: within %.0f %%", n, 100*(most/least-1)))
		}
	}
	return strings.Join(out, ", ")
}

// JSON writes the growth for programs.
func (g *Growth) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(g)
}

// SVG draws seconds for a GiB.
func (g *Growth) SVG(w io.Writer) error {
	var bars []picture.Bar
	for _, p := range g.Points {
		label := fmt.Sprintf("%.2f GiB, %d connections", float64(p.Bytes)/gib, p.Connections)
		text := fmt.Sprintf("%.2f s/GiB, peak %.0f + %.0f MiB", p.PerGiB, p.DonorPeak, p.JoinerPeak)
		bars = append(bars, picture.Bar{Label: label, Value: p.PerGiB, Text: text, Colour: colours[kindOwn]})
	}
	return picture.Write(w, fmt.Sprintf("seconds for a GiB, %s, %d CPUs, medians of %d", g.Memory, g.CPUs, g.Rounds), bars, nil)
}
