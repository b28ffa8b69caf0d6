package sst

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/plan"
)

// Traits are what decides, beside space and page size, whether one server can live on
// another's files. Option files and names tell them; nothing is asked of a server. A
// later version may say more of them.
type traits struct {
	// Server is the series, as 10.11; "" if it is not known.
	Server string `json:"server,omitempty"`
	// LowerCase is lower_case_table_names.
	LowerCase int `json:"lower_case_table_names,omitempty"`
	// UpperCase is a table or database of the donor that has a capital in its name.
	UpperCase string `json:"upper_case_name,omitempty"`
	// Undo is innodb_undo_tablespaces at the joiner, 0 if it is not set, and the number
	// of files at the donor.
	Undo int `json:"undo_tablespaces,omitempty"`
	// Encrypts says that the donor's option files turn encryption on and load the plugin
	// with the keys, HasKeys that the joiner's load one.
	Encrypts bool `json:"encrypts,omitempty"`
	HasKeys  bool `json:"has_keys,omitempty"`
}

// traits are those that option files tell.
func (l *settingsLoader) traits() {
	t := &l.s.traits
	t.LowerCase, _ = strconv.Atoi(l.server("lower-case-table-names").Value) // 0, as mariadbd's
	t.Undo, _ = strconv.Atoi(l.server("innodb-undo-tablespaces").Value)
	t.HasKeys = l.loadsKeys()
	log, tables := l.server("innodb-encrypt-log").Value, l.server("innodb-encrypt-tables").Value
	t.Encrypts = t.HasKeys && (isOn(log) || encrypts(tables))
	t.Server = l.version
}

func encrypts(value string) bool {
	return isOn(value) || strings.EqualFold(value, "force") || value == "2"
}

// keyPlugins are the plugins that MariaDB comes with for keys of encryption.
var keyPlugins = []string{"file_key_management", "hashicorp_key_management", "aws_key_management"}

// loadsKeys says whether a plugin with keys is loaded by an option. (It may also be
// named in mysql.plugin, but that table comes from the donor.)
func (l *settingsLoader) loadsKeys() bool {
	loads := func(value string) bool {
		value = strings.ReplaceAll(strings.ToLower(value), "-", "_")
		for _, p := range keyPlugins {
			if strings.Contains(value, p) {
				return true
			}
		}
		return false
	}
	found := loads(l.server("plugin-load").Value)
	found = loads(l.server("plugin-load-add").Value) || found
	for _, p := range keyPlugins {
		found = l.args.Mysqld.Has(strings.ReplaceAll(p, "_", "-")) || found
	}
	if l.args.Mysqld.NoDefaults {
		return found
	}
	for _, o := range l.files.Options(serverGroup) { // all of them: plugin-load-add adds
		found = loads(o.Name()) || strings.HasPrefix(o.Name(), "plugin-load") && loads(o.Value) || found
	}
	return found
}

// serverSeries finds out which server started us, if no option file says it.
func (r *run) serverSeries() {
	t := &r.settings.traits
	t.Server = cmp.Or(t.Server, r.args.serverVersion())
}

// ourTraits adds what takes a look at the data.
func (r *run) ourTraits(ctx context.Context) traits {
	t := r.settings.traits
	if r.args.Role == Joiner {
		return t
	}
	undo, _ := filepath.Glob(filepath.Join(r.settings.Places.Dir(plan.UndoDir), "undo[0-9][0-9][0-9]"))
	t.Undo = len(undo)
	t.UpperCase = upperCaseName(ctx, r.settings.Places.Datadir)
	return t
}

// upperCaseName finds a database or a table with a capital in its name, "" if there is
// none. What cannot be read is the plan's to say.
func upperCaseName(ctx context.Context, datadir string) string {
	found := errors.New("found")
	name := ""
	_ = fs.WalkDir(os.DirFS(datadir), ".", func(path string, e fs.DirEntry, err error) error {
		depth := strings.Count(path, "/")
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil, path == ".", strings.HasPrefix(path, "."), strings.HasPrefix(path, "#"):
			return nil
		case depth == 0 && !e.IsDir(), depth == 1 && !strings.HasSuffix(path, ".frm"):
			return nil
		case depth > 1:
			return fs.SkipDir
		case strings.ContainsFunc(encodedOff(strings.TrimSuffix(path, ".frm")), unicode.IsUpper) && !partOfTable(path):
			name = path
			return found
		}
		return nil
	})
	return name
}

// partOfTable: partitions are written with capitals by mariadbd itself.
func partOfTable(path string) bool {
	return strings.Contains(path, "#P#") || strings.Contains(path, "#sql")
}

// encodedOff takes the characters out that a file name encodes, as @002D: their capitals
// are hexadecimal digits.
func encodedOff(name string) string {
	for i := strings.IndexByte(name, '@'); i >= 0; i = strings.IndexByte(name, '@') {
		name = name[:i] + name[min(i+5, len(name)):]
	}
	return name
}

// A misfit is why the joiner's server cannot live on the donor's files.
func misfit(joiner, donor traits) error {
	switch {
	case donor.Encrypts && !joiner.HasKeys:
		return advise(errors.New("the donor's tables or redo log are encrypted, and this node's option files load no plugin with the keys"),
			"load the same plugin with the same keys on all nodes, such as plugin_load_add=file_key_management")
	case joiner.LowerCase != 0 && donor.LowerCase == 0 && donor.UpperCase != "":
		return advise(fmt.Errorf("the donor has lower_case_table_names=0 and %s, this node has lower_case_table_names=%d: it could not open that",
			plain(donor.UpperCase), joiner.LowerCase), "lower_case_table_names must be the same on all nodes")
	case olderThan(joiner.Server, redoFormat) && !olderThan(donor.Server, redoFormat):
		return advise(fmt.Errorf("the donor's server is MariaDB %s, this node's is %s, which cannot read its redo log", plain(donor.Server), plain(joiner.Server)),
			"upgrade this node first; a cluster is upgraded with no SST from a newer to an older node")
	}
	return nil
}

// redoFormat is the series that brought the redo log that the ones before cannot read.
const redoFormat = "10.8"

// doubts are what may still go well.
func doubts(joiner, donor traits) []string {
	var out []string
	if joiner.LowerCase != donor.LowerCase {
		out = append(out, fmt.Sprintf("lower_case_table_names is %d on the donor and %d on this node: it must be the same on all nodes", donor.LowerCase, joiner.LowerCase))
	}
	if olderThan(joiner.Server, donor.Server) {
		out = append(out, fmt.Sprintf("the donor's server is MariaDB %s, this node's is %s: an older server may not be able to use the data of a newer one",
			plain(donor.Server), plain(joiner.Server)))
	}
	if joiner.Undo > donor.Undo && olderThan(joiner.Server, "10.11") {
		out = append(out, fmt.Sprintf("innodb_undo_tablespaces=%d on this node, and the donor has %d: MariaDB %s may not start with that", joiner.Undo, donor.Undo, plain(joiner.Server)))
	}
	return out
}

// olderThan compares two series; what is not known is not older.
func olderThan(a, b string) bool {
	x, y := mycnf.Series(a), mycnf.Series(b)
	if x == "" || y == "" {
		return false
	}
	var v, w [2]int
	fmt.Sscanf(x, "%d.%d", &v[0], &v[1])
	fmt.Sscanf(y, "%d.%d", &w[0], &w[1])
	return v[0] < w[0] || v[0] == w[0] && v[1] < w[1]
}

// clean makes what the other side says fit for a log, and checks its numbers.
func (t *traits) clean() error {
	if t.Undo < 0 || t.LowerCase < 0 {
		return errors.New("hello of the other side: a number is negative")
	}
	t.Server, t.UpperCase = mycnf.Series(shortened(t.Server)), shortened(t.UpperCase)
	return nil
}

// shortened is a name of bounded length for a hello.
func shortened(name string) string {
	const most = 200
	name = plain(name)
	return name[:min(most, len(name))]
}

// defaultGcachePage is the provider's gcache.page_size.
const defaultGcachePage = 128 << 20

// reserve is what the space check leaves free for the transactions of the cluster that
// come while the SST runs: they queue in the provider's cache, and when its ring is full
// in further files of gcache.page_size each. A database that is small itself is not
// refused for the sake of a large page.
func (l *settingsLoader) reserve() {
	l.s.gcachePage = defaultGcachePage
	for option := range strings.SplitSeq(l.server("wsrep-provider-options").Value, ";") {
		key, value, _ := strings.Cut(option, "=")
		switch value = strings.TrimSpace(value); strings.TrimSpace(key) {
		case "gcache.page_size":
			if n, err := parseRate(value); err == nil {
				l.s.gcachePage = n
			}
		case "gcache.dir":
			if filepath.IsAbs(value) && !inside(value, l.args.Datadir) {
				l.s.gcachePage = 0
				return
			}
		}
	}
}

// leave is the reserve beside want bytes.
func leave(page, want int64) int64 { return min(page, want/10) }
