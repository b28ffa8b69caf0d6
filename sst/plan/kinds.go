package plan

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Kind is what a file at the top of a root is to an SST.
type Kind int

// The kinds. Files of other kinds than Other are regular files.
const (
	Other     Kind = iota // stays where it is, on both sides
	System                // system table space
	Undo                  // undo table spaces
	Redo                  // redo log
	Aria                  // log of the Aria engine
	Dump                  // buffer pool dump of XtraDB, as the scripts send it
	Stale                 // not sent, and not to meet new data
	BinlogTar             // archive of binlogs
)

// BinlogArchive is the name under which binlogs travel.
const BinlogArchive = "wsrep_sst_binlog.tar"

// A row of kinds.
type row struct {
	kind Kind
	root Root
	// is tells what the server itself takes for a file of this kind.
	is func(name string) bool
	// globs are the filter patterns by which it is sent; none: it is not. Like those
	// of the scripts they let look-alikes through (ibdata1.bak): these are sent as
	// they are, but get none of the care below.
	globs []string
	// swap: at the joiner the old ones are renamed aside before the new ones come,
	// under foreign names until all is complete. Any mixture of old and new files
	// can pass for a good node.
	swap bool
}

// kinds is the table of DESIGN.md's plan for files at the top of a root. A file
// belongs to the first row that is it.
var kinds = []row{
	{System, HomeDir, numbered("ibdata"), []string{"ibdata[0-9]*"}, true},
	{Undo, UndoDir, either(numbered("undo"), numbered("undo_")), []string{"undo[0-9]*", "undo_[0-9]*"}, true},
	{Redo, LogDir, numbered("ib_logfile"), []string{"ib_logfile[0-9]*"}, true},
	{Aria, AriaDir, either(named("aria_log_control"), numbered("aria_log.")), []string{"aria_log_control", "aria_log.*"}, false},
	{Dump, HomeDir, named("ib_lru_dump"), []string{"ib_lru_dump"}, false},
	{BinlogTar, DataDir, named(BinlogArchive), []string{BinlogArchive}, false},
	{Stale, DataDir, named("ib_buffer_pool", "ib_buffer_pool.incomplete", "ddl_recovery.log", "ddl_recovery-backup.log", "ddl_log.log", "tc.log"), nil, false},
	{Stale, HomeDir, numbered("ibtmp"), nil, false},
}

func named(names ...string) func(string) bool {
	return func(name string) bool { return slices.Contains(names, name) }
}

// numbered takes prefix and digits, as in ibdata1 or aria_log.00000001.
func numbered(prefix string) func(string) bool {
	return func(name string) bool {
		n, ok := strings.CutPrefix(name, prefix)
		return ok && n != "" && strings.Trim(n, "0123456789") == ""
	}
}

func either(a, b func(string) bool) func(string) bool {
	return func(name string) bool { return a(name) || b(name) }
}

// KindOf tells what a file of that name at the top of a root is, if files of that
// kind belong there.
func (p Places) KindOf(name string) Kind {
	if slices.ContainsFunc(p.SystemFiles, func(file string) bool { return filepath.Base(file) == name }) {
		return System
	}
	if slices.Contains(p.StaleFiles, name) {
		return Stale
	}
	for _, k := range kinds {
		if k.is(name) {
			return k.kind
		}
	}
	return Other
}

// In tells what a file at the top of the root dir is, Other if files of its kind do
// not belong there: an ib_logfile0 in the data directory is none of InnoDB's when
// the redo log has a directory of its own.
func (p Places) In(dir, name string) Kind {
	kind := p.KindOf(name)
	if kind == Other || kind == Stale {
		return kind
	}
	for _, k := range kinds {
		if k.kind == kind && sameDir(p.Dir(k.root), dir) {
			return kind
		}
	}
	return Other
}

// Swapped says whether a file at the top of the root dir is renamed aside before
// the joiner receives, and received under a foreign name.
func (p Places) Swapped(dir, name string) bool {
	kind := p.In(dir, name)
	return slices.ContainsFunc(kinds, func(k row) bool { return k.kind == kind && k.swap })
}

// Stale says whether a file at the top of the root dir must be set aside at the
// joiner because it does not fit the data that comes.
func (p Places) Stale(dir, name string) bool { return p.In(dir, name) == Stale }

// Sparse says of which files runs of zeros become holes at the joiner: table
// spaces, for those of compressed pages would grow to their full length otherwise.
// Redo, undo and the system table space are written out: what the server has
// allocated there must stay allocated.
func Sparse(name string) bool { return strings.HasSuffix(path.Base(name), ".ibd") }

// globs are the patterns of what is sent from the given roots, without the archive.
func (p Places) globs(roots ...Root) []string {
	var out []string
	for _, k := range kinds {
		if k.kind != BinlogTar && slices.Contains(roots, k.root) {
			out = append(out, k.globs...)
		}
	}
	if slices.Contains(roots, HomeDir) {
		out = append(out, p.systemNames(out)...)
	}
	return out
}

// systemNames are patterns for the configured system table spaces that the given
// ones do not match.
func (p Places) systemNames(globs []string) []string {
	var out []string
	for _, file := range p.SystemFiles {
		if name := filepath.Base(file); !matches(globs, name) {
			out = append(out, literal(name, false))
		}
	}
	return out
}

func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(g string) bool {
		ok, _ := path.Match(g, name)
		return ok
	})
}
