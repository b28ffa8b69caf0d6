package e2e

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
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

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// A node joins while clients do DDL and DML of every kind to the donor, and transactions that were open before the lock
// are rolled back or killed under it. Whatever the copies made before the lock were, the joiner's tables are the
// donor's at the lock.
//
// Each round has a seed; E2E_SEED runs that one alone.
func TestTortureOfTheDonorWhileItIsCopied(t *testing.T) {
	// Not beside others: rounds on a disk change where all clusters are made.
	rounds := 2
	if os.Getenv("E2E_LONG") != "" {
		rounds = 30
	}
	first := 1
	if s := os.Getenv("E2E_SEED"); s != "" {
		fmt.Sscan(s, &first)
		rounds = 1
	}
	worked := map[string]int{}
	for seed := first; seed < first+rounds; seed++ {
		o := tortureOptions{seed: seed, flush: []string{"O_DIRECT", "fsync"}[seed%2], disk: seed/2%2 == 0, slow: seed%8 == 4}
		t.Run(o.String(), func(t *testing.T) { tortureRound(t, o, worked) })
	}
	t.Logf("statements that worked, by kind: %v", worked)
	for _, s := range tortureDDL {
		if rounds >= 30 && worked[s.kind] == 0 {
			t.Errorf("no statement of the kind %q has ever worked: it was not tried", s.kind)
		}
	}
}

type tortureOptions struct {
	seed  int
	flush string
	disk  bool // the data lies on a disk, not in memory
	slow  bool // which takes 8 MB/s from the donor: a write's stamp shows long before its bytes (precopy-facts.md, A)
}

func (o tortureOptions) String() string {
	return fmt.Sprintf("seed %d, innodb_flush_method=%s, on disk: %v, slow: %v", o.seed, o.flush, o.disk, o.slow)
}

// tortureTables are what there is at the beginning.
var tortureTables = []string{
	"CREATE DATABASE plain", "CREATE DATABASE other",
	"CREATE TABLE plain.ledger (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, v VARBINARY(600), KEY (k))",
	"INSERT INTO plain.ledger (k, v) SELECT seq, RANDOM_BYTES(500) FROM seq_1_to_20000",
	"CREATE TABLE plain.open1 (id INT PRIMARY KEY, v VARBINARY(600), KEY (v(20)))",
	"INSERT INTO plain.open1 SELECT seq, RANDOM_BYTES(500) FROM seq_1_to_6000",
	"CREATE TABLE plain.open2 LIKE plain.open1", "INSERT INTO plain.open2 SELECT * FROM plain.open1",
	"CREATE TABLE plain.dyn (id INT PRIMARY KEY AUTO_INCREMENT, k INT, v VARBINARY(900), b MEDIUMBLOB, KEY (k))",
	"INSERT INTO plain.dyn (k, v, b) SELECT seq, RANDOM_BYTES(600), REPEAT(RANDOM_BYTES(900), seq MOD 20) FROM seq_1_to_3000",
	"CREATE TABLE plain.compressed LIKE plain.dyn", "ALTER TABLE plain.compressed ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
	"INSERT INTO plain.compressed SELECT * FROM plain.dyn",
	"CREATE TABLE plain.paged LIKE plain.dyn", "ALTER TABLE plain.paged PAGE_COMPRESSED=1", "INSERT INTO plain.paged SELECT * FROM plain.dyn",
	"CREATE TABLE plain.secret LIKE plain.dyn", "ALTER TABLE plain.secret ENCRYPTED=YES", "INSERT INTO plain.secret SELECT * FROM plain.dyn",
	"CREATE TABLE plain.words (id INT PRIMARY KEY AUTO_INCREMENT, w TEXT, FULLTEXT KEY (w))",
	"INSERT INTO plain.words (w) SELECT CONCAT('word', seq MOD 97, ' other', seq MOD 31) FROM seq_1_to_500",
	"CREATE TABLE plain.parts (id INT PRIMARY KEY, v VARBINARY(300)) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (1000), PARTITION p1 VALUES LESS THAN (2000), PARTITION pmax VALUES LESS THAN MAXVALUE)",
	"INSERT INTO plain.parts SELECT seq, RANDOM_BYTES(250) FROM seq_1_to_3000",
	"CREATE TABLE plain.swap (id INT PRIMARY KEY, v VARBINARY(300))", "INSERT INTO plain.swap SELECT seq, 'swapped' FROM seq_1_to_300",
	"CREATE TABLE plain.ship (id INT PRIMARY KEY, v VARBINARY(300))", "INSERT INTO plain.ship SELECT seq, RANDOM_BYTES(200) FROM seq_1_to_2000",
	"CREATE TABLE plain.safe (id INT PRIMARY KEY, v VARCHAR(300), KEY (v)) ENGINE=Aria TRANSACTIONAL=1",
	"CREATE TABLE plain.aria (id INT PRIMARY KEY, v VARCHAR(300), KEY (v)) ENGINE=Aria TRANSACTIONAL=0",
	"CREATE TABLE plain.isam (id INT PRIMARY KEY, v VARCHAR(300), KEY (v)) ENGINE=MyISAM",
	"INSERT INTO plain.safe SELECT seq, REPEAT('a', seq MOD 300) FROM seq_1_to_2000",
	"INSERT INTO plain.aria SELECT seq, REPEAT('b', seq MOD 300) FROM seq_1_to_2000",
	"INSERT INTO plain.isam SELECT seq, REPEAT('c', seq MOD 300) FROM seq_1_to_2000",
}

// A torment is a kind of statement. local ones are not replicated: they end before the lock.
type torment struct {
	kind  string
	local bool
	run   func(n *node, r *rand.Rand) []string
}

func always(kind string, local bool, statements ...string) torment {
	return torment{kind, local, func(_ *node, r *rand.Rand) []string {
		out := slices.Clone(statements)
		for i, s := range out {
			out[i] = strings.NewReplacer("?N", fmt.Sprint(r.IntN(3000)), "?T", fmt.Sprintf("t%d", r.IntN(6)), "?U", fmt.Sprintf("u%d", r.IntN(3))).Replace(s)
		}
		return out
	}}
}

var tortureDDL = []torment{
	always("create and fill", false, "CREATE TABLE plain.?T (id INT PRIMARY KEY AUTO_INCREMENT, v VARBINARY(900), KEY (v(10)))", "INSERT INTO plain.?T (v) SELECT RANDOM_BYTES(700) FROM seq_1_to_300"),
	always("drop", false, "DROP TABLE plain.?T"),
	always("rename", false, "RENAME TABLE plain.?T TO other.?T"),
	always("rename back", false, "RENAME TABLE other.?T TO plain.?T"),
	always("truncate", false, "TRUNCATE TABLE plain.?T"),
	always("insert", false, "INSERT INTO plain.?T (v) SELECT RANDOM_BYTES(400) FROM seq_1_to_200"),
	always("rebuild", false, "ALTER TABLE plain.dyn FORCE"),
	always("optimize", false, "OPTIMIZE TABLE plain.paged"),
	always("add a column", false, "ALTER TABLE plain.compressed ADD COLUMN x?N INT, ALGORITHM=COPY"),
	always("add an index", false, "ALTER TABLE plain.secret ADD INDEX i?N (k)"),
	always("encryption off and on", false, "ALTER TABLE plain.secret ENCRYPTED=NO", "ALTER TABLE plain.secret ENCRYPTED=YES"),
	always("databases", false, "CREATE DATABASE ?U", "CREATE TABLE ?U.t (id INT PRIMARY KEY, v VARBINARY(500))", "INSERT INTO ?U.t SELECT seq, RANDOM_BYTES(400) FROM seq_1_to_100"),
	always("drop a database", false, "DROP DATABASE ?U"),
	always("partitions", false, "ALTER TABLE plain.parts REORGANIZE PARTITION pmax INTO (PARTITION p3 VALUES LESS THAN (9000), PARTITION pmax VALUES LESS THAN MAXVALUE)"),
	always("truncate a partition", false, "ALTER TABLE plain.parts TRUNCATE PARTITION p1"),
	always("exchange a partition", false, "ALTER TABLE plain.parts EXCHANGE PARTITION p0 WITH TABLE plain.swap"),
	always("update", false, "UPDATE plain.dyn SET v = RANDOM_BYTES(600) WHERE k BETWEEN ?N AND ?N + 20"),
	always("update a compressed table", false, "UPDATE plain.compressed SET b = REPEAT(RANDOM_BYTES(900), 9) WHERE id BETWEEN ?N AND ?N + 20"),
	always("update a page-compressed table", false, "UPDATE plain.paged SET v = REPEAT('x', 500) WHERE id BETWEEN ?N AND ?N + 30"),
	always("update an encrypted table", false, "UPDATE plain.secret SET v = RANDOM_BYTES(600) WHERE id BETWEEN ?N AND ?N + 30"),
	always("full-text", false, "INSERT INTO plain.words (w) SELECT CONCAT('new', seq, ' word?N') FROM seq_1_to_20", "DELETE FROM plain.words WHERE id MOD 50 = ?N MOD 50"),
	always("insert and delete", false, "INSERT INTO plain.ledger (k, v) SELECT ?N, RANDOM_BYTES(500) FROM seq_1_to_30", "DELETE FROM plain.ledger WHERE k = ?N"),
	always("Aria, crash-safe", true, "REPLACE INTO plain.safe SELECT ?N + seq, REPEAT('d', 200) FROM seq_1_to_50"),
	always("Aria", true, "REPLACE INTO plain.aria SELECT ?N + seq, REPEAT('e', 200) FROM seq_1_to_50", "DELETE FROM plain.aria WHERE id = ?N"),
	always("MyISAM", true, "REPLACE INTO plain.isam SELECT ?N + seq, REPEAT('f', ?N MOD 300) FROM seq_1_to_50"),
	always("MyISAM in place", true, "UPDATE plain.isam SET v = REVERSE(v) WHERE id BETWEEN ?N AND ?N + 100"),
	always("Aria rebuilt", true, "OPTIMIZE LOCAL TABLE plain.aria"),
}

// ship exports a table space, drops it and imports it again, which takes a hand of ours.
func (n *node) ship(ctx context.Context) error {
	conn, err := n.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	do := func(s string) error { _, err := conn.ExecContext(ctx, s); return err }
	if err := do("FLUSH TABLES plain.ship FOR EXPORT"); err != nil {
		return err
	}
	for _, suffix := range []string{".ibd", ".cfg"} {
		if err := n.copyFile(n.data("plain/ship"+suffix), n.path("tmp/ship"+suffix)); err != nil {
			return err
		}
	}
	// The joiner is not there yet, and the connection serves others afterwards.
	defer func() { _ = do("SET SESSION wsrep_on=ON") }()
	for _, s := range []string{"UNLOCK TABLES", "SET SESSION wsrep_on=OFF", "ALTER TABLE plain.ship DISCARD TABLESPACE"} {
		if err := do(s); err != nil {
			return err
		}
	}
	for _, suffix := range []string{".ibd", ".cfg"} {
		if err := n.copyFile(n.path("tmp/ship"+suffix), n.data("plain/ship"+suffix)); err != nil {
			return err
		}
	}
	return do("ALTER TABLE plain.ship IMPORT TABLESPACE")
}

func (n *node) copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o660)
	if err != nil {
		return err
	}
	defer out.Close()
	if n.owner.switched {
		if err := out.Chown(int(n.owner.uid), int(n.owner.gid)); err != nil {
			return err
		}
	}
	_, err = io.Copy(out, in)
	return err
}

// tortureRound is one SST.
func tortureRound(t *testing.T, o tortureOptions, worked map[string]int) {
	if !o.disk {
		if shared.data == "" || !strings.HasPrefix(shared.data, "/dev/shm") {
			t.Logf("there is no room in memory: on disk instead")
		}
	} else if strings.HasPrefix(shared.data, "/dev/shm") {
		memory := shared.data
		dir := openDir(t, "", "e2e-disk-")
		c := server{}
		c.fresh(t) // is made in memory once, for all
		shared.data = dir
		t.Cleanup(func() { shared.data = memory })
		command(t, "cp", "-a", filepath.Join(memory, "fresh"), filepath.Join(dir, "fresh"))
	}
	c := newCluster(t, method())
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.write(t, n.path("keys"), "1;"+strings.Repeat("0123456789abcdef", 4)+"\n")
		n.conf.mysqld = append(n.conf.mysqld, "plugin_load_add=file_key_management", "file_key_management_filename="+n.path("keys"),
			"innodb_flush_method="+o.flush, "myisam_use_mmap=ON", "log_output=TABLE", "general_log=ON", "innodb_lock_wait_timeout=2")
		// The rounds before the lock are slowed down, so that a lot happens in them.
		n.conf.sst = append(n.conf.sst, "precopy-rlimit=60m")
	}
	c.bootstrap(t)
	c.donor.exec(t, tortureTables...)
	if o.slow && !c.donor.slowDisk(t, 8<<20) {
		t.Log("NOT TESTED: a slow disk: no cgroup can be made here, or it does not limit this disk")
	}
	marks := c.marks()

	ctx, cancel := context.WithCancel(t.Context())
	local, stopLocal := context.WithCancel(ctx)
	defer cancel()
	defer stopLocal()
	var clients, shipping sync.WaitGroup
	var mu sync.Mutex
	for client := range 4 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(o.seed), uint64(client)))
			for ctx.Err() == nil {
				done := c.donor.torment(ctx, local, r)
				mu.Lock()
				for k, n := range done {
					worked[k] += n
				}
				mu.Unlock()
			}
		})
	}
	shipping.Go(func() {
		for local.Err() == nil {
			if c.donor.ship(context.WithoutCancel(local)) == nil { // to its end, before the lock
				mu.Lock()
				worked["ship a table space"]++
				mu.Unlock()
			}
		}
	})
	victims := c.openTransactions(t)
	c.joiner.start(t)
	c.donor.eventually(t, joinLimit, "copy before the lock", func(context.Context) (bool, string) {
		log := c.donor.log(marks.donor)
		return strings.Contains(log, "joiner 127.0.0.1"), log
	})
	// One round may be all.
	c.donor.eventually(t, joinLimit, "copy a half of it before the lock", func(context.Context) (bool, string) {
		there, here := occupied(c.joiner.datadir), occupied(c.donor.datadir)
		return there >= here/2, fmt.Sprintf("%d bytes of %d", there, here)
	})
	stopLocal()
	shipping.Wait()
	if strings.Contains(c.donor.log(marks.donor), "Tables flushed") {
		t.Fatal("the lock came before this test had stopped what is not replicated: it shows nothing")
	}
	refused := false
	c.donor.eventually(t, joinLimit, "lock its tables", func(context.Context) (bool, string) {
		log := c.donor.log(marks.donor)
		refused = strings.Contains(log, "[ERROR] WSREP: Failed to flush and lock tables")
		return refused || strings.Contains(log, "WSREP_SST: [INFO] Tables flushed"), log
	})
	if refused { // statements of the clients made mariadbd give up
		t.Log("NOT TESTED: this seed: mariadbd could not lock its tables, and its joiner is gone")
		refusedLocks++
		if refusedLocks > 3 {
			t.Error("that is too often")
		}
		return
	}
	c.donor.rollBack(t, victims, o.seed)
	c.joiner.synced(t, joinLimit)
	cancel()
	clients.Wait()
	if log := c.donor.log(marks.donor); !strings.Contains(log, "under the lock: ") || strings.Count(log, "round ") < 1 {
		t.Errorf("the donor did not copy in rounds:\n%s", log)
	}
	for line := range strings.Lines(c.donor.log(marks.donor)) {
		if strings.HasPrefix(line, "WSREP_SST: [INFO] ") && (strings.Contains(line, "lock") || strings.Contains(line, "again")) {
			t.Log(strings.TrimSpace(line))
		}
	}
	c.samePosition(t)
	sameTables(t, c.donor, c.joiner)
	c.checkedExtended(t)
	for line := range strings.Lines(c.donor.log(marks.donor) + c.joiner.log(marks.joiner)) {
		if strings.HasPrefix(line, "WSREP_SST:") && !strings.HasPrefix(line, "WSREP_SST: [INFO]") {
			t.Errorf("logged in a good SST: %s", line)
		}
	}
	c.joiner.stop(t)
	c.donor.stop(t)
	c.innochecksum(t)
	c.noSurplus(t)
}

// refusedLocks counts the seeds whose donor's mariadbd did not get its lock.
var refusedLocks int

// occupied is what a data directory has on the disk, without Galera's files.
func occupied(dir string) (bytes int64) {
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		var st unix.Stat_t
		if err == nil && e.Type().IsRegular() && !strings.HasPrefix(e.Name(), "galera.") && unix.Lstat(path, &st) == nil {
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes
}

// torment runs one kind of statement, and says what worked. Most of what fails fails because of another client.
func (n *node) torment(ctx, local context.Context, r *rand.Rand) map[string]int {
	kind := tortureDDL[r.IntN(len(tortureDDL))]
	if kind.local && local.Err() != nil {
		return nil
	}
	done := map[string]int{}
	for _, s := range kind.run(n, r) {
		// To its end: what is cut off in the middle would be a fault of this client.
		limit, stop := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		if _, err := n.db.ExecContext(limit, s); err == nil {
			done[kind.kind]++
		}
		stop()
	}
	return done
}

// openTransactions begins transactions that change many pages and are not to be committed.
func (c *cluster) openTransactions(t *testing.T) []*sql.Conn {
	t.Helper()
	var open []*sql.Conn
	for _, table := range []string{"plain.open1", "plain.open2"} {
		conn, err := c.donor.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		for _, s := range []string{"START TRANSACTION", "UPDATE " + table + " SET v = RANDOM_BYTES(500) WHERE id MOD 3 = 0", "DELETE FROM " + table + " WHERE id MOD 7 = 0"} {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
		open = append(open, conn)
	}
	return open
}

// rollBack ends them while the tables are locked: one is rolled back, one killed.
func (n *node) rollBack(t *testing.T, open []*sql.Conn, seed int) {
	t.Helper()
	var id int64
	if err := open[seed%2].QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		t.Fatal(err)
	}
	if _, err := open[1-seed%2].ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Errorf("roll back under the lock: %v", err)
	}
	n.exec(t, fmt.Sprintf("KILL %d", id))
}

// checkedExtended has the joiner check every page and row.
func (c *cluster) checkedExtended(t *testing.T) {
	t.Helper()
	for _, table := range c.joiner.tables(t) {
		lines, err := c.joiner.rows(t.Context(), "CHECK TABLE "+table+" EXTENDED")
		if err != nil || len(lines) == 0 || !strings.HasSuffix(lines[len(lines)-1], " status OK") {
			t.Errorf("CHECK TABLE %s EXTENDED: %s %v", table, strings.Join(lines, "; "), err)
		}
	}
}

// innochecksum reads every table space of the stopped joiner, as an administrator would.
func (c *cluster) innochecksum(t *testing.T) {
	t.Helper()
	program := peers.Need(t, "innochecksum")
	for _, pattern := range []string{"ibdata*", "undo*", "*/*.ibd"} {
		files, err := filepath.Glob(c.joiner.data(pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			ranges := [][]string{{f}}
			if filepath.Base(f) == "ibdata1" {
				ranges = aroundDoublewrite(t, f)
			}
			for _, args := range ranges {
				if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
					t.Errorf("innochecksum %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
		}
	}
}

// aroundDoublewrite are arguments for the pages of the system table space outside its doublewrite buffer. In there lie
// copies of pages of all table spaces, whose format and key innochecksum does not know: it takes them for corrupt on any
// server that has ever written to an encrypted or compressed table (10.11.19: "Fail: page::64 invalid").
func aroundDoublewrite(t *testing.T, file string) [][]string {
	t.Helper()
	const (
		pageSize = 16 << 10
		extent   = 64 // pages of each of the two blocks
		// On page 5, the header of the transaction system: a segment's header of 10 bytes, the magic number, and the first
		// pages of the blocks.
		at    = 5*pageSize + pageSize - 200 + 10
		magic = 536853855
	)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var head [12]byte
	if _, err := f.ReadAt(head[:], at); err != nil {
		t.Fatal(err)
	}
	first, second := binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
	if binary.BigEndian.Uint32(head[:]) != magic || second != first+extent {
		t.Fatalf("%s: no doublewrite buffer is where one should be: %x", file, head)
	}
	return [][]string{{fmt.Sprintf("--end-page=%d", first-1), file}, {fmt.Sprintf("--start-page=%d", second+extent), file}}
}

// noSurplus checks that the joiner has no file that the donor lacks. The names of full-text tables have numbers that
// each server gives by itself.
func (c *cluster) noSurplus(t *testing.T) {
	t.Helper()
	names := func(n *node) map[string]bool {
		found := map[string]bool{}
		for _, pattern := range []string{"*/*", "undo*", "ibdata*"} {
			files, err := filepath.Glob(n.data(pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				if name := strings.TrimPrefix(f, n.datadir+"/"); !strings.Contains(name, "/FTS_") {
					found[name] = true
				}
			}
		}
		return found
	}
	donor := names(c.donor)
	for _, name := range slices.Sorted(maps.Keys(names(c.joiner))) {
		if !donor[name] {
			t.Errorf("the joiner has %s, which the donor lacks", name)
		}
	}
}
