package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What a donor's clients notice while it is copied before the lock: the 95th percentile of their transactions' latency,
// beside that of the same load without an SST, and what the copy leaves in the page cache.
//
//	E2E_MEASURE=1 go test ./e2e -run TestPoliteness -v -timeout 1h        # E2E_MIB (4096), E2E_SECONDS (30)
//
// The load is like sysbench's oltp_read_write: four clients, each with a transaction of ten reads by key, one of a range
// and two updates every 20 ms. The joiner, which would be on another host, has the lowest priority, and its data directory is in memory.
func TestPoliteness(t *testing.T) {
	if os.Getenv("E2E_MEASURE") == "" {
		t.Skip("measures for minutes: only with E2E_MEASURE=1")
	}
	mib, quiet := number("E2E_MIB", 4096), time.Duration(number("E2E_SECONDS", 30))*time.Second
	dir := openDir(t, "", "e2e-polite-")
	before := shared.data
	server{}.fresh(t)
	command(t, "cp", "-a", before+"/fresh", dir+"/fresh")
	shared.data = dir
	t.Cleanup(func() { shared.data = before })
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	// Another host has a disk of its own.
	memory := openDir(t, "/dev/shm", "e2e-polite-")
	c.joiner.datadir = memory + "/data"
	c.joiner.mkdir(t, c.joiner.datadir)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.mysqld = append(n.conf.mysqld, "innodb_buffer_pool_size=256M", "innodb_flush_method=O_DIRECT", "innodb_log_file_size=96M")
	}
	c.bootstrap(t)
	c.donor.fill(t, mib, 4)
	group := c.donor.cgroupOf(t, "memory")
	if group == "" {
		t.Log("NOT MEASURED: the page cache: no memory cgroup can be made here")
	}
	c.donor.cool(t)
	alone := c.donor.load(t, func(ctx context.Context) { wait(ctx, quiet) })
	cached := int64(0)
	if group != "" {
		cached = cachedBytes(t, group)
	}
	at, most := c.marks(), cached
	while := c.donor.load(t, func(ctx context.Context) {
		c.joiner.start(t)
		if err := unix.Setpriority(unix.PRIO_PGRP, c.joiner.run.pid, 19); err != nil {
			t.Error(err)
		}
		c.donor.eventually(t, 10*time.Minute, "copy before the lock", func(context.Context) (bool, string) {
			if group != "" {
				most = max(most, cachedBytes(t, group))
			}
			return strings.Contains(c.donor.log(at.donor), "now for the lock"), ""
		})
	})
	c.joiner.synced(t, 10*time.Minute)
	fmt.Printf("\n| %d MiB, 4 clients | p50 | p95 | p99 | transactions |\n|---|---|---|---|---|\n%s%s", mib, alone.row("without an SST"), while.row("during the rounds"))
	if ratio := while.at(95).Seconds() / alone.at(95).Seconds(); ratio > 1.5 {
		t.Errorf("p95 is %.2f times that without an SST", ratio)
	}
	if group == "" {
		return
	}
	c.donor.withoutProgram(t)
	after := cachedBytes(t, group)
	fmt.Printf("\npage cache of the donor's cgroup: %d MiB before, %d MiB more at most during the rounds, %d MiB more afterwards\n", cached>>20, (most-cached)>>20, (after-cached)>>20)
	if after-cached > 64<<20 {
		t.Errorf("the SST leaves %d MiB in the page cache of the donor's cgroup", (after-cached)>>20)
	}
	c.joiner.stop(t)
	inOwnCgroup(t, c)
}

// inOwnCgroup is an SST whose donor's program has a cgroup of its own, which must stay small.
func inOwnCgroup(t *testing.T, c *cluster) {
	t.Helper()
	group := emptyCgroup(t, "memory")
	if group == "" {
		t.Log("NOT MEASURED: a cgroup of the program's own: none can be made here")
		return
	}
	c.donor.owner.own(t, group+"/cgroup.procs")
	real := c.donor.path("real")
	c.donor.mkdir(t, real)
	if err := os.Symlink(product(t), real+"/wsrep_sst_rsync_tunnel"); err != nil {
		t.Fatal(err)
	}
	c.donor.script(t, fmt.Sprintf("echo $$ > %s/cgroup.procs || exit 1\nexec %s/wsrep_sst_rsync_tunnel \"$@\"", group, real))
	c.donor.cool(t)
	c.makeStale(t)
	at, most := c.marks(), int64(0)
	c.joiner.start(t)
	c.donor.eventually(t, 10*time.Minute, "end the SST", func(context.Context) (bool, string) {
		most = max(most, cachedBytes(t, group))
		log := c.donor.log(at.donor)
		return strings.Contains(log, "SST sent"), ""
	})
	c.joiner.synced(t, 10*time.Minute)
	fmt.Printf("\npage cache of a cgroup that the donor's program has for itself: %d MiB at most\n", most>>20)
	if most == 0 || most > 64<<20 {
		t.Errorf("the page cache of the program's own cgroup grew by %d MiB", most>>20)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// latencies are of transactions, sorted.
type latencies []time.Duration

func (l latencies) at(percent int) time.Duration { return l[min(len(l)*percent/100, len(l)-1)] }

func (l latencies) row(name string) string {
	return fmt.Sprintf("| %s | %.1f ms | %.1f ms | %.1f ms | %d |\n", name, 1e3*l.at(50).Seconds(), 1e3*l.at(95).Seconds(), 1e3*l.at(99).Seconds(), len(l))
}

// load lets clients work while f does.
func (n *node) load(t *testing.T, f func(context.Context)) latencies {
	t.Helper()
	var rows int
	fmt.Sscan(n.value(t, "SELECT COUNT(*) FROM plain.big0"), &rows)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var all latencies
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(client)))
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				began := time.Now()
				if err := n.readWrite(client, rows, r); err != nil {
					t.Errorf("a client: %v", err)
					return
				}
				mu.Lock()
				all = append(all, time.Since(began))
				mu.Unlock()
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	f(ctx)
	cancel()
	clients.Wait()
	slices.Sort(all)
	if len(all) == 0 {
		t.Fatal("nobody worked")
	}
	return all
}

// readWrite is one transaction on a client's own table, so that none meets another.
func (n *node) readWrite(client, rows int, r *rand.Rand) error {
	tx, err := n.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var s string
	for range 10 {
		if err := tx.QueryRow(fmt.Sprintf("SELECT HEX(LEFT(v, 50)) FROM plain.big%d WHERE id = %d", client, 1+r.IntN(rows))).Scan(&s); err != nil {
			return err
		}
	}
	from := 1 + r.IntN(rows-100)
	if err := tx.QueryRow(fmt.Sprintf("SELECT SUM(k) FROM plain.big%d WHERE id BETWEEN %d AND %d", client, from, from+99)).Scan(&s); err != nil {
		return err
	}
	for range 2 {
		if _, err := tx.Exec(fmt.Sprintf("UPDATE plain.big%d SET k = %d WHERE id = %d", client, r.IntN(1<<30), 1+r.IntN(rows))); err != nil {
			return err
		}
	}
	return tx.Commit()
}
