package sst

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/plan"
)

// Binlog is where a server keeps its binlogs. The zero value means that it has none.
type Binlog struct {
	Name  string // as configured, without extension: "mysqld-bin", "/var/log/mysql/bin"
	Path  string // the same, absolute
	Index string // absolute
}

// On says whether the server writes binlogs.
func (b Binlog) On() bool { return b.Path != "" }

// Dir is where the files lie.
func (b Binlog) Dir() string { return filepath.Dir(b.Path) }

// line is how the index names a file: with the directory as it is configured.
// That is what mariadbd writes itself: "./mysqld-bin.000001", "logs/bin.000001",
// "/var/log/mysql/bin.000001".
func (b Binlog) line(name string) string {
	dir := filepath.Dir(b.Name)
	return strings.TrimSuffix(dir, "/") + "/" + name
}

// Bounds of what is read of an index.
const (
	maxIndexLine  = 4096
	maxIndexLines = 1_000_000
)

// readIndex reads the names in an index, oldest first, absolute. Relative ones
// start at the data directory. No index is fs.ErrNotExist.
func readIndex(index, datadir string) ([]string, error) {
	f, err := os.Open(index)
	if err != nil {
		return nil, fmt.Errorf("binlog index: %w", err)
	}
	defer f.Close()
	var names []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxIndexLine)
	for lines.Scan() {
		name := strings.TrimRight(lines.Text(), "\r\n")
		if name == "" {
			continue
		}
		if len(names) == maxIndexLines {
			return nil, fmt.Errorf("binlog index %s has more than %d lines", index, maxIndexLines)
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(datadir, name)
		}
		names = append(names, name)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("binlog index %s: %w", index, err)
	}
	return names, nil
}

// isBinlogName says whether name can be BASE.NNNNNN. The server takes a dot and what
// follows off a configured base, so there is none in it; that also keeps the pages
// of Galera's cache apart.
func isBinlogName(name string) (base string, ok bool) {
	base, number, _ := strings.Cut(name, ".")
	if base == "" || len(number) < 6 || len(number) > 10 || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	if strings.ContainsFunc(base, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }) {
		return "", false
	}
	return base, (plan.Places{}).KindOf(name) == plan.Other // aria_log.00000001 is none
}
