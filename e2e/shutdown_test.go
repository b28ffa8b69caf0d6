package e2e

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// mariadbd does not tell its SST program that it is to shut down, and waits for it: a donor in the rounds before the
// lock would keep it for hours.
func TestADonorThatIsShutDownWhileItCopies(t *testing.T) {
	t.Parallel()
	t.Run("to ours", func(t *testing.T) {
		c := newCluster(t, method())
		c.selfSignedBoth(t)
		isShutDown(t, c)
	})
	t.Run("to the stock script", func(t *testing.T) {
		peers.Need(t, "rsync")
		peers.Need(t, "lsof")
		c := newCluster(t, "rsync_wan")
		c.donor.overrides(t, "wsrep_sst_rsync_wan", product(t))
		isShutDown(t, c)
	})
}

func isShutDown(t *testing.T, c *cluster) {
	t.Helper()
	c.donor.conf.sst = append(c.donor.conf.sst, "precopy-rlimit=200k")
	c.bootstrap(t)
	c.donor.exec(t, small...)
	mark := c.donor.logSize()
	c.joiner.start(t)
	c.donor.eventually(t, joinLimit, "copy before the lock", func(context.Context) (bool, string) {
		log := c.donor.log(mark)
		return strings.Contains(log, "joiner 127.0.0.1"), log
	})
	if err := c.donor.run.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.donor.eventually(t, 10*time.Second, "end its SST", func(context.Context) (bool, string) {
		log := c.donor.log(mark)
		return strings.Contains(log, "mariadbd is shutting down"), log
	})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the SST ended after %.1f s", took.Seconds())
	}
	// That mariadbd 10.11.19 then hangs in its own shutdown, having left the cluster, is none of the SST's making: it
	// is past the wait for its SST program.
	if log := c.donor.log(mark); !strings.Contains(log, "Donor monitor thread ended") {
		c.donor.eventually(t, 5*time.Second, "notice the end of its SST program", func(context.Context) (bool, string) {
			log := c.donor.log(mark)
			return strings.Contains(log, "Donor monitor thread ended"), log
		})
	}
}
