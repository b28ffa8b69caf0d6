package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// A release with a library, as the linker notes it.
var noted = &debug.BuildInfo{
	GoVersion: "go1.26.8",
	Main:      debug.Module{Path: "ours", Version: "(devel)"},
	Deps: []*debug.Module{
		{Path: "example.org/a", Version: "v1.2.3", Sum: "h1:f52BVWChYMDkMkCoqkEWRuFOk/K4B5LO7xIijeLJRdk="},
	},
	Settings: []debug.BuildSetting{{Key: "GOARCH", Value: "arm64"}, {Key: "-compiler", Value: "gc"}},
}

func TestABillNamesEverythingThatIsLinked(t *testing.T) {
	b, err := billOf(noted, "ours-linux-arm64", "1.0.0", sha256.Sum256([]byte("x")), time.Unix(0, 0).UTC())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:2d711642-b726-8044-8162-7ca9fbac32f5"`,
		`"timestamp":"1970-01-01T00:00:00Z"`,
		`"name":"go:build:GOARCH","value":"arm64"`,
		`"purl":"pkg:golang/std@1.26.8"`,
		`"alg":"SHA-256","content":"7f9d815560a160c0e43240a8aa411646e14e93f2b80792ceef12228de2c945d9"}],"purl":"pkg:golang/example.org/a@v1.2.3"`,
		`"dependsOn":["pkg:golang/std@1.26.8","pkg:golang/example.org/a@v1.2.3"]`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestAModuleWithoutASumIsNotVouchedFor(t *testing.T) {
	for _, sum := range []string{"", "h1:", "h1:AAAA", "h2:f52BVWChYMDkMkCoqkEWRuFOk/K4B5LO7xIijeLJRdk="} {
		if _, err := digestOf(&debug.Module{Path: "example.org/a", Sum: sum}); err == nil || !strings.Contains(err.Error(), "example.org/a") {
			t.Errorf("sum %q: %v", sum, err)
		}
	}
}

// This binary is one that Go has linked, too.
func TestTheBillOfARealBinary(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "1000000000")
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run([]string{"sbom", self, "1.0.0"}, out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two bills of one binary differ")
	}
	var b bill
	if err := json.Unmarshal(first.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	if b.Metadata.Component.Hashes[0].Content != hex.EncodeToString(sum[:]) || b.Metadata.Timestamp != "2001-09-09T01:46:40Z" {
		t.Errorf("the bill is of something else: %+v", b.Metadata)
	}
	if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Name == "std" }) {
		t.Error("Go's library is not in the bill")
	}
}

func TestTheTimeOfABillIsGiven(t *testing.T) {
	for _, epoch := range []string{"", "now", "-1"} {
		if _, err := buildTime(epoch); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
			t.Errorf("%q: %v", epoch, err)
		}
	}
}

func TestLicencesAreThoseOfTheFoldersThatAreLinked(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"LICENSE": "of the module", "LICENSES/MIT.txt": "of its files", "inner/LICENSE.txt": "of another author", "other/LICENSE": "of nothing that is linked"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out strings.Builder
	if err := licensesBelow(&out, "m v1", root, []string{filepath.Join(root, "inner"), root, root}); err != nil {
		t.Fatal(err)
	}
	if want := "== m v1: LICENSE ==\n\nof the module\n\n== m v1: LICENSES/MIT.txt ==\n\nof its files\n\n== m v1: inner/LICENSE.txt ==\n\nof another author\n\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if err := licensesBelow(&out, "m v1", root, []string{t.TempDir()}); err == nil {
		t.Error("a module without a licence was passed on")
	}
}

// What is linked changes with every library, and so what they call their licences.
func TestTheLicencesOfOurOwnProgramAreFound(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	program := filepath.Join(t.TempDir(), "program")
	if _, err := goSays("build", "-o", program, "."); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := writeLicenses(&out, program); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"github.com/alecthomas/kong", "github.com/pion/sctp", "golang.org/x/sys", "Go, its runtime"} {
		if !strings.Contains(out.String(), "== "+want) {
			t.Errorf("nothing of %s", want)
		}
	}
}
