package filter

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Pieces that patterns are made of: few letters, so that matches happen, and everything that has a meaning.
var anyPattern = rapid.Custom(func(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "a", "b", "b", "ab", ".", "\xc3", "/", "/", "/", "*", "*", "**", "***", "?", "?",
		"[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[!]-]", "[a-]", "[[:alpha:]]", "[![:lower:].]", "[[:nope:]]", "[[:a]", `[\]a]`, "[b-a]", "[/]",
		"[", "]", "-", "!", `\`, `\*`, `\a`, "x", " ",
	}), 1, 7).Draw(t, "pieces")
	return strings.Join(pieces, "")
})

var anyName = rapid.Custom(func(t *rapid.T) string {
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aab", "ba", "a.b", "\xc3\xa4", "]", "-", "*", `\`, "[", "x", "c", "A", " ", "abx*"}), 1, 4).Draw(t, "parts")
	return strings.Join(parts, "/")
})

// The matcher against one made in another way: the pattern is translated to a regular expression.
func TestMatchesAsTheNaiveMatcher(t *testing.T) {
	matched := 0
	rapid.Check(t, func(t *rapid.T) {
		text := anyPattern.Draw(t, "pattern")
		p, err := compile(text)
		if err != nil {
			t.Fatal(err)
		}
		reference := naive(text)
		for range 30 {
			name, dir := anyName.Draw(t, "name"), rapid.Bool().Draw(t, "dir")
			want := reference(name, dir)
			if got := p.match(false, "", name, dir); got != want {
				t.Fatalf("%q on %q, directory %v: %v, want %v", text, name, dir, got, want)
			}
			if want {
				matched++
			}
		}
	})
	if matched == 0 {
		t.Error("not one name matched: the generators test nothing")
	}
}

// naive is rsync-wire.md §7.4 word for word, with the wildcards left to package regexp.
func naive(text string) func(name string, dir bool) bool {
	dirOnly := len(text) > 1 && strings.HasSuffix(text, "/")
	if dirOnly {
		text = text[:len(text)-1]
	}
	slashes := strings.Count(text, "/")
	wild, deep := strings.ContainsAny(text, "*?["), strings.Contains(text, "**")
	body := strings.TrimPrefix(text, "/")
	anchored := body != text
	matches := func(s string) bool { return s == body }
	if wild {
		re := regexp.MustCompile(translate(body))
		matches = func(s string) bool { return re.MatchString(latin1(s)) }
	}
	return func(name string, dir bool) bool {
		if dirOnly && !dir {
			return false // 1
		}
		parts := strings.Split(name, "/")
		if slashes == 0 && !deep {
			return matches(parts[len(parts)-1]) // 2
		}
		if strings.HasPrefix(text, "**") {
			name = "/" + name // 5
		}
		if strings.HasSuffix(text, "***") && dir {
			name += "/" // 6
		}
		switch {
		case anchored || strings.HasPrefix(text, "**"):
			return matches(name) // 3
		case !deep:
			return len(parts) > slashes && matches(strings.Join(parts[max(0, len(parts)-slashes-1):], "/")) // 4
		}
		starts := []string{name} // 5
		for i := range name {
			if name[i] == '/' {
				starts = append(starts, name[i+1:])
			}
		}
		return slices.ContainsFunc(starts, matches)
	}
}

// latin1 makes every byte a character of its own.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}

const never = `[^\x{0}-\x{10ffff}]`

// translate writes a pattern as a regular expression over latin1 text.
func translate(p string) string {
	var re strings.Builder
	re.WriteString(`(?s)\A`)
	for i := 0; i < len(p); {
		switch {
		case strings.HasPrefix(p[i:], "**"):
			re.WriteString(".*")
			for i < len(p) && p[i] == '*' {
				i++
			}
		case p[i] == '*':
			re.WriteString("[^/]*")
			i++
		case p[i] == '?':
			re.WriteString("[^/]")
			i++
		case p[i] == '[':
			members, n := classMembers(p[i:])
			if n == 0 {
				return re.String() + never
			}
			re.WriteString(members)
			i += n
		case p[i] == '\\' && i+1 == len(p):
			return re.String() + never
		default:
			if p[i] == '\\' {
				i++
			}
			re.WriteString(regexp.QuoteMeta(latin1(p[i : i+1])))
			i++
		}
	}
	return re.String() + `\z`
}

var element = regexp.MustCompile(`(?s)\A(\[:([^\]]*):\]|(?:\\(.)|([^\\]))(?:-(?:\\(.)|([^\]\\])))?)`)

// classMembers translates a class to an alternative of its members, byte by byte, and says how long it is; 0 if it never ends.
func classMembers(p string) (string, int) {
	s := latin1(p[1:])
	negated := strings.HasPrefix(s, "!") || strings.HasPrefix(s, "^")
	if negated {
		s = s[1:]
	}
	in := map[rune]bool{}
	for first := true; first || !strings.HasPrefix(s, "]"); first = false {
		if strings.HasPrefix(s, "[:") && !strings.Contains(s[2:], "]") {
			return "", 0
		}
		m := element.FindStringSubmatch(s)
		if m == nil {
			return "", 0
		}
		s = s[len(m[0]):]
		if strings.HasPrefix(m[0], "[:") && strings.HasSuffix(m[0], ":]") && len(m[0]) > 3 {
			class, err := regexp.Compile("[[:" + m[2] + ":]]")
			if err != nil {
				return "", 0
			}
			for c := range rune(0x80) {
				in[c] = in[c] || class.MatchString(string(c))
			}
			continue
		}
		from := []rune(m[3] + m[4])[0]
		to := from
		if m[5]+m[6] != "" {
			to = []rune(m[5] + m[6])[0]
		}
		if strings.HasSuffix(m[0], "-") && m[5]+m[6] == "" && len([]rune(m[0])) > 1 {
			return "", 0
		}
		in[from] = true // even if the range is upside down: its first byte has been read as a member already
		for c := from; c <= to; c++ {
			in[c] = true
		}
	}
	var list strings.Builder
	for c := range rune(0x100) {
		if in[c] != negated && c != '/' {
			fmt.Fprintf(&list, `\x{%x}`, c)
		}
	}
	length := len(p) - len([]rune(s)) + 1
	if list.Len() == 0 {
		return never, length
	}
	return "[" + list.String() + "]", length
}

// Patterns that make a backtracking matcher take longer than the age of the universe.
func TestMatchingTakesLinearTime(t *testing.T) {
	long := strings.Repeat("a", 4000)
	deep := strings.TrimSuffix(strings.Repeat("a/", 2000), "/")
	tests := []struct{ name, pattern, path string }{
		{"stars", strings.Repeat("*a", 500) + "*b", long},
		{"deep stars", strings.Repeat("**a", 500) + "**b", long},
		{"deep stars over components", strings.Repeat("**/a", 500) + "**b", deep},
		{"stars and deep stars in turn", strings.Repeat("*a**a", 300) + "*b", deep},
		{"behind every slash", "a" + strings.Repeat("*/**", 300) + "b", deep},
		{"classes", strings.Repeat("*[a]", 500) + "*b", long},
		{"as many tokens as a pattern can have", strings.Repeat("*?", 2047), long},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := parse(t, "- "+tt.pattern)
			start := time.Now()
			l.Excluded(Receiver, tt.path, false)
			// A few million steps; a matcher that goes back would not come to an end.
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("%v", d)
			}
		})
	}
}

func BenchmarkExcluded(b *testing.B) {
	l, err := Parse("- /lost+found", "- /.fseventsd", "- /.Trashes", "+ /wsrep_sst_binlog.tar", "+ /ib_lru_dump", "+ /ibdata*", "+ /*/", "- /*")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"ibdata1", "keep.cnf", "db1/t1.ibd"} {
		b.Run(strings.ReplaceAll(name, "/", ","), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l.Excluded(Receiver, name, false)
			}
		})
	}
}
