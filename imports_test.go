package main

import (
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The rule of DESIGN.md, "Layout": imports go one way only, main → cli → bench → sst →
// transfer, tls, mycnf; those three import none of each other; inside transfer the root
// imports the parts, the parts at most wire, and ext the engine but never the reverse.
//
// A package counts as the folder here that it is or lies in. One that lies in none has no
// place yet, and nobody may import it.
var mayImport = map[string][]string{
	".":               {"cli", "sst"},
	"cli":             {"bench", "sst", "sst/report", "sst/plan", "transfer", "tls", "mycnf"},
	"bench":           {"sst", "sst/report", "sst/plan", "transfer", "transfer/ext", "transfer/filter", "tls", "mycnf"},
	"sst":             {"sst/plan", "sst/report", "transfer", "transfer/ext", "transfer/filter", "transfer/flist", "tls", "mycnf"},
	"sst/plan":        {"transfer/filter"},
	"sst/report":      {},
	"transfer":        {"transfer/wire", "transfer/filter", "transfer/flist", "transfer/delta"},
	"transfer/wire":   {},
	"transfer/filter": {"transfer/wire"},
	"transfer/flist":  {"transfer/wire"},
	"transfer/delta":  {"transfer/wire"},
	"transfer/ext":    {"transfer", "transfer/wire", "transfer/filter", "transfer/flist", "transfer/delta"},
	"tls":             {},
	"mycnf":           {},

	"mycnf/corpustest": {},
	"tls/porttest":     {},

	"packaging/contents": {},
}

// onlyTests are packages that test others and may import anything; nobody imports them.
var onlyTests = []string{"e2e", "transfer/captest"}

// forTests are packages that tests may import, and nothing else.
var forTests = []string{"mycnf/corpustest", "tls/porttest"}

// mayLink is what the shipped binary may be made of besides Go's own library (DESIGN.md,
// "Decisions already taken"). More needs a reason in docs/decisions.md.
var mayLink = []string{
	"github.com/alecthomas/kong", "github.com/zeebo/xxh3", "github.com/cespare/xxhash/v2", "golang.org/x/sys", "golang.org/x/crypto/md4",
	"github.com/klauspost/compress", "github.com/pierrec/lz4/v4", "github.com/landlock-lsm/go-landlock", "github.com/pion/dtls/v3", "github.com/pion/sctp", "github.com/pion/logging", "github.com/pion/transport/v5",
}

// A source is a Go file as far as the rule is concerned.
type source struct {
	dir     string // of the package, "." is the root
	name    string
	imports []string
	test    bool
}

func TestImportsGoOneWay(t *testing.T) {
	module, err := modulePath("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	sources, err := readSources(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) < 50 {
		t.Fatalf("only %d Go files found: the test looks in the wrong place", len(sources))
	}
	for _, s := range sources {
		for _, line := range s.broken(module) {
			t.Errorf("%s: %s", path.Join(s.dir, s.name), line)
		}
	}
}

func TestTheRuleIsKept(t *testing.T) {
	const module = "example.org/m"
	for _, c := range []struct {
		name   string
		source source
		want   string // "" when it is allowed
	}{
		{"downwards", source{dir: "cli", imports: []string{module + "/sst"}}, ""},
		{"upwards", source{dir: "sst", imports: []string{module + "/cli"}}, "imports cli"},
		{"main past cli to the engine", source{dir: ".", imports: []string{module + "/transfer"}}, "imports transfer"},
		{"between the three", source{dir: "tls", imports: []string{module + "/mycnf"}}, "imports mycnf"},
		{"a test between the three", source{dir: "tls", imports: []string{module + "/mycnf"}, test: true}, "imports mycnf"},
		{"from a part of the engine to the root of it", source{dir: "transfer/delta", imports: []string{module + "/transfer"}}, "imports transfer"},
		{"from one part of the engine to another", source{dir: "transfer/delta", imports: []string{module + "/transfer/flist"}}, "imports transfer/flist"},
		{"from a part of the engine to wire", source{dir: "transfer/delta", imports: []string{module + "/transfer/wire"}}, ""},
		{"from the engine to its extensions", source{dir: "transfer", imports: []string{module + "/transfer/ext"}}, "imports transfer/ext"},
		{"from the extensions to the engine", source{dir: "transfer/ext", imports: []string{module + "/transfer"}}, ""},
		{"to a folder within", source{dir: "cli", imports: []string{module + "/cli/demo"}}, ""},
		{"from a folder within to what the folder may", source{dir: "cli/demo", imports: []string{module + "/sst"}}, ""},
		{"from a folder within to what the folder may not", source{dir: "cli/demo", imports: []string{module + "/e2e"}}, "imports e2e"},
		{"a test of an end to the rest", source{dir: "e2e/sessions", imports: []string{module + "/transfer"}, test: true}, ""},
		{"to a folder that only tests", source{dir: "transfer", imports: []string{module + "/transfer/captest"}, test: true}, "imports transfer/captest"},
		{"from a test to a folder for tests", source{dir: "cli", imports: []string{module + "/mycnf/corpustest"}, test: true}, ""},
		{"from the program to a folder for tests", source{dir: "cli", imports: []string{module + "/mycnf/corpustest"}}, "imports mycnf/corpustest"},
		{"to a test of an end", source{dir: "cli", imports: []string{module + "/e2e/internal/tree"}}, "imports e2e"},
		{"from a folder that has no place", source{dir: "util", imports: []string{module + "/tls"}}, "has no place"},
		{"to a folder that has no place", source{dir: "sst", imports: []string{module + "/util"}}, "imports util"},
		{"to a module that may be linked", source{dir: "tls", imports: []string{"golang.org/x/sys/unix"}}, ""},
		{"to Go's library", source{dir: "tls", imports: []string{"crypto/tls", "unsafe"}}, ""},
		{"to a module that is for tests", source{dir: "cli", imports: []string{"github.com/go-sql-driver/mysql"}}, "links github.com/go-sql-driver/mysql"},
		{"a test to a module that is for tests", source{dir: "cli", imports: []string{"pgregory.net/rapid"}, test: true}, ""},
		{"to a module whose name begins like that of one that may be linked", source{dir: "tls", imports: []string{"golang.org/x/system"}}, "links golang.org/x/system"},
		{"to C", source{dir: "tls", imports: []string{"C"}}, "links C"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(c.source.broken(module), "; ")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// broken says how a file breaks the rule.
func (s source) broken(module string) []string {
	if within(s.dir, onlyTests...) {
		return nil
	}
	own := place(s.dir)
	if own == "" {
		return []string{"the folder " + s.dir + " has no place in the rule of imports"}
	}
	var out []string
	for _, i := range s.imports {
		to, ours := strings.CutPrefix(i, module+"/")
		switch {
		case ours && s.test && within(to, forTests...):
		case ours && within(to, onlyTests...), ours && place(to) != own && !slices.Contains(mayImport[own], place(to)):
			out = append(out, "imports "+to)
		case !ours && !s.test && !standard(i) && !within(i, mayLink...):
			out = append(out, "links "+i)
		}
	}
	return out
}

// place is the folder of the rule that a package counts as, "" if there is none.
func place(dir string) string {
	for {
		if _, known := mayImport[dir]; known {
			return dir
		}
		if !strings.Contains(dir, "/") {
			return ""
		}
		dir = path.Dir(dir)
	}
}

// within says whether p is one of the folders or modules, or lies in one.
func within(p string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return p == f || strings.HasPrefix(p, f+"/") })
}

// standard: the first part of the name of a package of Go's library has no dot. C is
// cgo, which the build is without.
func standard(i string) bool {
	first, _, _ := strings.Cut(i, "/")
	return !strings.Contains(first, ".") && i != "C"
}

// readSources parses the imports of all Go files, whatever they are built for.
func readSources(tree fs.FS) ([]source, error) {
	var out []source
	err := fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() && name != "." && (e.Name()[0] == '.' || e.Name()[0] == '_' || e.Name() == "testdata") {
			return fs.SkipDir
		}
		if e.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's
		}
		if err != nil {
			return err
		}
		s, err := parse(name, text)
		out = append(out, s)
		return err
	})
	return out, err
}

func parse(name string, text []byte) (source, error) {
	s := source{dir: path.Dir(name), name: path.Base(name), test: strings.HasSuffix(name, "_test.go")}
	file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
	if err != nil {
		return s, err
	}
	for _, i := range file.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return s, err
		}
		s.imports = append(s.imports, p)
	}
	return s, nil
}

// modulePath reads the name of the module.
func modulePath(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "module "); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", fmt.Errorf("%s names no module", file)
}
