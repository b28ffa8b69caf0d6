package mycnf

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// text is a file of odd lines: what may stand in one, put together blindly.
func text() *rapid.Generator[string] {
	odd := rapid.SampledFrom([]string{
		"a", "b", "key", "loose-k_x", "=", "=", " ", " ", "\t", "\v", "\r", "\xa0", "\x85", "#", ";", "'", `"`, `\`, `\n`, `\s`,
		`\"`, `\\`, "[", "]", "!", "\x00", "é", "~", "x.cnf", strings.Repeat("y", 1500), strings.Repeat(`" '`, 700),
	})
	line := rapid.OneOf(
		rapid.Map(rapid.SliceOfN(odd, 0, 8), func(s []string) string { return strings.Join(s, "") }),
		rapid.SampledFrom([]string{
			"[g]", "[G]", "[g_1]", "[other]", "[ g]", "[g\t] x", "[\xc9t\xe9]", "[\xe9t\xc9]", "[g", "[]",
			"!include inner.cnf", " ! include\tinner.cnf ", "!include ./sub/../inner.cnf", "!include link/../inner.cnf",
			"!include inner.cnf/", "!include ~/inner.cnf", "!include", "!include ", "!INCLUDE x", "!include " + strings.Repeat("./", 250) + "inner.cnf",
			"!includedir d", "!includedir ./d//", "!includedir link/../d", "!includedir none", "!includedir inner.cnf", "!includedir\v",
			"!include main.cnf", "!include ww.cnf", "!include d",
			"a=1", "b = 2 # c", `c="x # y"`, `d='it\'s' # z`, "e", "e#", "f=\\", `g="`, "h = = 1",
		}),
	)
	return rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(line, 0, 10).Draw(t, "lines"), "\n")
		if rapid.IntRange(0, 9).Draw(t, "group first") > 0 {
			s = "[g]\n" + s // or most files would be in error at their first line
		}
		return s + rapid.SampledFrom([]string{"\n", "\n", ""}).Draw(t, "end")
	})
}

// undefined tells of lines for which the real program reads outside its
// buffer: blanks, then "=" without a key (§3).
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

// The corpus holds what somebody thought of. Here the real program, where it
// is installed, is asked about files nobody thought of.
func TestSameAsTheRealProgram(t *testing.T) {
	program, err := exec.LookPath("my_print_defaults")
	if err != nil {
		t.Skip("NOT COMPARED: my_print_defaults is not installed (it comes with the MariaDB client programs)")
	}
	dir := t.TempDir()
	for _, d := range []string{"d", "sub", "real/sub", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("real/sub", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	names := []string{"main.cnf", "inner.cnf", "d/b.cnf", "d/a.cnf", "home/inner.cnf", "ww.cnf"}
	for _, n := range names {
		write(t, filepath.Join(dir, n), "")
	}
	if err := os.Chmod(filepath.Join(dir, "ww.cnf"), 0o666); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": "home"}
	rapid.Check(t, func(t *rapid.T) {
		for _, n := range names {
			content := text().Draw(t, n)
			if undefined(content) {
				t.Skip("undefined")
			}
			if err := os.WriteFile(filepath.Join(dir, n), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		args := []string{"--defaults-file=" + rapid.SampledFrom([]string{"main.cnf", "link/../../main.cnf", "~/inner.cnf", "ww.cnf", "d"}).Draw(t, "file")}
		args = append(args, rapid.SampledFrom([][]string{nil, {"--defaults-group-suffix="}, {"--defaults-group-suffix=_1"}}).Draw(t, "suffix")...)
		args = append(args, rapid.SampledFrom([][]string{{"g"}, {"other", "G"}, {"\xe9t\xe9", ""}, {"none"}}).Draw(t, "groups")...)

		out, code, said := printDefaults(dir, env, args)
		if code != 0 && strings.Contains(said[len(said)-1], ": too m") { // many, much
			t.Skip("includes without end, which the real program would follow")
		}
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
		cmd.Env = []string{"HOME=" + env["HOME"]}
		var exit *exec.ExitError
		if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if out != stdout.String() || code != cmd.ProcessState.ExitCode() {
			t.Fatalf("%q\ngot  %.2000q, exit %d, %q\nwant %.2000q, exit %d, %.2000q", args, out, code, said[max(0, len(said)-5):],
				stdout.String(), cmd.ProcessState.ExitCode(), stderr.String())
		}
	})
}
