package cli

import (
	"fmt"
	"os"

	"wsrep_sst_rsync_tunnel/cli/demo"
	"wsrep_sst_rsync_tunnel/sst/report"
)

type demoCommand struct {
	MB   int  `name:"mb" default:"256" help:"How much data, in megabytes."`
	Keep bool `help:"Leave the folder with both data directories and the logs, and say where it is."`

	SVG string `name:"svg" placeholder:"FILE" help:"Draw bytes, rounds and the lock over time."`

	Cluster bool `help:"With two real nodes on loopback, where MariaDB with Galera is installed."`
}

// Run shows the main job.
func (d demoCommand) Run(c console) error {
	if d.MB < 1 {
		return fmt.Errorf("--mb %d: at least 1 is needed", d.MB)
	}
	file, err := self()
	if err != nil {
		return err
	}
	o := demo.Options{Megabytes: d.MB, Keep: d.Keep, Program: file, Out: c.out, SVG: d.SVG}
	if f, ok := c.out.(*os.File); ok {
		if terminal := report.OpenTerminal(f); terminal != nil {
			o.Out, o.Live = terminal, terminal.Line
		}
	}
	if d.Cluster {
		return demo.RunCluster(c, o)
	}
	return demo.Run(c, o)
}
