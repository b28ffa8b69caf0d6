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
	Dir       string     `placeholder:"DIR" help:"Copy this data instead of synthetic data. Nothing in it is changed."`
	MB        int        `name:"mb" default:"256" help:"How much synthetic data, in MiB."`
	Files     int        `help:"In so many files of one length; without it a mixture."`
	Threads   int        `help:"Connections; without it as many as there are CPUs."`
	Compress  string     `placeholder:"HOW" help:"off, zstd or auto."`
	SST       []string   `name:"sst" sep:"none" placeholder:"KEY=VALUE" help:"A further line of the group [sst] for both roles, such as rlimit=10m."`
	Link      bench.Link `placeholder:"RATE,DELAY" help:"Through a slow network, such as 20MB/s,40ms (round trip)."`
	Transport string     `placeholder:"HOW" help:"tls (over TCP) or dtls (over UDP); with --node as the node has it."`
	Runs      int        `default:"3" help:"Rounds, of which the medians are reported."`
	Grow      bool       `help:"With 1/8, 1/4, 1/2 and all of --mb, and 1, 2 and 4 connections."`
	Against   bool       `help:"Beside rsync, rsync with socat, rsync with stunnel, and cp."`

	Listen  optional `placeholder:"[ADDR]" help:"The receiving end of a measurement between two hosts. Nothing is written without --dir."`
	Connect string   `placeholder:"HOST[:PORT]" help:"The sending end, to a host with bench --listen."`
	Secret  string   `placeholder:"SECRET" env:"WSREP_SST_BENCH_SECRET" help:"What --listen has printed."`
	Node    bool     `help:"With the certificates of this node's [sst] instead of a secret; on both hosts."`
	serverFlags

	JSON bool   `name:"json" help:"The report for programs."`
	SVG  string `name:"svg" placeholder:"FILE" help:"Write a bar chart, too."`
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
