package bench

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/tls"
)

// Options of a measurement on one host.
type Options struct {
	Program string // this program

	Dir       string // data to copy instead of synthetic data; "": none
	Megabytes int    // of synthetic data, in MiB; 0: DefaultMegabytes
	Files     int    // all of one length; 0: a mixture

	Threads   int      // connections, and goroutines of the limits; 0: the CPUs that we may use
	Compress  string   // off, zstd or auto; "": not set
	SST       []string // further KEY=VALUE of the group [sst]
	Link      Link
	Transport string // tls or dtls; "": tls

	Against bool // measure the alternatives too
	Runs    int  // rounds; 0: DefaultRuns

	Progress io.Writer // nil: none

	few bool // ours and the bare program alone
}

// Defaults. The default size takes a second or two a round and less than a gigabyte
// of room.
const (
	DefaultMegabytes = 256
	DefaultRuns      = 3

	maxMegabytes = 1 << 20
	maxFiles     = 1_000_000
	maxThreads   = 256
	maxRuns      = 1000
)

// complete checks o and fills in defaults.
func (o *Options) complete() error {
	if o.Megabytes == 0 {
		o.Megabytes = DefaultMegabytes
	}
	if o.Runs == 0 {
		o.Runs = DefaultRuns
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	for _, n := range []struct {
		flag     string
		is, most int
		least    int
	}{
		{"--mb", o.Megabytes, maxMegabytes, 1}, {"--files", o.Files, maxFiles, 0},
		{"--threads", o.Threads, maxThreads, 1}, {"--runs", o.Runs, maxRuns, 1},
	} {
		if n.is < n.least || n.is > n.most {
			return fmt.Errorf("%s %d: should be from %d to %d", n.flag, n.is, n.least, n.most)
		}
	}
	if !slices.Contains([]string{"", "off", "zstd", "auto"}, o.Compress) {
		return fmt.Errorf("--compress %s: should be off, zstd or auto", o.Compress)
	}
	if err := checkTransport(o.Transport); err != nil {
		return err
	}
	for _, line := range o.SST {
		if key, _, ok := strings.Cut(line, "="); !ok || key == "" || strings.ContainsAny(line, "\r\n") || strings.HasPrefix(line, "[") || strings.HasPrefix(line, "!") {
			return fmt.Errorf("--sst %q: should be KEY=VALUE", line)
		}
	}
	if o.Dir != "" {
		if info, err := os.Stat(o.Dir); err != nil {
			return fmt.Errorf("--dir: %w", err)
		} else if !info.IsDir() {
			return fmt.Errorf("--dir %s: is no directory", o.Dir)
		}
	}
	if o.Against && o.Link.on() {
		return mariadbd.Advise(errors.New("--against and --link: the alternatives are measured without a link"), "leave one of them out")
	}
	return nil
}

// lines are those of the group [sst] that both roles get. Nobody writes to the donor's
// files, so that one pass is all there is to measure.
func (o *Options) lines() []string {
	lines := []string{fmt.Sprintf("backup-threads=%d", o.Threads), "precopy=off"}
	if o.Compress != "" {
		lines = append(lines, "compress="+o.Compress)
	}
	if o.Transport != "" {
		lines = append(lines, "transport="+o.Transport)
	}
	return append(lines, o.SST...)
}

func checkTransport(t string) error {
	if !slices.Contains([]string{"", string(tls.TCP), string(tls.DTLS)}, t) {
		return fmt.Errorf("--transport %s: should be tls or dtls", t)
	}
	return nil
}
