package e2e

import (
	"os"
	"strings"
	"testing"
)

// A real cluster whose SSTs go over UDP.
func TestNodeJoinsOverDTLS(t *testing.T) {
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.sst = append(n.conf.sst, "transport=dtls")
	}
	c.bootstrap(t)
	c.donor.exec(t, schema...)
	overUDP := func(t *testing.T, m marks) {
		t.Helper()
		for name, log := range map[string]string{c.donor.name: c.donor.log(m.donor), c.joiner.name: c.joiner.log(m.joiner)} {
			if !strings.Contains(log, "DTLS 1.2 over UDP") {
				t.Errorf("%s did not go over UDP", name)
			}
		}
	}
	story(t, "an empty data directory is filled by SST", func(t *testing.T) {
		m := c.marks()
		c.joins(t)
		overUDP(t, m)
	})
	if os.Getenv("E2E_LONG") == "" {
		return
	}
	story(t, "after a short absence the node rejoins by IST and no file is copied", func(t *testing.T) {
		m := c.marks()
		c.rejoinsByIST(t)
		overUDP(t, m)
	})
	story(t, "a stale data directory is refilled by SST and loses what the donor does not have", func(t *testing.T) {
		c.joiner.stop(t)
		c.donor.exec(t, laterChanges...)
		c.makeStale(t)
		m := c.marks()
		c.joins(t)
		c.staleIsGone(t)
		overUDP(t, m)
	})
}
