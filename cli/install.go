package cli

import (
	"fmt"
	"os"

	"wsrep_sst_rsync_tunnel/cli/install"
)

type installCommand struct {
	Dir          string `type:"path" help:"mariadbd's program directory; found by its SST scripts if not given."`
	ReplaceStock bool   `help:"Put stock scripts in the way aside, to be restored by uninstall."`
}

// Run installs the program and the names of its methods.
func (i installCommand) Run(c console) error {
	in, err := installer(c, i.Dir)
	if err != nil {
		return err
	}
	in.ReplaceStock = i.ReplaceStock
	return in.Install()
}

type uninstallCommand struct {
	Dir string `type:"path" help:"As for install."`
}

// Run takes away what install put there.
func (u uninstallCommand) Run(c console) error {
	in, err := installer(c, u.Dir)
	if err != nil {
		return err
	}
	return in.Remove()
}

func installer(c console, dir string) (*install.Installer, error) {
	file, err := self()
	if err != nil {
		return nil, err
	}
	if dir == "" {
		if dir, err = install.FindDir(os.Getenv("PATH")); err != nil {
			return nil, err
		}
	}
	in := &install.Installer{Dir: dir, Self: file, Say: func(text string) { fmt.Fprintln(c.out, text) }}
	in.UseDpkg()
	return in, nil
}
