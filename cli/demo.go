package cli

import (
	"fmt"

	"wsrep_sst_rsync_tunnel/cli/demo"
)

type demoCommand struct {
	MB   int  `name:"mb" default:"256" help:"How much data, in megabytes."`
	Keep bool `help:"Leave the folder with both data directories and the logs, and say where it is."`

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
	o := demo.Options{Megabytes: d.MB, Keep: d.Keep, Program: file, Out: c.out}
	if d.Cluster {
		return demo.RunCluster(c, o)
	}
	return demo.Run(c, o)
}
