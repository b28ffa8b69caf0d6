package sst

import (
	"strings"

	"wsrep_sst_rsync_tunnel/mycnf"
)

// MysqldArgs is mariadbd's own command line, as it follows --mysqld-args. It is a
// hint, used where a direct argument is missing: backquotes in it went through a
// shell, and passwords may be in it.
type MysqldArgs struct {
	values     map[string]mysqldArg
	NoDefaults bool // the server reads no option files
}

type mysqldArg struct {
	value string
	given bool // there was a "="
}

// parseMysqldArgs understands long options as --name=value; "_" is "-", "loose-"
// is dropped, the last one wins, -h DIR is the data directory, "--" ends options.
func parseMysqldArgs(words []string) MysqldArgs {
	m := MysqldArgs{values: map[string]mysqldArg{}}
	for i, word := range words {
		if word == "--" {
			break
		}
		if word == "-h" && i+1 < len(words) {
			m.values["datadir"] = mysqldArg{words[i+1], true}
			continue
		}
		if dir, ok := strings.CutPrefix(word, "-h"); ok && dir != "" {
			m.values["datadir"] = mysqldArg{dir, true}
			continue
		}
		option, ok := strings.CutPrefix(word, "--")
		if !ok {
			continue
		}
		if option == "no-defaults" {
			m.NoDefaults = true
			continue
		}
		name, value, given := strings.Cut(option, "=")
		name = strings.TrimPrefix(strings.ReplaceAll(name, "_", "-"), "loose-")
		m.values[name] = mysqldArg{strings.Trim(value, " \t\n"), given}
	}
	return m
}

// Value is the value of an option, its name written with "-"; "" if it was not
// given, or without a value.
func (m MysqldArgs) Value(name string) string { return m.values[name].value }

// Has says whether the option was given, with a value or without.
func (m MysqldArgs) Has(name string) bool {
	_, ok := m.values[name]
	return ok
}

// decideFiles takes over what decides which option files there are, where a was not
// given it directly, as mariadbd does for an SST.
func (m MysqldArgs) decideFiles(a *mycnf.Args) {
	for _, d := range []struct {
		name  string
		value *string
		has   *bool
	}{
		{"defaults-file", &a.File, &a.HasFile},
		{"defaults-extra-file", &a.ExtraFile, &a.HasExtra},
		{"defaults-group-suffix", &a.Suffix, &a.HasSuffix},
	} {
		if !*d.has && m.Has(d.name) {
			*d.value, *d.has = m.Value(d.name), true
		}
	}
}
