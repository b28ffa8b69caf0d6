package filter

import "testing"

// Rules as the scripts and the reference use them, and what they decide on their own: the rows of rsync-wire.md §7.5, and the
// rules of script-sessions.md.
func TestSingleRules(t *testing.T) {
	tests := []struct {
		name, rule string
		path       string // with a slash at its end: a directory
		want       verdict
	}{
		{"lost+found at the top", "- /lost+found", "lost+found/", excluded},
		{"lost+found deeper is a schema's own", "- /lost+found", "db/lost+found/", unmatched},
		{"anchored star at the top", "+ /ibdata*", "ibdata1", included},
		{"anchored star deeper", "+ /ibdata*", "db/ibdata1", unmatched},
		{"top-level directory", "+ /*/", "db1/", included},
		{"file or symlink is no directory", "+ /*/", "db1", unmatched},
		{"directory further down", "+ /*/", "db1/sub/", unmatched},
		{"remaining top-level entry", "- /*", "keep.cnf", excluded},
		{"remaining top-level directory", "- /*", "db1/", excluded},
		{"star does not cross a slash", "- /*", "db1/t1.ibd", unmatched},
		{"digit class", "+ /ib_logfile[0-9]*", "ib_logfile0", included},
		{"digit class and more digits", "+ /ib_logfile[0-9]*", "ib_logfile12", included},
		{"letter where a digit must be", "+ /ib_logfile[0-9]*", "ib_logfilex", unmatched},
		{"dot is a plain byte", "+ /aria_log.*", "aria_log.00000001", included},
		{"control file is not aria_log.*", "+ /aria_log.*", "aria_log_control", unmatched},
		{"double star alone, file", "- **", "a/b/c", excluded},
		{"double star alone, directory", "- **", "a/", excluded},
		{"inner slash needs two components", "- */ib_logfile*", "sub/ib_logfile9", excluded},
		{"inner slash at any depth", "- */ib_logfile*", "x/y/sub/ib_logfile9", excluded},
		{"one component is too few", "- */ib_logfile*", "ib_logfile9", unmatched},

		{"exact name, anchored", "+ /wsrep_sst_binlog.tar", "wsrep_sst_binlog.tar", included},
		{"exact name, longer", "+ /wsrep_sst_binlog.tar", "wsrep_sst_binlog.tar2", unmatched},
		{"snapshot directory", "- /.snapshot/", ".snapshot/", excluded},
		{"snapshot that is a file", "- /.snapshot/", ".snapshot", unmatched},
		{"absolute path of the donor's machine", "- /var/lib/mysql/ibdata*", "ibdata1", unmatched},
		{"variable the script did not expand", "- $ib_home_dir/ibdata*", "ibdata1", unmatched},
		{"variable the script did not expand, deeper", "- $ib_home_dir/ibdata*", "sub/ibdata1", unmatched},
		{"long form", "exclude */ib_logfile*", "db/ib_logfile1", excluded},

		{"name without slash at any depth", "- x.ibd", "a/b/x.ibd", excluded},
		{"name without slash is a whole component", "- x.ibd", "a/b/yx.ibd", unmatched},
		{"literal path at the end", "- b/c", "a/b/c", excluded},
		{"literal path, not on a component's edge", "- b/c", "a/xb/c", unmatched},
		{"literal path with too few components", "- b/c", "c", unmatched},
		{"double star and slash in front also match the top", "- **/x", "x", excluded},
		{"double star in front, deep", "- **/x", "a/b/x", excluded},
		{"double star inside", "- a/**/b", "a/x/y/b", excluded},
		{"double star inside needs both slashes", "- a/**/b", "a/b", unmatched},
		{"double star inside starts behind any slash", "- a/**/b", "z/a/x/b", excluded},
		{"anchored double star starts at the top only", "- /a/**/b", "z/a/x/b", unmatched},
		{"triple star, the directory itself", "- dir/***", "dir/", excluded},
		{"triple star, a file of that name", "- dir/***", "dir", unmatched},
		{"triple star, below", "- dir/***", "dir/a/b", excluded},
		{"triple star starts behind any slash", "- dir/***", "z/dir/", excluded},
		{"double star at the end, the directory itself", "- dir/**", "dir/", unmatched},
		{"question mark", "- a?c", "abc", excluded},
		{"question mark is no slash", "- /a?c", "a/c", unmatched},
		{"question mark is one byte, not one rune", "- ?", "ä", unmatched},
		{"star may be empty", "- a*", "a", excluded},
		{"trailing double star may be empty", "- /a**", "a", excluded},
		{"raw bytes", "- odd\xff \n.ibd", "db1/odd\xff \n.ibd", excluded},
		{"trailing space belongs to the pattern", "- x ", "x", unmatched},
		{"case counts", "- X", "x", unmatched},

		{"negated class", "- [!a]", "b", excluded},
		{"negated class, member", "- [!a]", "a", unmatched},
		{"caret negates too", "- [^a]", "a", unmatched},
		{"negated class is no slash", "- /x[!a]y", "x/y", unmatched},
		{"class with a slash is no slash", "- /x[/]y", "x/y", unmatched},
		{"bracket first is a member", "- []a]", "]", excluded},
		{"bracket first after negation", "- [!]a]", "]", unmatched},
		{"range from an escaped byte", `- [\a-c]`, "b", excluded},
		{"range to an escaped byte", `- [!-\]]`, "A", excluded},
		{"dash at the end is a member", "- [a-]", "-", excluded},
		{"dash first is a member", "- [-a]", "-", excluded},
		{"dash behind a range is a member", "- [a-c-e]", "d", unmatched},
		{"range by unsigned bytes", "- [\x80-\xff]", "\xc3", excluded},
		{"range upside down is empty", "- [z-a]", "m", unmatched},
		{"POSIX class", "- [[:digit:]]", "7", excluded},
		{"POSIX classes and bytes together", "- [[:upper:]_[:digit:]]", "_", excluded},
		{"POSIX class negated", "- [![:alpha:]]", "x", unmatched},
		{"POSIX class is ASCII", "- [[:alpha:]]", "\xe4", unmatched},
		{"unknown POSIX class never matches", "- [[:foo:]]", "f", unmatched},
		{"POSIX look-alike is an ordinary class", "- [[:a]", ":", excluded},
		{"unterminated class never matches", "- [a", "a", unmatched},
		{"unterminated class never matches literally", "- *[a", "[a", unmatched},
		{"unterminated POSIX class never matches", "- [[:alpha:", "a", unmatched},

		{"escaped star in a wild pattern", `- \**`, "*x", excluded},
		{"escaped star matches only a star", `- \*`, "x", unmatched},
		{"backslash without wild cards stands for itself", `- a\b`, `a\b`, excluded},
		{"backslash without wild cards escapes nothing", `- a\b`, "ab", unmatched},
		{"backslash in a wild pattern escapes", `- a\b*`, "abc", excluded},
		{"backslash at the end of a wild pattern never matches", `- *\`, `x\`, unmatched},

		{"inverted rule applies where the pattern does not match", "-! *.ibd", "t1.frm", excluded},
		{"inverted rule, pattern matches", "-! *.ibd", "t1.ibd", unmatched},
		{"inverted directory rule applies to every file", "-! x/", "x", excluded},
		{"slash alone matches nothing", "- /", "x/", unmatched},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decide(t, tt.rule, tt.path); got != tt.want {
				t.Errorf("%q on %q: %v, want %v", tt.rule, tt.path, got, tt.want)
			}
		})
	}
}
