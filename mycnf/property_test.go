package mycnf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

// parseText reads a file from memory.
func parseText(t interface {
	Helper()
	Fatal(...any)
}, text string) *Files {
	t.Helper()
	r := newReader("", "")
	if err := r.parse("my.cnf", []byte(text), 0); err != nil {
		t.Fatal(err)
	}
	return &Files{options: r.options}
}

// quote writes a value the way an operator should: in quotes, with the
// characters escaped that would mean something.
func quote(v string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(v) + `"`
}

// anyValue is anything but NUL, short enough for one piece.
func anyValue() *rapid.Generator[string] {
	b := rapid.OneOf(rapid.ByteRange(1, 255), rapid.SampledFrom([]byte("\\\"'# =;\n\t\r\xa0nst")))
	return rapid.Map(rapid.SliceOfN(b, 0, 60), func(b []byte) string { return string(b) })
}

func anyKey() *rapid.Generator[string] { return rapid.StringMatching(`[a-z]([a-z_-]{0,6}[a-z])?`) }

func TestAQuotedValueIsReadBackWhateverItHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		blank := rapid.StringMatching("[ \t]{0,3}")
		key, value := anyKey().Draw(t, "key"), anyValue().Draw(t, "value")
		line := blank.Draw(t, "a") + key + blank.Draw(t, "b") + "=" + blank.Draw(t, "c") + quote(value) +
			blank.Draw(t, "d") + rapid.SampledFrom([]string{"", "#", "# c \" '", "\r"}).Draw(t, "end")
		f := parseText(t, "[sst]\n"+line+"\n")
		want := []Option{{"sst", key, value, true, "my.cnf", 2}}
		if got := f.Options("sst"); !slices.Equal(got, want) {
			t.Fatalf("%q: got %+v, want %+v", line, got, want)
		}
	})
}

func TestOptionsAreThoseOfTheAskedGroupsInFileOrder(t *testing.T) {
	names := []string{"a", "a_1", "b", "b_1", "mysqld", "galera", "client"}
	rapid.Check(t, func(t *rapid.T) {
		suffix := rapid.SampledFrom([]string{"", "_1"}).Draw(t, "suffix")
		asked := rapid.SliceOf(rapid.SampledFrom(append(names, "--mysqld"))).Draw(t, "asked")
		var text strings.Builder
		var want []string
		for _, g := range rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "groups") {
			value := anyValue().Draw(t, "value")
			text.WriteString("[" + g + "]\nk=" + quote(value) + "\n")
			matches := func(a string) bool {
				return a == g || a+suffix == g || a == "--mysqld" && (g == "mysqld" || g == "galera")
			}
			if slices.ContainsFunc(asked, matches) {
				want = append(want, value)
			}
		}
		f := parseText(t, text.String())
		f.suffix = suffix
		var got []string
		for _, o := range f.Options(asked...) {
			got = append(got, o.Value)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

// The scripts work on the lines my_print_defaults prints. As long as no value
// holds a newline, Get must come to the same result.
func TestGetAgreesWithAReaderOfPrintedLines(t *testing.T) {
	line := rapid.Custom(func(t *rapid.T) string {
		key := rapid.SampledFrom([]string{"tca", "ssl-ca", "ssl_ca", "loose-ssl_ca", "loose_tca", "loosetca", "TCA", "-tca", "loose"}).Draw(t, "key")
		return key + rapid.SampledFrom([]string{"", "=", "=1", `=" "`, "=2 3", `=\t4`, "=5=6"}).Draw(t, "value")
	})
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		for _, g := range rapid.SliceOf(rapid.SampledFrom([]string{"sst", "sst_1", "mysqld", "mysqld_1", "mysqld_1_1"})).Draw(t, "groups") {
			text.WriteString("[" + g + "]\n" + strings.Join(rapid.SliceOf(line).Draw(t, "lines"), "\n") + "\n")
		}
		f := parseText(t, text.String())
		f.suffix = rapid.SampledFrom([]string{"", "_1"}).Draw(t, "suffix")
		groups := rapid.SliceOfN(rapid.SampledFrom([]string{"sst", "mysqld", "--mysqld", "none"}), 1, 3).Draw(t, "asked")
		key := rapid.SampledFrom([]string{"tca", "ssl-ca", "TCA", "none"}).Draw(t, "key")
		want, found := printedLinesPick(f, groups, key)
		got, ok := f.Get(groups, key)
		if got.Value != want || ok != found {
			t.Fatalf("got %q %v, want %q %v of\n%s", got.Value, ok, want, found, text.String())
		}
	})
}

// printedLinesPick follows §7 by the letter, on text.
func printedLinesPick(f *Files, groups []string, key string) (value string, found bool) {
	var turns []string
	for _, g := range groups {
		if g == "mysqld" && f.suffix != "" {
			turns = append(turns, g+f.suffix)
		}
		turns = append(turns, g)
	}
	for _, g := range turns {
		last := ""
		for _, o := range f.Options(g) {
			name, v, _ := strings.Cut(o.argument(), "=")
			if rest, ok := strings.CutPrefix(name, "--loose"); ok {
				name = "-" + rest
			}
			if strings.ReplaceAll(name, "_", "-") == "--"+key {
				last = v
			}
		}
		if last != "" {
			return strings.TrimSpace(last), true
		}
	}
	return "", false
}

// FuzzLoad reads two files that can include each other and themselves.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob(filepath.Join(corpusDir, "*.cnf"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		data, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, []byte("[sst]\nb=1\n"))
	}
	f.Add([]byte("[sst]\n!include inner.cnf\n!includedir .\n"), []byte("!include inner.cnf\n!include main.cnf\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, outer, inner []byte) {
		for name, data := range map[string][]byte{"main.cnf": outer, "inner.cnf": inner} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// As Load does, but with few files: includes that call each other
		// would take most of the time.
		r := newReader(dir, "~")
		r.filesLeft = 40
		var said []string
		if err := r.readAll(Args{File: "main.cnf", HasFile: true}, nil); err != nil {
			said = append(said, err.Error())
		}
		for _, s := range append(said, r.warnings...) {
			if strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("message %q has control characters", s)
			}
		}
		files := &Files{options: r.options}
		for _, e := range r.options[:min(50, len(r.options))] {
			o := e.Option
			if len(o.Key)+len(o.Value) > maxPiece || o.Line < 1 || strings.ContainsAny(o.Key, "=\n\x00") ||
				o.Key != trimRight(o.Key) || !o.HasValue && o.Value != "" || strings.Contains(o.Group, "]") {
				t.Fatalf("option %+v", o)
			}
			if o.Group == "--mysqld" || o.Group == "--mariadbd" {
				continue // cannot be asked for
			}
			if !slices.Contains(files.Options(o.Group), o) || !files.Has([]string{o.Group}, o.Name()) {
				t.Fatalf("option %+v is not found in its group", o)
			}
		}
	})
}
