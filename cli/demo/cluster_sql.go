package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// batch is how many rows of about a kilobyte are written at a time.
const batch = 20000

// fill makes the donor's database: one table with nearly all data, and one of each
// kind that files differ by.
func (n *node) fill(ctx context.Context, megabytes int) error {
	statements := []string{
		"CREATE DATABASE demo CHARACTER SET utf8mb4",
		"USE demo", // where seq_1_to_N are found
		"CREATE TABLE demo.big (id INT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, filler VARCHAR(1000) CHARACTER SET latin1, KEY (k))",
	}
	for left := megabytes << 10; left > 0; left -= batch {
		statements = append(statements, fmt.Sprintf(
			"INSERT INTO demo.big (k, filler) SELECT seq, REPEAT(MD5(RAND()), 30) FROM seq_1_to_%d", min(left, batch)))
	}
	statements = append(statements,
		"CREATE TABLE demo.parts (id INT PRIMARY KEY, v VARCHAR(300)) PARTITION BY HASH (id) PARTITIONS 3",
		"INSERT INTO demo.parts SELECT seq, REPEAT(MD5(seq), 9) FROM seq_1_to_3000",
		"CREATE TABLE demo.compressed (id INT PRIMARY KEY, v VARCHAR(900)) ROW_FORMAT=COMPRESSED",
		"INSERT INTO demo.compressed SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_3000",
		"CREATE TABLE demo.paged (id INT PRIMARY KEY, v VARCHAR(900)) PAGE_COMPRESSED=1",
		"INSERT INTO demo.paged SELECT seq, REPEAT(CHAR(65 + seq MOD 26), 900) FROM seq_1_to_5000",
		"CREATE TABLE demo.aria (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=Aria",
		"INSERT INTO demo.aria SELECT seq, REPEAT('a', seq MOD 300) FROM seq_1_to_3000",
		"CREATE DATABASE `odd db-1 żółw`",
		"CREATE TABLE `odd db-1 żółw`.`sp ace #1 日本語` (id INT PRIMARY KEY, v VARCHAR(100))",
		"INSERT INTO `odd db-1 żółw`.`sp ace #1 日本語` SELECT seq, MD5(seq) FROM seq_1_to_200",
		"CREATE TABLE demo.ledger (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, v VARCHAR(600))",
		"CREATE TABLE demo.seen (node VARCHAR(20) PRIMARY KEY, n INT NOT NULL)",
	)
	_, err := n.query(ctx, strings.Join(statements, ";\n")+";\n")
	return err
}

// A client writes to a node, one transaction after the other.
type client struct {
	transactions int
	longest      time.Duration
}

// write does one transaction.
func (c *client) write(ctx context.Context, n *node) error {
	began := time.Now()
	_, err := n.query(ctx, fmt.Sprintf("BEGIN; INSERT INTO demo.ledger (k, v) VALUES (%d, REPEAT('x', 500)); "+
		"UPDATE demo.big SET filler = REPEAT(MD5(RAND()), 30) WHERE id BETWEEN %d AND %d; COMMIT;", c.transactions, c.transactions%1000*7, c.transactions%1000*7+5))
	if err == nil {
		c.transactions++
		c.longest = max(c.longest, time.Since(began))
	}
	return err
}

// whileWriting calls f while a client writes to n.
func whileWriting(ctx context.Context, n *node, f func(context.Context) error) (client, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var c client
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := c.write(ctx, n); err != nil {
				cancel(err)
				return
			}
		}
	})
	err := f(ctx)
	close(stop)
	if err != nil {
		cancel(err)
	}
	writing.Wait()
	if err == nil {
		err = context.Cause(ctx)
	}
	return c, err
}

// tables lists those that belong to the cluster's state.
func (n *node) tables(ctx context.Context) ([]string, error) {
	return n.query(ctx, "SELECT CONCAT('`', table_schema, '`.`', table_name, '`') FROM information_schema.tables "+
		"WHERE table_type = 'BASE TABLE' AND (table_schema IN ('demo', 'odd db-1 żółw') "+
		"OR table_schema = 'mysql' AND table_name IN ('global_priv', 'db', 'proc', 'plugin', 'time_zone')) ORDER BY 1")
}

// sameTables compares the checksum of every table, and has the joiner check its
// own. It returns how many there are.
func sameTables(ctx context.Context, donor, joiner *node) (int, error) {
	want, err := donor.tables(ctx)
	if err != nil {
		return 0, err
	}
	got, err := joiner.tables(ctx)
	if err != nil {
		return 0, err
	}
	if !slices.Equal(want, got) || len(want) == 0 {
		return 0, fmt.Errorf("%s has the tables %v, %s has %v", donor.name, want, joiner.name, got)
	}
	list := strings.Join(want, ", ")
	checksums := "CHECKSUM TABLE " + list + " EXTENDED"
	if want, err = donor.query(ctx, checksums); err != nil {
		return 0, err
	}
	if got, err = joiner.query(ctx, checksums); err != nil {
		return 0, err
	}
	for i := range want {
		if i >= len(got) || want[i] != got[i] || strings.HasSuffix(want[i], "\tNULL") {
			return 0, fmt.Errorf("CHECKSUM TABLE: %s has %q, %s has %q", donor.name, want[i:], joiner.name, got[min(i, len(got)):])
		}
	}
	checks, err := joiner.query(ctx, "CHECK TABLE "+list)
	if err != nil {
		return 0, err
	}
	for _, line := range checks {
		if !strings.HasSuffix(line, "\tstatus\tOK") {
			return 0, fmt.Errorf("CHECK TABLE on %s: %s", joiner.name, line)
		}
	}
	return len(want), nil
}

// serve writes on each node and reads it on the other.
func serve(ctx context.Context, a, b *node) error {
	for _, pair := range [][2]*node{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		row := fmt.Sprintf("demo.seen WHERE node = '%s'", from.name)
		if _, err := from.query(ctx, fmt.Sprintf("INSERT INTO demo.seen VALUES ('%s', 1) ON DUPLICATE KEY UPDATE n = n + 1", from.name)); err != nil {
			return err
		}
		want, err := from.value(ctx, "SELECT n FROM "+row)
		if err != nil {
			return err
		}
		if err := to.eventually(ctx, 10*time.Second, "SELECT n FROM "+row, want); err != nil {
			return fmt.Errorf("written on %s: %w", from.name, err)
		}
	}
	return nil
}

// samePosition waits until both have applied the same last transaction.
func samePosition(ctx context.Context, donor, joiner *node) error {
	const question = "SELECT GROUP_CONCAT(variable_value ORDER BY variable_name) FROM information_schema.global_status " +
		"WHERE variable_name IN ('wsrep_local_state_uuid', 'wsrep_last_committed')"
	at, err := donor.value(ctx, question)
	if err != nil {
		return err
	}
	return joiner.eventually(ctx, 30*time.Second, question, at)
}
