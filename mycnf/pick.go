package mycnf

import (
	"slices"
	"strings"
)

// ServerGroups lists the groups mariadbd itself reads, which
// my_print_defaults calls --mysqld [103]. version is the server's: "10.11" and
// "10.11.19-MariaDB-log" both add [mysqld-10.11] and its kin; with "" or any
// other text only the names without version are listed.
func ServerGroups(version string) []string {
	groups := []string{"mysqld", "server", "mariadb", "mariadbd", "client-server", "galera"}
	if v := Series(version); v != "" {
		groups = append(groups, "mysqld-"+v, "mariadb-"+v, "mariadbd-"+v)
	}
	return groups
}

// Series is the X.Y at the start of a server version, or "" if it does not start so.
func Series(version string) string {
	major, rest, ok := strings.Cut(version, ".")
	minor := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	if !ok || minor == "" || major == "" || strings.Trim(major, "0123456789") != "" {
		return ""
	}
	return major + "." + minor
}

// Options gives what my_print_defaults prints for these groups: every
// instance, verbatim, in file order whatever the order of groups. "--mysqld"
// and "--mariadbd" stand for ServerGroups. With a suffix S in force, g also
// means gS [97].
func (f *Files) Options(groups ...string) []Option {
	return f.named(f.names(groups))
}

// names puts the server's groups in the place of "--mysqld".
func (f *Files) names(groups []string) []string {
	var names []string
	for _, g := range groups {
		if g == "--mysqld" || g == "--mariadbd" {
			names = append(names, ServerGroups(f.version)...)
		} else {
			names = append(names, g)
		}
	}
	return names
}

// named gives the options of the groups of these names.
func (f *Files) named(names []string) []Option {
	asked := f.asked(names)
	var found []Option
	for _, e := range f.options {
		if asked[e.group] {
			found = append(found, e.Option)
		}
	}
	return found
}

// asked is the set of groups that match, names folded.
func (f *Files) asked(names []string) map[string]bool {
	set := make(map[string]bool, 2*len(names))
	for _, g := range names {
		set[foldGroup(g)] = true
		set[foldGroup(g+f.suffix)] = true
	}
	return set
}

// NeedVersion tells whether there is an option in a group that one version of the
// server reads, as [mariadb-10.11]: without such a group "--mysqld" means the same
// for every version.
func (f *Files) NeedVersion() bool {
	return slices.ContainsFunc(f.options, func(e entry) bool {
		name, version, _ := strings.Cut(e.group, "-")
		return (name == "mysqld" || name == "mariadb" || name == "mariadbd") && Series(version) != ""
	})
}

// ForServer gives the same files as a server of that version reads them; the version
// is one as in LoadOptions.
func (f *Files) ForServer(version string) *Files {
	g := *f
	g.version = version
	return &g
}

// foldGroup lowers a group name in latin1, whatever the file is written in.
func foldGroup(g string) string {
	b := []byte(g)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' || 0xC0 <= c && c <= 0xDE && c != 0xD7 {
			b[i] = c + 0x20
		}
	}
	return string(b)
}

// Get picks the value of key as parse_cnf of the stock scripts does (§7), and
// stands for config_from_cnf of the original tunnel script too, which knew
// neither "_" for "-" nor "loose-" and was fooled by blanks and look-alikes.
//
//   - The groups are asked in turn, and the first that has a value wins, so
//     with "--mysqld", "sst" the server's groups beat [sst] [131].
//   - Within a group the last instance counts. If that is empty or has no "=",
//     the group has no value and the next one is asked [133, 136].
//   - key is written with "-"; in the file "_" and a "loose-" before it are
//     the same. Case matters [134, 135].
//   - Outer blanks of the value are trimmed. A value of blanks only is found,
//     and empty [138].
//   - With a suffix S, "mysqld" means [mysqldS] first, then both [140, 141].
func (f *Files) Get(groups []string, key string) (Option, bool) {
	for _, g := range f.turns(groups) {
		if o, ok := f.last(g, key); ok && o.Value != "" {
			o.Value = strings.Trim(o.Value, " \t\n\v\f\r")
			return o, true
		}
	}
	return Option{}, false
}

// Has tells as in_config does whether key is there in any of the groups, with
// a value or without [136].
func (f *Files) Has(groups []string, key string) bool {
	return slices.ContainsFunc(f.turns(groups), func(g string) bool {
		_, ok := f.last(g, key)
		return ok
	})
}

// Keys gives the last instance of every key of a group, each once under the
// Name that Get knows it by, in file order: what a check for misspelt keys
// goes through.
func (f *Files) Keys(group string) []Option {
	seen := make(map[string]bool)
	var keys []Option
	for _, o := range slices.Backward(f.Options(group)) {
		if !seen[o.Name()] {
			seen[o.Name()] = true
			keys = append(keys, o)
		}
	}
	slices.Reverse(keys)
	return keys
}

// turns are the groups to be asked one after the other.
func (f *Files) turns(groups []string) []string {
	var turns []string
	for _, g := range groups {
		if g == "mysqld" && f.suffix != "" {
			turns = append(turns, "mysqld"+f.suffix)
		}
		turns = append(turns, g)
	}
	return turns
}

func (f *Files) last(group, key string) (Option, bool) {
	asked := f.asked(f.names([]string{group}))
	for _, e := range slices.Backward(f.options) {
		if asked[e.group] && e.Name() == key {
			return e.Option, true
		}
	}
	return Option{}, false
}

// Name is the key as Get compares it: "_" is "-", and "loose-" is dropped.
func (o Option) Name() string {
	name := strings.ReplaceAll(o.Key, "_", "-")
	return strings.TrimPrefix(name, "loose-")
}
