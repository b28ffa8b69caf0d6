package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Generous, for a machine that does other things too; what a node needs is a few seconds.
const joinLimit = 90 * time.Second

// cluster is two nodes: the first makes the cluster and is the donor, the second joins.
type cluster struct {
	donor, joiner *node
}

// newCluster prepares two nodes for an SST method: the donor has a fresh database, the joiner an empty data directory.
// Nothing runs yet, and the nodes' conf may still be changed.
func newCluster(t *testing.T, method string) *cluster {
	t.Helper()
	return newClusterWith(t, method, server{})
}

// newClusterWith is newCluster with a MariaDB of choice.
func newClusterWith(t *testing.T, method string, with server) *cluster {
	t.Helper()
	with.program(t, "mariadbd")
	with.galera(t)
	c := &cluster{}
	dir, err := os.MkdirTemp(shared.data, "c")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("E2E_KEEP") == "" {
		t.Cleanup(func() { os.RemoveAll(dir) })
	}
	c.donor, c.joiner = newNode(t, dir, "node1"), newNode(t, dir, "node2")
	for _, n := range []*node{c.donor, c.joiner} {
		n.server = with
		n.conf = conf{
			cluster: filepath.Base(shared.data) + filepath.Base(dir),
			peers:   []int{c.donor.ports.group, c.joiner.ports.group},
			method:  method,
			weight:  1,
		}
		n.programs = filepath.Join(shared.programs, filepath.Base(dir)+"-"+n.name)
		if err := os.Mkdir(n.programs, 0o755); err != nil {
			t.Fatal(err)
		}
		if method == "rsync_tunnel" {
			n.install(t, product(t))
		}
	}
	c.donor.conf.weight = 2 // it stays the cluster when the joiner dies

	if err := os.Remove(c.donor.datadir); err != nil {
		t.Fatal(err)
	}
	command(t, "cp", "-a", with.fresh(t), c.donor.datadir)
	return c
}

// bootstrap starts the donor as the first member.
func (c *cluster) bootstrap(t *testing.T) {
	t.Helper()
	c.donor.start(t, "--wsrep-new-cluster")
	c.donor.synced(t, joinLimit)
}

// join starts the joiner and waits until it is a member; it returns how long that took.
func (c *cluster) join(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	c.joiner.start(t)
	c.joiner.synced(t, joinLimit)
	return time.Since(began)
}

// install makes a program the SST program of this node alone, in place of the one before.
func (n *node) install(t *testing.T, program string) {
	t.Helper()
	link := filepath.Join(n.programs, "wsrep_sst_rsync_tunnel")
	if err := os.Remove(link); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
}

// script makes a shell script the SST program of this node.
func (n *node) script(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(n.programs, "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	n.install(t, path)
}
