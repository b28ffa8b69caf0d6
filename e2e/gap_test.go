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
)

// The ruler of docs/performance.md: for how long a donor does not commit while a node joins, and how long that takes,
// with each method in turn on one donor.
//
//	E2E_MEASURE=1 go test ./e2e -run TestGap -v -timeout 2h
//
// E2E_MIB (1536), E2E_TABLES (1) and E2E_RUNS (5) are the size of the database, in how many tables it lies, and how
// often each method is tried; E2E_WARM=1 leaves the donor's files in the page cache. The writer: one connection, one
// transaction each 5 ms: one row of 100 bytes inserted into one table, one indexed integer of a random row of a big
// table updated.
func TestGap(t *testing.T) {
	if os.Getenv("E2E_MEASURE") == "" {
		t.Skip("measures for minutes: only with E2E_MEASURE=1")
	}
	mib, tables, runs := number("E2E_MIB", 1536), number("E2E_TABLES", 1), number("E2E_RUNS", 5)
	dir, err := os.MkdirTemp("", "e2e-gap-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	shared.data = dir // O_DIRECT needs a disk
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	ours := [2][]string{c.donor.conf.sst, c.joiner.conf.sst}
	i := &issuer{dir: filepath.Join(filepath.Dir(c.donor.dir), "stock"), owner: c.donor.owner}
	if err := os.Mkdir(i.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	one, two := i.selfSigned(t, "node1", "127.0.0.1"), i.selfSigned(t, "node2", "127.0.0.1")
	all := i.join(t, "all.crt", one.cert, two.cert)
	stunnel := [2][]string{trio(all, one), trio(all, two)}
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.mysqld = append(n.conf.mysqld, "innodb_buffer_pool_size=256M", "innodb_flush_method=O_DIRECT", "innodb_log_file_size=96M",
			"innodb_flush_log_at_trx_commit=1", "wsrep_sst_auth=root:")
	}
	c.bootstrap(t)
	c.donor.fill(t, mib, tables)
	methods := []measured{
		{"ours", "rsync_tunnel", ours},
		{"stock rsync with stunnel", "rsync", stunnel},
		{"stock rsync in the clear", "rsync", [2][]string{}},
		{"mariabackup with TLS", "mariabackup", [2][]string{append([]string{"encrypt=3"}, stunnel[0]...), append([]string{"encrypt=3"}, stunnel[1]...)}},
	}
	if _, err := exec.LookPath("mariabackup"); err != nil {
		t.Log("NOT MEASURED: mariabackup is not installed")
		methods = methods[:3]
	}
	results := map[string][]gap{}
	for range runs {
		for _, m := range methods {
			g := c.measure(t, m)
			t.Logf("%-26s gap %.2f s, joined after %.1f s%s", m.name, g.longest.Seconds(), g.joined.Seconds(), g.said)
			results[m.name] = append(results[m.name], g)
		}
	}
	t.Logf("\n| %d MiB in %d tables, median of %d (largest) | gap | time to join |\n|---|---|---|\n%s", mib, tables, runs, rows(methods, results))
}

func rows(methods []measured, results map[string][]gap) string {
	var b strings.Builder
	for _, m := range methods {
		var gaps, joins []float64
		for _, g := range results[m.name] {
			gaps, joins = append(gaps, g.longest.Seconds()), append(joins, g.joined.Seconds())
		}
		slices.Sort(gaps)
		slices.Sort(joins)
		fmt.Fprintf(&b, "| %s | %.2f s (%.2f) | %.1f s (%.1f) |\n", m.name, gaps[len(gaps)/2], gaps[len(gaps)-1], joins[len(joins)/2], joins[len(joins)-1])
	}
	return b.String()
}

func number(env string, standard int) int {
	n := standard
	fmt.Sscan(os.Getenv(env), &n)
	return n
}

// measured is a method and how the nodes are configured for it.
type measured struct {
	name, method string
	sst          [2][]string // of donor and joiner
}

type gap struct {
	longest, joined time.Duration
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
func (c *cluster) measure(t *testing.T, m measured) gap {
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
	tables := number("E2E_TABLES", 1)
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
	g.joined = c.join(t)
	cancel()
	writer.Wait()
	c.samePosition(t)
	for line := range strings.Lines(c.donor.log(marks.donor)) {
		if strings.HasPrefix(line, "WSREP_SST: [INFO]") && strings.Contains(line, "lock") && m.method == "rsync_tunnel" {
			g.said += "\n    " + strings.TrimSpace(line)
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
