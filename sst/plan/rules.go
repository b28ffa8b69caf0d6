package plan

import (
	"strings"
)

// Filter rules are those of rsync (rsync-wire.md §7). A rule of both sides hides a
// name at the donor and protects it from deletion at the joiner, whoever that is.

// literal writes a path as a filter pattern that matches nothing else. A backslash
// has its power only in patterns with wildcards (§7.4): wild says that the rest of
// the pattern has some.
func literal(path string, wild bool) string {
	if !wild && !strings.ContainsAny(path, "*?[") {
		return path
	}
	var b strings.Builder
	for i := range len(path) {
		if strings.IndexByte(`\*?[`, path[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// maxRule is the longest rule that goes over the wire (§7.1).
const maxRule = 5119

// housekeeping are names at the top that belong to file systems, never to a
// server.
var housekeeping = []string{"lost+found", ".zfs", ".snapshot", ".fseventsd", ".Trashes"}

func excludeAll(names []string) []string {
	rules := make([]string, len(names))
	for i, name := range names {
		rules[i] = "- /" + literal(name, false)
	}
	return rules
}

func includeAll(globs []string) []string {
	rules := make([]string, len(globs))
	for i, g := range globs {
		rules[i] = "+ /" + g
	}
	return rules
}
