package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// schema makes a table of every kind that an SST has to carry: every storage form of InnoDB, the engines that are
// frozen by the lock alone, and names that are encoded in file names (or that careless code would split). There is no
// generated column: CHECKSUM TABLE over one differs from call to call on one and the same server.
var schema = []string{
	"CREATE DATABASE plain CHARACTER SET utf8mb4",
	"CREATE TABLE plain.blobs (id INT PRIMARY KEY AUTO_INCREMENT, title VARCHAR(200), body LONGBLOB, KEY (title))",
	"INSERT INTO plain.blobs (title, body) SELECT MD5(seq), REPEAT(RANDOM_BYTES(1000), 1 + seq MOD 60) FROM seq_1_to_400",
	"CREATE TABLE plain.big (id INT PRIMARY KEY, filler VARBINARY(1000)) ROW_FORMAT=DYNAMIC",
	"INSERT INTO plain.big SELECT seq, RANDOM_BYTES(900) FROM seq_1_to_15000",
	"CREATE TABLE plain.redundant (id INT PRIMARY KEY, v VARCHAR(500)) ROW_FORMAT=REDUNDANT",
	"INSERT INTO plain.redundant SELECT seq, REPEAT(MD5(seq), 10) FROM seq_1_to_1000",
	"CREATE TABLE plain.compressed (id INT PRIMARY KEY, v VARCHAR(900)) ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8",
	"INSERT INTO plain.compressed SELECT seq, REPEAT(MD5(seq), 20) FROM seq_1_to_3000",
	"CREATE TABLE plain.paged (id INT PRIMARY KEY, v VARCHAR(900)) PAGE_COMPRESSED=1",
	"INSERT INTO plain.paged SELECT seq, REPEAT(CHAR(65 + seq MOD 26), 900) FROM seq_1_to_20000",
	"CREATE TABLE plain.parts (id INT NOT NULL, region INT NOT NULL, v VARBINARY(300), PRIMARY KEY (id, region)) " +
		"PARTITION BY RANGE (id) SUBPARTITION BY HASH (region) SUBPARTITIONS 2 " +
		"(PARTITION p0 VALUES LESS THAN (500), PARTITION `p 1` VALUES LESS THAN (1500), PARTITION pmax VALUES LESS THAN MAXVALUE)",
	"INSERT INTO plain.parts SELECT seq, seq MOD 7, RANDOM_BYTES(200) FROM seq_1_to_2500",
	"CREATE TABLE plain.search (id INT PRIMARY KEY, words TEXT, FULLTEXT KEY (words))",
	"INSERT INTO plain.search SELECT seq, CONCAT('word', seq MOD 17, ' other', seq MOD 23) FROM seq_1_to_500",
	"CREATE TABLE plain.aria_safe (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=Aria TRANSACTIONAL=1",
	"INSERT INTO plain.aria_safe SELECT seq, REPEAT('a', seq MOD 300) FROM seq_1_to_3000",
	"CREATE TABLE plain.aria_plain (id INT PRIMARY KEY, v VARCHAR(300), KEY (v)) ENGINE=Aria TRANSACTIONAL=0",
	"INSERT INTO plain.aria_plain SELECT seq, REPEAT('b', seq MOD 300) FROM seq_1_to_3000",
	"CREATE TABLE plain.aria_parts (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=Aria PARTITION BY HASH (id) PARTITIONS 3",
	"INSERT INTO plain.aria_parts SELECT seq, REPEAT('c', seq MOD 300) FROM seq_1_to_600",
	"CREATE TABLE plain.myisam (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=MyISAM",
	"INSERT INTO plain.myisam SELECT seq, REPEAT('d', seq MOD 300) FROM seq_1_to_3000",
	"CREATE TABLE plain.csv (id INT NOT NULL, v VARCHAR(300) NOT NULL) ENGINE=CSV",
	"INSERT INTO plain.csv SELECT seq, CONCAT('line ', seq) FROM seq_1_to_100",
	"CREATE TABLE plain.empty (id INT PRIMARY KEY)",
	"CREATE SEQUENCE plain.counter START WITH 7 NOCACHE INCREMENT BY 0",
	"CREATE VIEW plain.seen AS SELECT id, title FROM plain.blobs",
	"CREATE PROCEDURE plain.answer() SELECT 42",
	"CREATE TRIGGER plain.trimmed BEFORE INSERT ON plain.redundant FOR EACH ROW SET NEW.v = TRIM(NEW.v)",
	"CREATE TABLE plain.ledger (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, v VARBINARY(600), KEY (k))",

	"CREATE DATABASE `odd db-1 żółw`",
	"CREATE TABLE `odd db-1 żółw`.`sp ace` (id INT PRIMARY KEY, v VARCHAR(100))",
	"CREATE TABLE `odd db-1 żółw`.`a-b` (id INT PRIMARY KEY, v VARCHAR(100))",
	"CREATE TABLE `odd db-1 żółw`.`tbl#1` (id INT PRIMARY KEY, v VARCHAR(100))",
	"CREATE TABLE `odd db-1 żółw`.`#sql-like` (id INT PRIMARY KEY, v VARCHAR(100))",
	"CREATE TABLE `odd db-1 żółw`.`zażółć gęślą` (id INT PRIMARY KEY, v VARCHAR(100))",
	"CREATE TABLE `odd db-1 żółw`.`日本語` (id INT PRIMARY KEY, v VARCHAR(100)) PARTITION BY HASH (id) PARTITIONS 2",
	"CREATE TABLE `odd db-1 żółw`.`it's 100% [a]*?` (id INT PRIMARY KEY, v VARCHAR(100)) ENGINE=Aria",
	"CREATE TABLE `odd db-1 żółw`.`CaSe` (id INT PRIMARY KEY, v VARCHAR(100))",
	"INSERT INTO `odd db-1 żółw`.`sp ace` SELECT seq, MD5(seq) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`a-b` SELECT seq, MD5(seq + 1) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`tbl#1` SELECT seq, MD5(seq + 2) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`#sql-like` SELECT seq, MD5(seq + 3) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`zażółć gęślą` SELECT seq, MD5(seq + 4) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`日本語` SELECT seq, MD5(seq + 5) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`it's 100% [a]*?` SELECT seq, MD5(seq + 6) FROM seq_1_to_200",
	"INSERT INTO `odd db-1 żółw`.`CaSe` SELECT seq, MD5(seq + 7) FROM seq_1_to_200",

	"CREATE DATABASE `a.b`",
	"CREATE TABLE `a.b`.`lost+found` (id INT PRIMARY KEY, v VARCHAR(100))",
	"INSERT INTO `a.b`.`lost+found` SELECT seq, MD5(seq) FROM seq_1_to_200",
	"CREATE DATABASE nothing_in_it",
}

// laterChanges are made on the donor while the joiner is away, so that its old files are old in every way: changed,
// grown, dropped, new.
var laterChanges = []string{
	"UPDATE plain.big SET filler = RANDOM_BYTES(900) WHERE id MOD 10 = 0",
	"INSERT INTO plain.blobs (title, body) SELECT MD5(seq), REPEAT(RANDOM_BYTES(1000), 1 + seq MOD 60) FROM seq_1_to_100",
	"DELETE FROM plain.compressed WHERE id > 1000",
	"INSERT INTO plain.aria_safe SELECT seq, 'later' FROM seq_10001_to_11000",
	"INSERT INTO plain.aria_plain SELECT seq, 'later' FROM seq_10001_to_11000",
	"INSERT INTO plain.myisam SELECT seq, 'later' FROM seq_10001_to_11000",
	"ALTER TABLE plain.parts DROP PARTITION p0",
	"TRUNCATE TABLE plain.redundant",
	"DROP TABLE `odd db-1 żółw`.`sp ace`",
	"RENAME TABLE `odd db-1 żółw`.`a-b` TO `a.b`.`c-d`",
	"CREATE TABLE plain.newer (id INT PRIMARY KEY, v VARCHAR(100))",
	"INSERT INTO plain.newer SELECT seq, MD5(seq) FROM seq_1_to_1000",
	"CREATE DATABASE newer",
	"CREATE TABLE newer.t (id INT PRIMARY KEY)",
	"INSERT INTO newer.t VALUES (1), (2)",
}

func (n *node) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := n.db.ExecContext(t.Context(), n.server.dialect(s)); err != nil {
			t.Fatalf("%s: %s: %v", n.name, s, err)
		}
	}
}

// value is the single value of a query, as text.
func (n *node) value(t *testing.T, query string) string {
	t.Helper()
	var v sql.NullString
	if err := n.db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %s: %v", n.name, query, err)
	}
	return v.String
}

// rows is a whole result, each row as text with its columns joined by blanks.
func (n *node) rows(ctx context.Context, query string) ([]string, error) {
	res, err := n.db.QueryContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", n.name, query, err)
	}
	defer res.Close()
	columns, err := res.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for res.Next() {
		cells := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := res.Scan(into...); err != nil {
			return nil, err
		}
		var row []string
		for _, c := range cells {
			row = append(row, c.String)
		}
		out = append(out, strings.Join(row, " "))
	}
	return out, res.Err()
}

// tables lists what CHECKSUM TABLE is asked for: all tables that belong to the cluster's state. Left out are those of
// the system that each server writes for itself.
func (n *node) tables(t *testing.T) []string {
	t.Helper()
	list, err := n.rows(t.Context(), "SELECT CONCAT('`', TABLE_SCHEMA, '`.`', TABLE_NAME, '`') FROM information_schema.TABLES "+
		"WHERE TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE') AND TABLE_SCHEMA NOT IN ('information_schema', 'performance_schema', 'sys') "+
		"AND NOT (TABLE_SCHEMA = 'mysql' AND (TABLE_NAME LIKE 'wsrep%' OR TABLE_NAME LIKE '%\\_log' OR TABLE_NAME LIKE '%stat%' "+
		"OR TABLE_NAME IN ('gtid_slave_pos', 'transaction_registry')))")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// sameTables compares the checksum of every table on two nodes, and has the second one check its tables.
func sameTables(t *testing.T, donor, joiner *node) {
	t.Helper()
	want, got := donor.tables(t), joiner.tables(t)
	if !slices.Equal(want, got) {
		t.Fatalf("%s and %s have different tables:\n%s\n\n%s", donor.name, joiner.name, strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	if len(want) < 20 {
		t.Fatalf("only %d tables to compare: the test compares the wrong thing", len(want))
	}
	for _, table := range want {
		w, g := donor.checksum(t, table), joiner.checksum(t, table)
		if w != g || g == "" {
			t.Errorf("CHECKSUM TABLE %s: %s has %q, %s has %q", table, donor.name, w, joiner.name, g)
		}
		if table == "`plain`.`counter`" {
			continue // a sequence cannot be checked
		}
		lines, err := joiner.rows(t.Context(), "CHECK TABLE "+table)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if len(lines) == 0 || !strings.HasSuffix(lines[len(lines)-1], " status OK") {
			t.Errorf("%s: CHECK TABLE %s: %s", joiner.name, table, strings.Join(lines, "; "))
		}
	}
}

// checksum is empty for a table that cannot be read.
func (n *node) checksum(t *testing.T, table string) string {
	t.Helper()
	lines, err := n.rows(t.Context(), "CHECKSUM TABLE "+table+" EXTENDED")
	if err != nil {
		t.Fatal(err)
	}
	last := lines[len(lines)-1]
	return last[strings.LastIndexByte(last, ' ')+1:]
}
