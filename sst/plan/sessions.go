package plan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// topSessions plans all but the databases.
func (d *donor) topSessions() error {
	top := Session{Root: DataDir, Module: d.base, Dir: d.p.Datadir, Rules: d.topRules()}
	if !d.has(DataDir) {
		return &Refusal{Reasons: []string{fmt.Sprintf("the joiner has no module %s", d.base)}, hint: "use the same wsrep_sst_method on all nodes"}
	}
	inTop := []Root{}
	var own []Session
	for _, r := range Roots[1:] {
		dir := d.p.Dir(r)
		total, err := d.files(r)
		if err != nil {
			return err
		}
		switch {
		case d.has(r):
			rules := append([]string{"- /*/"}, includeAll(d.p.globs(r))...)
			own = append(own, Session{Root: r, Module: d.base + r.Suffix(), Dir: dir, Rules: append(rules, "- **"), Total: total})
		case sameDir(dir, d.p.Datadir):
			inTop = append(inTop, r)
			top.Total.add(total)
		default:
			return &Refusal{
				Reasons: []string{fmt.Sprintf("%s %s: the joiner's script has no module %s for it, it takes these files in its data directory only", r.Key(), dir, d.base+r.Suffix())},
				hint:    "install wsrep_sst_rsync_tunnel of this version on the joiner, or leave this directory at its default on all nodes",
			}
		}
	}
	if d.p.Binlogs {
		top.Rules = append(top.Rules, "+ /"+BinlogArchive)
	}
	top.Rules = append(top.Rules, includeAll(d.p.globs(inTop...))...)
	top.Rules = append(top.Rules, "+ /*/", "- /*")
	d.plan.Sessions = append([]Session{top}, own...)
	return d.systemFiles()
}

// topRules are the exclusions at the top: they also keep the joiner's own such
// directories from being deleted.
func (d *donor) topRules() []string {
	rules := excludeAll(housekeeping)
	for _, c := range d.cuts {
		rules = append(rules, c.rules("")...)
	}
	for _, name := range d.names {
		switch {
		case isHidden(name):
			rules = append(rules, "+ /"+literal(name, false)+"/")
		case d.isLink(name):
			// Not in the list of this session, since it is no directory here, and
			// still not to be deleted there.
			rules = append(rules, "- /"+literal(name, false)+"/")
		}
	}
	return append(rules, "- /.*/")
}

// isLink says whether a database is a symbolic link here.
func (d *donor) isLink(name string) bool {
	return slices.ContainsFunc(d.branches, func(b branch) bool { return b.rel == name })
}

// files counts what is sent from the top of a root.
func (d *donor) files(r Root) (Total, error) {
	var sum Total
	dir := d.p.Dir(r)
	in, entries, err := list(dir)
	if err != nil {
		return sum, fmt.Errorf("list %s: %w", r.Key(), err)
	}
	defer in.Close()
	globs := d.p.globs(r)
	for _, e := range entries {
		if e.IsDir() || !matches(globs, e.Name()) && !d.isSystemFile(r, e.Name()) {
			continue
		}
		total, err := d.file(in, dir, e)
		if err != nil {
			return sum, err
		}
		if !e.Type().IsRegular() {
			d.refuse("%s is not a regular file", filepath.Join(dir, e.Name()))
		}
		sum.add(total)
	}
	return sum, nil
}

func (d *donor) isSystemFile(r Root, name string) bool {
	return r == HomeDir && slices.ContainsFunc(d.p.SystemFiles, func(file string) bool { return filepath.Base(file) == name })
}

// systemFiles makes sure that the files without which there is no InnoDB are where
// the configuration says: if they are not, it is not the server's configuration.
func (d *donor) systemFiles() error {
	home := d.p.Dir(HomeDir)
	for _, file := range d.p.systemFiles() {
		if !sameDir(filepath.Dir(file), home) {
			d.refuse("system table space %s lies outside innodb_data_home_dir %s", file, home)
			continue
		}
		if err := present(file, "system table space", HomeDir); err != nil {
			return err
		}
	}
	return present(filepath.Join(d.p.Dir(LogDir), "ib_logfile0"), "redo log", LogDir)
}

func present(file, what string, r Root) error {
	_, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Refusal{Reasons: []string{fmt.Sprintf("%s %s does not exist", what, file)},
			hint: fmt.Sprintf("the server has it elsewhere: set %s where the SST finds it, in [mysqld] or [mariadb]", r.Key())}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// databases plans one session for each directory.
func (d *donor) databases() error {
	var sessions []Session
	for _, name := range d.names {
		s := Session{Root: DataDir, Module: d.base, Dir: filepath.Join(d.p.Datadir, name), Path: "./" + name + "/", Databases: []string{name}, Recursive: true}
		for _, c := range d.cuts {
			s.Rules = append(s.Rules, c.rules(name)...)
		}
		s.alone = len(s.Rules) > 0 || d.isLink(name)
		d.engine(name)
		var err error
		if s.Total, err = d.walk(resolve(s.Dir), name); err != nil {
			return err
		}
		sessions = append(sessions, s)
	}
	largestFirst(sessions)
	d.plan.Sessions = append(d.plan.Sessions, sessions...)
	for _, s := range d.plan.Sessions {
		for _, rule := range s.Rules {
			if len(rule) > maxRule {
				return fmt.Errorf("the path in %.80q... is too long for a filter rule", rule)
			}
		}
	}
	return nil
}

// engine warns of directories whose engine writes on while the tables are locked.
func (d *donor) engine(name string) {
	if n := strings.TrimLeft(name, "#."); n != name && (n == "rocksdb" || n == "tokudb") {
		d.plan.Warnings = append(d.plan.Warnings, fmt.Sprintf(
			"%s belongs to a storage engine that goes on writing while the tables are locked: its copy may not be usable", filepath.Join(d.p.Datadir, name)))
	}
}
