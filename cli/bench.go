package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"wsrep_sst_rsync_tunnel/bench"
	"wsrep_sst_rsync_tunnel/mycnf"
)

type benchCommand struct {
	Dir       string     `placeholder:"DIR" help:"Copy this data, unchanged, instead of synthetic."`
	MB        int        `name:"mb" default:"256" help:"How much synthetic data, in MiB."`
	Files     int        `help:"In so many files of one length; else a mixture."`
	Threads   int        `help:"Connections; else as many as there are CPUs."`
	Compress  string     `placeholder:"HOW" help:"off, zstd or auto."`
	SST       []string   `name:"sst" sep:"none" placeholder:"KEY=VALUE" help:"A further line of [sst], such as rlimit=10m."`
	Link      bench.Link `placeholder:"RATE,DELAY" help:"A slow network, as 20MB/s,40ms (round trip)."`
	Transport string     `placeholder:"HOW" help:"tls or dtls (UDP)."`
	Runs      int        `default:"3" help:"Rounds, of which medians are reported."`
	Grow      bool       `help:"1/8 to all of --mb, and 1, 2 and 4 connections."`
	Against   bool       `help:"Beside rsync, with socat, with stunnel, and cp."`

	Listen  optional `placeholder:"[ADDR]" help:"One of two hosts: receive; write only to --dir."`
	Connect string   `placeholder:"HOST[:PORT]" help:"The other host: send to bench --listen."`
	Secret  string   `placeholder:"SECRET" env:"WSREP_SST_BENCH_SECRET" help:"What --listen has printed; or environment:"`
	Node    bool     `help:"This node's [sst], on both hosts, for a secret."`

	DefaultsFile        *string `name:"defaults-file" hidden:"" placeholder:"FILE" help:"With --node: as mariadbd is started with."`
	DefaultsExtraFile   *string `name:"defaults-extra-file" hidden:"" placeholder:"FILE" help:"With --node: as mariadbd is started with."`
	DefaultsGroupSuffix *string `name:"defaults-group-suffix" hidden:"" placeholder:"SUFFIX" help:"With --node: as mariadbd is started with."`

	JSON bool   `name:"json" help:"The report for programs."`
	SVG  string `name:"svg" placeholder:"FILE" help:"A chart of bars, and one SST over time."`
}

func (b benchCommand) defaults() mycnf.Args {
	return serverFlags{b.DefaultsFile, b.DefaultsExtraFile, b.DefaultsGroupSuffix}.defaults()
}

// Run measures.
func (b benchCommand) Run(c console) error {
	if err := b.check(); err != nil {
		return err
	}
	hosts := bench.HostOptions{
		Address: b.Listen.Text, Node: b.Node || b.defaults() != (mycnf.Args{}), Defaults: b.defaults(), Secret: b.Secret, Dir: b.Dir,
		Megabytes: b.MB, Files: b.Files, Threads: b.Threads, Runs: b.Runs, Compress: b.Compress, Transport: b.Transport, Out: c.out, Progress: bench.Terminal(c.err),
	}
	switch {
	case b.Listen.Given:
		return bench.Listen(c, hosts)
	case b.Connect != "":
		hosts.Address = b.Connect
		r, err := bench.Connect(c, hosts)
		if err != nil {
			return err
		}
		return b.tell(c, r)
	}
	return b.local(c)
}

// check refuses flags that would have no effect.
func (b benchCommand) check() error {
	apart := b.Listen.Given || b.Connect != ""
	for _, f := range []struct {
		set  bool
		text string
	}{
		{b.MB == 0, "--mb 0: at least 1 is needed"},
		{b.Runs == 0, "--runs 0: at least 1 is needed"},
		{b.Listen.Given && b.Connect != "", "--listen and --connect: each is for one of the two hosts"},
		{apart && b.Against, "--against: the alternatives are measured on one host"},
		{apart && b.Link != (bench.Link{}), "--link: between two hosts there is a real one"},
		{apart && len(b.SST) > 0, "--sst: only on one host"},
		{b.Listen.Given && b.Compress != "", "--compress: is for --connect"},
		{apart && b.Grow, "--grow: only on one host"},
		{b.Listen.Given && (b.JSON || b.SVG != ""), "--json and --svg: the report is that of --connect"},
		{!apart && (b.Node || b.defaults() != (mycnf.Args{})), "--node and --defaults-...: only with --listen or --connect"},
		{b.Grow && (b.Against || b.Dir != "" || b.Files > 0), "--grow: with data and connections of its own, without --against, --dir and --files"},
	} {
		if f.set {
			return errors.New(f.text)
		}
	}
	return nil
}

// local measures on this host.
func (b benchCommand) local(c console) error {
	file, err := self()
	if err != nil {
		return err
	}
	o := bench.Options{
		Program: file, Dir: b.Dir, Megabytes: b.MB, Files: b.Files, Threads: b.Threads, Compress: b.Compress, SST: b.SST, Link: b.Link, Transport: b.Transport,
		Against: b.Against, Runs: b.Runs, Progress: bench.Terminal(c.err),
	}
	if b.Grow {
		g, err := bench.Grow(c, o)
		if err != nil {
			return err
		}
		return b.tell(c, g)
	}
	r, err := bench.Local(c, o)
	if err != nil {
		return err
	}
	return b.tell(c, r)
}

// A benchReport can be told in three ways.
type benchReport interface {
	Text(io.Writer) error
	JSON(io.Writer) error
	SVG(io.Writer) error
}

func (b benchCommand) tell(c console, r benchReport) error {
	write := r.Text
	if b.JSON {
		write = r.JSON
	}
	if err := write(c.out); err != nil {
		return err
	}
	if b.SVG == "" {
		return nil
	}
	f, err := os.Create(b.SVG)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	return errors.Join(r.SVG(f), f.Close())
}

// benchEndCommand is started by bench only.
type benchEndCommand struct {
	Kind      string `arg:""`
	Role      string `arg:"" enum:"donor,joiner"`
	Dir       string
	Like      string
	Bytes     int64
	Threads   int
	CA        string `name:"ca"`
	Cert      string
	Transport string
	Port      int
}

// Run is one end of a limit.
func (b benchEndCommand) Run(c console) error {
	return bench.End(context.Context(c), bench.EndOptions{
		Kind: b.Kind, Role: b.Role, Dir: b.Dir, Like: b.Like, Bytes: b.Bytes, Threads: b.Threads, CA: b.CA, Cert: b.Cert, Transport: b.Transport, Port: b.Port,
	}, c.in, c.out)
}
