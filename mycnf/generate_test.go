package mycnf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

func pickOne(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

// several are up to n of these, put together blindly.
func several(rng *rand.Rand, n int, sep string, from ...string) string {
	words := make([]string, rng.IntN(n+1))
	for i := range words {
		words[i] = pickOne(rng, from)
	}
	return strings.Join(words, sep)
}

var (
	oddBits = []string{
		"a", "b", "key", "loose-k_x", "=", "=", "=", " ", " ", "\t", "\v", "\f", "\r", "\xa0", "\x85", "\x1f", "#", ";", "'", `"`, `\`, `\n`, `\s`,
		`\t`, `\r`, `\b`, `\q`, `\"`, `\'`, `\\`, "[", "]", "!", "\x00", "é", "à", "\xef\xbb\xbf", "~", "$HOME", "x.cnf", "--", "-",
	}
	pathBits = []string{
		"inner.cnf", "inner.cnf", "d", "d/a.cnf", "link", "sub", "real", "..", "..", ".", "", "~", "home", "none", "x.cnf", "ww.cnf", "dangling.cnf", "my.cnf",
		"real/sub/inner.cnf", strings.Repeat("./", 120),
	}
	plainLines = []string{
		"a=1", "b = 2 # c", `c="x # y"`, `d='it\'s' # z`, "e", "e#", "f=\\", `g="`, "h = = 1", "# comment", "; comment", "", " ", "skip-x", "i=\"a\\\"b\"",
	}
	groupLines = []string{
		"[g]", "[g]", "[g]", "[G]", "[g_1]", "[other]", "[ g]", "[g ]", "[g\t] x", "[\xc9t\xe9]", "[\xe9t\xc9]", "[]", "[ ]", "[-]", "[--mysqld]",
		"[mysqld]", "[mysqld_1]", "[server]", "[mariadb]", "[mariadbd]", "[client-server]", "[galera]", "[client]", "[mysqld-9.9]", "[mysqld-10]",
		"[VERSION]", "[VERSION_1]",
	}
)

// anyLine is one line of a file, without its end.
func anyLine(rng *rand.Rand, version string) string {
	switch rng.IntN(12) {
	case 0, 1, 2:
		return several(rng, 9, "", oddBits...)
	case 3, 4:
		return pickOne(rng, plainLines)
	case 5, 6:
		series := pickOne(rng, []string{"mysqld-", "mariadb-", "mariadbd-"}) + version
		return strings.Replace(pickOne(rng, groupLines), "VERSION", series, 1)
	case 7:
		return "[" + several(rng, 4, "", oddBits...) + "]" + several(rng, 2, "", oddBits...)
	case 8:
		return pickOne(rng, []string{"", " ", "\t\xa0"}) + "!" + pickOne(rng, []string{"include ", " include\t", "include  ", "includedir ", "includedir\v", "include", "INCLUDE ", "includes "}) +
			several(rng, 4, "/", pathBits...) + pickOne(rng, []string{"", "", "", "", " ", "\r", "#", "/"})
	case 9:
		return pickOne(rng, []string{"!include inner.cnf", "!includedir d", "!includedir ./d//", "!includedir link/../d", "!include ~/inner.cnf",
			"!include " + strings.Repeat("./", 250) + "inner.cnf", "!include", "!includedir none"})
	case 10:
		return anyBytes(rng, 40)
	}
	return longLine(rng)
}

func anyBytes(rng *rand.Rand, n int) string {
	b := make([]byte, rng.IntN(n))
	for i := range b {
		if b[i] = byte(rng.Uint32()); b[i] == '\n' || rng.IntN(3) == 0 {
			b[i] = "=\"'\\ #;[]!ab"[rng.IntN(12)]
		}
	}
	return string(b)
}

// longLine has its odd part about where the first or the second piece of a line ends.
func longLine(rng *rand.Rand) string {
	if rng.IntN(4) > 0 {
		return pickOne(rng, plainLines) // long lines take most of the time
	}
	start := pickOne(rng, []string{"k=", "k", "#", "[g", "!include ", `k="`, `k='\'`, " "})
	fill := pickOne(rng, []string{"y", `" '`, `\\`, `\"`, " ", "y#", "[", "\xa0"})
	n := (1 + rng.IntN(2)) * maxPiece
	line := start + strings.Repeat(fill, n/len(fill))
	return line[:min(len(line), n-rng.IntN(9))] + several(rng, 9, "", oddBits...)
}

// anyText is a file of such lines. Not among them is a line for which the real
// program reads outside its buffer.
func anyText(rng *rand.Rand, version string) string {
	return textOf(rng, func() string { return anyLine(rng, version) })
}

// leafText is a file that seldom includes others: files that include each other take
// most of the time.
func leafText(rng *rand.Rand, version string) string {
	return textOf(rng, func() string {
		line := anyLine(rng, version)
		if strings.Contains(line, "!") && rng.IntN(8) > 0 {
			return pickOne(rng, plainLines)
		}
		return line
	})
}

func textOf(rng *rand.Rand, line func() string) string {
	for {
		var s strings.Builder
		if rng.IntN(10) > 0 {
			s.WriteString("[g]\n") // or most files would be in error at their first line
		}
		for range rng.IntN(10) {
			s.WriteString(line() + pickOne(rng, []string{"\n", "\n", "\n", "\n", "\r\n"}))
		}
		if rng.IntN(4) == 0 {
			s.WriteString(line())
		}
		if !undefined(s.String()) {
			return s.String()
		}
	}
}

// undefined tells of lines for which the real program reads outside its buffer:
// blanks, then "=" without a key (§3).
func undefined(file string) bool {
	for data := []byte(file); len(data) > 0; {
		var piece []byte
		piece, data = nextPiece(data)
		line := visible(piece)
		if trimmed := trimLeft(line); trimmed != line && strings.HasPrefix(trimmed, "=") {
			return true
		}
	}
	return false
}

// batch is how many files the main file includes: to start the real program takes
// longer than to read them.
const batch = 32

// anyRound makes files, and a command line.
func anyRound(rng *rand.Rand, version string) round {
	r := round{files: map[string]string{}, env: map[string]string{"HOME": "home"}}
	var main strings.Builder
	main.WriteString("[g]\n")
	for i := range batch {
		name := fmt.Sprintf("c%02d.cnf", i)
		r.files[name] = anyText(rng, version)
		fmt.Fprintf(&main, "!include %s\nafter=%d\n", name, i)
	}
	for _, name := range []string{"inner.cnf", "d/b.cnf", "d/a.cnf", "d/.cnf", "d/~.cnf", "home/inner.cnf", "home/.my.cnf", "home/h/.my.cnf", "sub/my.cnf", "real/sub/inner.cnf", "real/inner.cnf"} {
		r.files[name] = ""
		if rng.IntN(3) == 0 {
			r.files[name] = leafText(rng, version)
		}
	}
	r.count = batch + 1
	if rng.IntN(4) == 0 { // what is fatal in a file is so in the main file only
		main.WriteString(anyText(rng, version))
	}
	r.files["main.cnf"] = main.String()
	r.args = anyArguments(rng)
	if rng.IntN(4) == 0 {
		for _, name := range []string{"MYSQL_HOME", "MARIADB_HOME", "HOME", "MYSQL_GROUP_SUFFIX", "MARIADB_GROUP_SUFFIX"} {
			switch rng.IntN(3) {
			case 0:
				delete(r.env, name)
			case 1:
				r.env[name] = pickOne(rng, []string{"", "home", "sub", "sub/", "./sub//", "~", "~/h", "/etc", "/etc/mysql/", "_1", "link/..", "none"})
			}
		}
	}
	return r
}

// anyArguments is a command line; most of them read main.cnf.
func anyArguments(rng *rand.Rand) []string {
	file := "--defaults-file=main.cnf"
	if rng.IntN(10) == 0 {
		file = pickOne(rng, []string{"--defaults-file=link/../../main.cnf", "--defaults-file=~/inner.cnf", "--defaults-file=ww.cnf", "--defaults-file=d", "--defaults-file=", "--no-defaults", "--defaults-file=none"})
	}
	args := []string{file}
	switch rng.IntN(8) {
	case 0:
		args = append(args, pickOne(rng, []string{"--defaults-group-suffix=", "--defaults-group-suffix=_1", "--defaults-group-suffix=\xc9"}))
	case 1:
		args[0] = pickOne(rng, []string{"--defaults-extra-file=main.cnf", "--defaults-extra-file=inner.cnf", "--defaults-extra-file=ww.cnf", "--defaults-extra-file="})
	case 2:
		args = args[:0]
	}
	if rng.IntN(20) == 0 {
		args = append(args, "--print-defaults")
	}
	args = append(args, pickOne(rng, []string{"g", "g", "G", "other", "\xe9t\xe9", "", "none", "--mysqld", "--mariadbd"}))
	for rng.IntN(2) == 0 {
		args = append(args, pickOne(rng, []string{"g", "other", "mysqld", "client", "a", "-", " g", "--mysqld"}))
	}
	if rng.IntN(5) == 0 {
		for rng.IntN(3) > 0 {
			args = slices.Insert(args, rng.IntN(len(args)+1), anyArgument(rng))
		}
	}
	return args
}

// anyArgument is one that is seldom seen.
func anyArgument(rng *rand.Rand) string {
	if rng.IntN(3) == 0 {
		return "-" + several(rng, 3, "", "n", "v", "v", "V", "?", "#", "c", "e", "g", "s", "I", "-", "=", "1")
	}
	return pickOne(rng, []string{"--", "--", "--", "-", ""}) +
		several(rng, 3, "", "skip-", "skip_", "loose-", "Loose_", "enable-", "disable-", "maximum-", "autoset-", "x.", ".") +
		pickOne(rng, []string{"mysqld", "MySQLd", "mariadbd", "my", "m", "ma", "no-defaults", "no_default", "n", "help", "h", "verbose", "verb", "ver", "v", "version", "vers",
			"debug", "d", "", "zz", "defaults-file", "print-defaults", "config-file", "loose", "server"}) +
		pickOne(rng, []string{"", "", "", "=", "=0", "=1", "=1x", "=on", "=OFF", "=true", "=zz", "=main.cnf"})
}
