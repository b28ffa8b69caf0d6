package sst

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// paths finds the places: command line, environment, --mysqld-args, server groups,
// in this order.
func (l *settingsLoader) paths() error {
	a, p := l.args, &l.s.Places
	p.Datadir = a.Datadir
	for _, root := range []struct {
		key  string
		arg  string
		envs []string // WSREP_LOG_DIR is the original tunnel script's
		to   *string
	}{
		{"innodb-data-home-dir", a.InnoDBHome, []string{"INNODB_DATA_HOME_DIR"}, &p.InnoDBHome},
		{"innodb-log-group-home-dir", a.InnoDBLogDir, []string{"INNODB_LOG_GROUP_HOME", "WSREP_LOG_DIR"}, &p.RedoDir},
		{"innodb-undo-directory", a.InnoDBUndoDir, []string{"INNODB_UNDO_DIR"}, &p.UndoDir},
		{"aria-log-dir-path", a.AriaLogDir, nil, &p.AriaDir},
	} {
		*root.to = a.Datadir
		dir, err := l.place(root.key, root.arg, root.envs)
		if err != nil {
			return err
		}
		if dir != "" {
			*root.to = l.abs(dir)
		}
		l.record(root.key, *root.to, cmp.Or(l.found[root.key].From, byDefault))
	}
	return l.systemFiles()
}

// place is the value of a path option; "" if it is set nowhere.
func (l *settingsLoader) place(key, arg string, envs []string) (string, error) {
	if arg != "" {
		l.record(key, arg, "argument --"+key)
		return arg, nil
	}
	for _, name := range envs {
		if v, ok := l.lookupEnv(name); ok && strings.TrimSpace(v) != "" {
			l.record(key, strings.TrimSpace(v), "environment "+name)
			return strings.TrimSpace(v), nil
		}
	}
	if v := l.args.Mysqld.Value(key); v != "" {
		l.record(key, v, byServer(key))
		return v, nil
	}
	o, _ := l.get(key)
	return o.Value, l.versioned(key, o.Value)
}

func (l *settingsLoader) lookupEnv(name string) (string, bool) {
	if l.env == nil {
		return os.LookupEnv(name)
	}
	return l.env(name)
}

// versioned refuses to guess: without the server's version, a group of some version
// may say otherwise than what was found.
func (l *settingsLoader) versioned(key, found string) error {
	if l.version != "" || l.args.Mysqld.NoDefaults || !l.files.NeedVersion() {
		return nil
	}
	for _, o := range l.files.Options(versionedGroups()...) {
		if o.Name() == key && strings.TrimSpace(o.Value) != found {
			return advise(fmt.Errorf("%s: [%s] sets %s for one version of the server, and which one runs is not known here", where(o), o.Group, o.Key),
				"set server-version=X.Y in [sst], or move the line to [mariadb]")
		}
	}
	return nil
}

// versionedGroups are the server groups of all versions that Galera came with or
// may come with.
func versionedGroups() []string {
	var groups []string
	for major := 5; major <= 20; major++ {
		for minor := range 20 {
			for _, name := range []string{"mysqld", "mariadb", "mariadbd"} {
				groups = append(groups, fmt.Sprintf("%s-%d.%d", name, major, minor))
			}
		}
	}
	return groups
}

// abs makes a path of the server absolute: it starts at the data directory, which
// is mariadbd's working directory.
func (l *settingsLoader) abs(file string) string {
	if filepath.IsAbs(file) {
		return filepath.Clean(file)
	}
	return filepath.Join(l.args.Datadir, file)
}

// systemFiles reads innodb_data_file_path: NAME:SIZE[:autoextend[:max:SIZE]];...
func (l *settingsLoader) systemFiles() error {
	const key = "innodb-data-file-path"
	value, err := l.place(key, "", nil)
	if err != nil {
		return err
	}
	for _, name := range dataFileNames(value) {
		l.s.Places.SystemFiles = append(l.s.Places.SystemFiles, l.inHome(name))
	}
	return nil
}

func (l *settingsLoader) inHome(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(l.s.Places.InnoDBHome, name)
}

// dataFileNames are the names in a data file path.
func dataFileNames(value string) []string {
	var names []string
	for file := range strings.SplitSeq(value, ";") {
		if name, _, _ := strings.Cut(strings.TrimSpace(file), ":"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// binlog finds out about binlogs. The server says by --binlog that they are on; of
// an old one that says nothing, the option files are asked.
func (l *settingsLoader) binlog() {
	a := l.args
	name, index := a.Binlog, a.BinlogIndex
	basename := a.LogBasename
	if basename == "" {
		basename = l.server("log-basename").Value
	}
	if name == "" && !l.serverHas("skip-log-bin") {
		if name = l.server("log-bin").Value; name == "" && l.serverHas("log-bin") {
			name = "mysql-bin"
			if basename != "" {
				name = basename + "-bin"
			}
		}
	}
	if name == "" || name == "0" {
		return
	}
	if index == "" {
		index = l.server("log-bin-index").Value
	}
	if index == "" && basename != "" {
		index = basename + "-bin"
	}
	if index == "" {
		index = name
	}
	l.s.Binlog = Binlog{
		Name:  stripExt(name),
		Path:  l.abs(stripExt(name)),
		Index: l.abs(stripExt(index)) + ".index",
	}
	l.recordName("log-bin", l.s.Binlog.Path, "binlog", a.Binlog)
	l.recordName("log-bin-index", l.s.Binlog.Index, "binlog-index", a.BinlogIndex)
	l.s.Places.Binlogs = l.s.MaxBinlogs != 0
	l.s.Places.BinlogDirs = []string{l.s.Binlog.Dir(), filepath.Dir(l.s.Binlog.Index)}
}

// recordName keeps what a name has become. given is the argument's value.
func (l *settingsLoader) recordName(key, file, argument, given string) {
	from := cmp.Or(l.found[key].From, byDefault)
	if given != "" {
		from = "argument --" + argument
	}
	l.record(key, file, from)
}

// stripExt takes off what follows the first dot of a file name, as mariadbd does
// with the names of binlogs and of their index.
func stripExt(name string) string {
	dir, base := filepath.Split(name)
	base, _, _ = strings.Cut(base, ".")
	return dir + base
}

// server is an option of mariadbd: its command line, then its groups.
func (l *settingsLoader) server(key string) mycnf.Option {
	if v := l.args.Mysqld.Value(key); v != "" {
		l.record(key, v, byServer(key))
		return mycnf.Option{Key: key, Value: v, HasValue: true}
	}
	o, _ := l.get(key)
	return o
}

// firstDir is the first of several directories separated by colons, "" if it is no
// absolute path.
func firstDir(list string) string {
	dir, _, _ := strings.Cut(list, ":")
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Clean(dir)
}

func byServer(key string) string { return "mariadbd's argument --" + key }

// serverHas says whether an option is given to mariadbd, with a value or without.
func (l *settingsLoader) serverHas(key string) bool {
	groups := mustKnow(key).groups.names(l.args.Mysqld.NoDefaults)
	return l.args.Mysqld.Has(key) || l.files.Has(groups, key)
}
