package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"wsrep_sst_rsync_tunnel/bench"
)

type benchCommand struct {
	Dir      string     `placeholder:"DIR" help:"Copy this data instead of synthetic data. Nothing in it is changed."`
	MB       int        `name:"mb" default:"256" help:"How much synthetic data, in MiB."`
	Files    int        `help:"In so many files of one length; without it a mixture."`
	Threads  int        `help:"Connections; without it as many as there are CPUs."`
	Compress string     `placeholder:"HOW" help:"off, zstd or auto."`
	SST      []string   `name:"sst" sep:"none" placeholder:"KEY=VALUE" help:"A further line of the group [sst] for both roles, such as rlimit=10m."`
	Link     bench.Link `placeholder:"RATE,DELAY" help:"Through a slow network, such as 20MB/s,40ms (round trip)."`
	Runs     int        `default:"3" help:"Rounds, of which the medians are reported."`
	Against  bool       `help:"Beside rsync, rsync with socat, rsync with stunnel, and cp."`

	JSON bool   `name:"json" help:"The report for programs."`
	SVG  string `name:"svg" placeholder:"FILE" help:"Write a bar chart, too."`
}

// Run measures.
func (b benchCommand) Run(c console) error {
	file, err := self()
	if err != nil {
		return err
	}
	o := bench.Options{
		Program: file, Dir: b.Dir, Megabytes: b.MB, Files: b.Files, Threads: b.Threads, Compress: b.Compress, SST: b.SST, Link: b.Link,
		Against: b.Against, Runs: b.Runs, Progress: bench.Terminal(c.err),
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
	Kind    string `arg:""`
	Role    string `arg:"" enum:"donor,joiner"`
	Dir     string
	Like    string
	Bytes   int64
	Threads int
	CA      string `name:"ca"`
	Cert    string
	Port    int
}

// Run is one end of a limit.
func (b benchEndCommand) Run(c console) error {
	return bench.End(context.Context(c), bench.EndOptions{
		Kind: b.Kind, Role: b.Role, Dir: b.Dir, Like: b.Like, Bytes: b.Bytes, Threads: b.Threads, CA: b.CA, Cert: b.Cert, Port: b.Port,
	}, c.in, c.out)
}
