package e2e

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// The ruler of docs/performance.md: for how long a donor does not commit while a node joins, and how long that takes,
// with each method in turn on one donor. It prints tables in Markdown.
//
//	E2E_MEASURE=1 go test ./e2e -run TestGap -v -timeout 4h
//
//	E2E_MIB      sizes of the database in MiB (1536), one measurement each
//	E2E_TABLES   in how many tables it lies (1), likewise: "1 16"
//	E2E_RUNS     how often each method is tried (5)
//	E2E_METHODS  some of ours, rehearsed, stunnel, clear, socat, mariabackup; all that can be had if unset
//	E2E_WARM=1   leaves the donor's files in the page cache
//	E2E_REDO     MiB of redo log (96)
//
// The writer: one connection, one transaction each 5 ms: one row of 100 bytes inserted into one table, one indexed
// integer of a random row of a big table updated.
func TestGap(t *testing.T) {
	if os.Getenv("E2E_MEASURE") == "" {
		t.Skip("measures for minutes: only with E2E_MEASURE=1")
	}
	product(t)
	for _, mib := range numbers("E2E_MIB", 1536) {
		for _, tables := range numbers("E2E_TABLES", 1) {
			t.Run(fmt.Sprintf("%d MiB, tables: %d", mib, tables), func(t *testing.T) { measureGaps(t, mib, tables) })
		}
	}
}

// measureGaps measures one database.
func measureGaps(t *testing.T, mib, tables int) {
	runs := number("E2E_RUNS", 5)
	dir := openDir(t, "", "e2e-gap-")
	before := shared.data
	t.Cleanup(func() { shared.data = before })
	server{}.fresh(t) // is made once for all
	command(t, "cp", "-a", filepath.Join(before, "fresh"), filepath.Join(dir, "fresh"))
	shared.data = dir // O_DIRECT needs a disk
	c := newCluster(t, "rsync_tunnel")
	methods := c.methods(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.mysqld = append(n.conf.mysqld, "innodb_buffer_pool_size=256M", "innodb_flush_method=O_DIRECT",
			fmt.Sprintf("innodb_log_file_size=%dM", number("E2E_REDO", 96)), "innodb_flush_log_at_trx_commit=1", "wsrep_sst_auth=root:")
	}
	c.bootstrap(t)
	c.donor.fill(t, mib, tables)
	results := map[string][]gap{}
	for range runs {
		for _, m := range methods {
			g := c.measure(t, m, tables)
			t.Logf("%-26s gap %.2f s, joined after %.1f s%s", m.name, g.longest.Seconds(), g.joined.Seconds(), g.said)
			results[m.name] = append(results[m.name], g)
		}
	}
	fmt.Printf("\n| %d MiB in tables: %d, redo %d MiB, median of %d (largest) | gap | time to join | waited for the server | copied under the lock |\n|---|---|---|---|---|\n%s\n",
		mib, tables, number("E2E_REDO", 96), runs, rows(methods, results))
}

// methods are all that can be measured here.
func (c *cluster) methods(t *testing.T) []measured {
	t.Helper()
	c.selfSignedBoth(t)
	ours := [2][]string{c.donor.conf.sst, c.joiner.conf.sst}
	i := &issuer{dir: filepath.Join(filepath.Dir(c.donor.dir), "stock"), owner: c.donor.owner}
	if err := os.Mkdir(i.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	one, two := i.selfSigned(t, "node1", "localhost"), i.selfSigned(t, "node2", "localhost")
	all := i.join(t, "all.crt", one.cert, two.cert)
	stunnel := [2][]string{trio(all, one), trio(all, two)}
	encrypted := [2][]string{append([]string{"encrypt=3"}, stunnel[0]...), append([]string{"encrypt=3"}, stunnel[1]...)}
	// Under the name rsync_wan the donor runs our program, and the joiner the stock script.
	c.donor.overrides(t, "wsrep_sst_rsync_wan", product(t))
	text, err := os.ReadFile("testdata/wsrep_sst_socat")
	if err != nil {
		t.Fatal(err)
	}
	for n, id := range map[*node]identity{c.donor: one, c.joiner: two} {
		head := fmt.Sprintf("#!/bin/bash\ntls=cert=%s,key=%s,cafile=%s,commonname=localhost\nlocal=%d\n", id.cert, id.key, all, porttest.Free(t))
		if err := os.WriteFile(filepath.Join(n.programs, "wsrep_sst_socat"), append([]byte(head), text...), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var some []measured
	for _, m := range []measured{
		{"ours", "ours", "rsync_tunnel", ours, ""},
		{"rehearsed", "our donor, stock joiner with stunnel", "rsync_wan", stunnel, "stunnel"},
		{"stunnel", "stock rsync with stunnel", "rsync", stunnel, "stunnel"},
		{"clear", "stock rsync in the clear", "rsync", [2][]string{}, "rsync"},
		{"socat", "the tunnel script's runs through socat", "socat", [2][]string{}, "socat"},
		{"mariabackup", "mariabackup with TLS", "mariabackup", encrypted, "mariabackup"},
	} {
		if want := os.Getenv("E2E_METHODS"); want != "" && !slices.Contains(strings.Fields(want), m.key) {
			continue
		}
		if _, err := exec.LookPath(m.needs); m.needs != "" && err != nil {
			t.Logf("NOT MEASURED: %s: %s is not installed (sh e2e/peers.sh --measure)", m.name, m.needs)
			continue
		}
		some = append(some, m)
	}
	return some
}

func rows(methods []measured, results map[string][]gap) string {
	var b strings.Builder
	for _, m := range methods {
		fmt.Fprintf(&b, "| %s |", m.name)
		for _, f := range []func(gap) float64{
			func(g gap) float64 { return g.longest.Seconds() }, func(g gap) float64 { return g.joined.Seconds() },
			func(g gap) float64 { return g.waited }, func(g gap) float64 { return g.copied },
		} {
			var all []float64
			for _, g := range results[m.name] {
				all = append(all, f(g))
			}
			slices.Sort(all)
			if all[len(all)-1] == 0 {
				b.WriteString(" |") // its log does not tell
				continue
			}
			fmt.Fprintf(&b, " %.2f s (%.2f) |", all[len(all)/2], all[len(all)-1])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func numbers(env string, standard int) (all []int) {
	for _, s := range strings.Fields(os.Getenv(env)) {
		n := 0
		fmt.Sscan(s, &n)
		all = append(all, n)
	}
	if len(all) == 0 {
		all = []int{standard}
	}
	return all
}

func number(env string, standard int) int {
	n := standard
	fmt.Sscan(os.Getenv(env), &n)
	return n
}

// measured is a method and how the nodes are configured for it.
type measured struct {
	key, name, method string
	sst               [2][]string // of donor and joiner
	needs             string      // a program
}

type gap struct {
	longest, joined time.Duration
	waited, copied  float64 // seconds, as our donor's last line has it
	said            string
}

// fill makes tables of mib MiB together.
func (n *node) fill(t *testing.T, mib, tables int) {
	t.Helper()
	n.exec(t, "CREATE DATABASE plain", "CREATE TABLE plain.log (id BIGINT PRIMARY KEY AUTO_INCREMENT, v BINARY(100))")
	const row, random = 3700, "CONCAT(RANDOM_BYTES(1000), RANDOM_BYTES(1000), RANDOM_BYTES(1000), RANDOM_BYTES(700))" // four to a page
	each := mib << 20 / tables / (16 << 10) * 4
	for i := range tables {
		n.exec(t, fmt.Sprintf("CREATE TABLE plain.big%d (id INT PRIMARY KEY, k INT NOT NULL, v VARBINARY(%d), KEY (k))", i, row))
		for from := 0; from < each; from += 20000 {
			n.exec(t, fmt.Sprintf("INSERT INTO plain.big%d SELECT seq, seq, %s FROM seq_%d_to_%d", i, random, from+1, min(from+20000, each)))
		}
	}
	if info, err := os.Stat(n.data("plain/big0.ibd")); err != nil || info.Size() < int64(mib)<<20/int64(tables)*9/10 {
		t.Fatalf("the first table is not as large as it should be: %v, %v", info, err)
	}
}

// commits writes as all measurements do, until ctx ends, and gives the longest time between two commits.
func (n *node) commits(ctx context.Context, tables, rows int) (longest time.Duration, err error) {
	r := rand.New(rand.NewPCG(1, 2))
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	last := time.Now()
	for ctx.Err() == nil {
		tx, err := n.db.BeginTx(context.Background(), nil)
		if err != nil {
			return 0, err
		}
		for _, s := range []string{
			"INSERT INTO plain.log (v) VALUES (RANDOM_BYTES(100))",
			fmt.Sprintf("UPDATE plain.big%d SET k = %d WHERE id = %d", r.IntN(tables), r.IntN(1<<30), 1+r.IntN(rows)),
		} {
			if _, err := tx.Exec(s); err != nil {
				tx.Rollback()
				return 0, err
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
		now := time.Now()
		longest, last = max(longest, now.Sub(last)), now
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return longest, nil
}

// measure lets an empty node join by a method while the writer writes.
func (c *cluster) measure(t *testing.T, m measured, tables int) gap {
	t.Helper()
	if err := os.RemoveAll(c.joiner.datadir); err != nil {
		t.Fatal(err)
	}
	c.joiner.mkdir(t, c.joiner.datadir)
	c.joiner.conf.method = m.method
	c.donor.conf.sst, c.joiner.conf.sst = m.sst[0], m.sst[1]
	c.donor.writeOptionFile(t) // which an SST program reads anew
	if os.Getenv("E2E_WARM") == "" {
		c.donor.cool(t)
	} else {
		c.donor.warm(t)
	}
	marks := c.marks()
	var rows int
	fmt.Sscan(c.donor.value(t, "SELECT COUNT(*) FROM plain.big0"), &rows)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g gap
	var writer sync.WaitGroup
	writer.Go(func() {
		longest, err := c.donor.commits(ctx, tables, rows)
		if err != nil {
			t.Errorf("the writer: %v", err)
		}
		g.longest = longest
	})
	began := time.Now()
	c.joiner.start(t)
	c.joiner.synced(t, 10*time.Minute)
	g.joined = time.Since(began)
	cancel()
	writer.Wait()
	c.samePosition(t)
	for line := range strings.Lines(c.donor.log(marks.donor)) {
		if strings.HasPrefix(line, "WSREP_SST: [INFO]") && strings.Contains(line, "lock") && (m.key == "ours" || m.key == "rehearsed") {
			g.said += "\n    " + strings.TrimSpace(line)
		}
		if _, sum, ok := strings.Cut(line, ": waited "); ok {
			fmt.Sscanf(sum, "%f s for the server to lock and flush its tables, copied for %f s", &g.waited, &g.copied)
		}
	}
	c.joiner.stop(t)
	return g
}

// each calls f for the files of the databases.
func (n *node) each(t *testing.T, f func(*os.File)) {
	t.Helper()
	err := filepath.WalkDir(n.datadir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // gone since, or a socket
		}
		if file, err := os.Open(path); err == nil {
			f(file)
			file.Close()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// cool takes the node's files out of the page cache.
func (n *node) cool(t *testing.T) {
	n.each(t, func(f *os.File) { unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) })
}

// warm brings them there.
func (n *node) warm(t *testing.T) {
	n.each(t, func(f *os.File) {
		b := make([]byte, 1<<20)
		for {
			if _, err := f.Read(b); err != nil {
				return
			}
		}
	})
}
