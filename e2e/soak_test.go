package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// soakRuns is how many SSTs the soak test makes: 50 with E2E_LONG, E2E_SOAK sets another number.
func soakRuns(t *testing.T) int {
	if n, err := strconv.Atoi(os.Getenv("E2E_SOAK")); err == nil && n > 0 {
		return n
	}
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("takes long: set E2E_LONG=1, or E2E_SOAK to a number of SSTs")
	}
	return 50
}

// A peak is the most that a program had at a time.
type peak struct{ rss, descriptors, threads int }

// SST after SST of one joiner while a client writes, with an IST in between now and then: no run takes more memory or
// descriptors than those before, nothing is left of any, in files or processes.
func TestSoak(t *testing.T) {
	runs := soakRuns(t)
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	c.bootstrap(t)
	c.donor.exec(t, schema...)
	c.join(t)
	var peaks []peak
	w := whileWriting(t, c.donor, func() {
		for i := range runs {
			c.joiner.stop(t)
			if i%5 == 4 {
				c.join(t)
				c.tidy(t)
				c.joiner.stop(t)
			}
			c.forgetState(t)
			marks := c.marks()
			p := c.watched(func() { c.join(t) })
			if bypassed, asked := c.donorRan(marks); !asked || bypassed {
				t.Errorf("run %d: no SST (asked %v, bypassed %v)", i, asked, bypassed)
			}
			peaks = append(peaks, p)
			t.Logf("run %d: %d KiB resident at most, %d descriptors, %d threads", i, p.rss, p.descriptors, p.threads)
			c.tidy(t)
			c.noProgram(t)
			if t.Failed() {
				return
			}
		}
	})
	t.Logf("the client wrote %d transactions meanwhile", w.transactions)
	c.samePosition(t)
	sameTables(t, c.donor, c.joiner)
	if t.Failed() || len(peaks) < 4 {
		return
	}
	// The median of the last half may be above that of the first by what runs differ anyway.
	half := len(peaks) / 2
	for _, what := range []struct {
		name string
		of   func(peak) int
		more int
	}{
		{"KiB of memory", func(p peak) int { return p.rss }, 16 << 10},
		{"descriptors", func(p peak) int { return p.descriptors }, 8},
		{"threads", func(p peak) int { return p.threads }, 8},
	} {
		first, last := median(peaks[:half], what.of), median(peaks[half:], what.of)
		t.Logf("%s: median of the first half %d, of the last %d", what.name, first, last)
		if last > first+what.more {
			t.Errorf("%s grow: median of the first half %d, of the last %d", what.name, first, last)
		}
	}
}

func median(peaks []peak, of func(peak) int) int {
	var all []int
	for _, p := range peaks {
		all = append(all, of(p))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// watched runs f and looks at both SST programs meanwhile.
func (c *cluster) watched(f func()) peak {
	var p peak
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, n := range []*node{c.donor, c.joiner} {
				p.look(n)
			}
		}
	})
	f()
	close(stop)
	watching.Wait()
	return p
}

// look takes the size of a node's SST program, if one runs.
func (p *peak) look(n *node) {
	text, err := os.ReadFile(n.data("wsrep_sst.pid"))
	if err != nil {
		return
	}
	dir := filepath.Join("/proc", strings.TrimSpace(string(text)))
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil || !strings.HasPrefix(string(status), "Name:\twsrep_sst") {
		return
	}
	for line := range strings.Lines(string(status)) {
		var v int
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &v); err == nil {
			p.rss = max(p.rss, v)
		}
		if _, err := fmt.Sscanf(line, "Threads: %d", &v); err == nil {
			p.threads = max(p.threads, v)
		}
	}
	if open, err := os.ReadDir(filepath.Join(dir, "fd")); err == nil {
		p.descriptors = max(p.descriptors, len(open))
	}
}

// noProgram checks that no SST program is left in either node's process group.
func (c *cluster) noProgram(t *testing.T) {
	t.Helper()
	for _, n := range []*node{c.donor, c.joiner} {
		for deadline := time.Now().Add(5 * time.Second); strings.Contains(groupMembers(n.run.pid), "wsrep_sst_"+"rsync_tunnel --role"); {
			if time.Now().After(deadline) {
				t.Errorf("%s has processes left:\n%s", n.name, groupMembers(n.run.pid))
				break
			}
			<-time.After(poll)
		}
	}
}
