package filter

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A tree that has every sort of name that patterns of anyPattern match, on three levels.
type tree struct {
	root  string
	names []string // relative, sorted; directories with a slash at the end
}

func newTree(root string) *tree {
	tr := &tree{root: root}
	leaves := []string{"a", "ab", "b", "a.b", "x", "A", "]", "-", `\`, "*", "\xc3\xa4", " "}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for i, leaf := range leaves {
			// Names that are directories on one level are files on the next.
			if (i+depth)%3 == 0 && depth < 3 {
				tr.names = append(tr.names, dir+leaf+"/")
				fill(dir+leaf+"/", depth+1)
			} else {
				tr.names = append(tr.names, dir+leaf)
			}
		}
	}
	fill("", 0)
	slices.Sort(tr.names)
	return tr
}

func (tr *tree) make(t *testing.T) {
	t.Helper()
	for _, name := range tr.names {
		full, err := filepath.Join(tr.root, name), error(nil)
		if strings.HasSuffix(name, "/") {
			err = os.Mkdir(full, 0o755)
		} else {
			err = os.WriteFile(full, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// listed is what a sender with these rules would list: the content of an excluded directory is not looked at.
func (tr *tree) listed(l *List) []string {
	var out []string
	hidden := map[string]bool{}
	for _, entry := range tr.names {
		name, dir := strings.CutSuffix(entry, "/")
		if parent := path.Dir(name); hidden[parent] || l.Excluded(Sender, name, dir) {
			hidden[name] = true
			continue
		}
		out = append(out, entry)
	}
	return out
}

// deleted is which files a receiver with these rules would remove if nothing were listed (rsync-wire.md §15.2): it looks
// into every directory that is not itself excluded, and there perishable rules no longer count.
func (tr *tree) deleted(l *List) []string {
	var out []string
	kept := map[string]bool{}
	for _, entry := range tr.names {
		name, dir := strings.CutSuffix(entry, "/")
		parent := path.Dir(name)
		excluded := l.Excluded
		if parent != "." {
			excluded = l.ExcludedPerishable
		}
		if kept[parent] || excluded(Receiver, name, dir) {
			kept[name] = true
		} else if !dir {
			out = append(out, name)
		}
	}
	return out
}

// rsync runs the real one and returns its standard output in lines.
func rsync(args ...string) ([]string, error) {
	cmd := exec.Command("rsync", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.Output()
	return strings.Split(string(out), "\n"), err
}

// after is what stands behind a mark at the beginning of a line, sorted.
func after(mark string, lines []string) []string {
	var out []string
	for _, line := range lines {
		if name, ok := strings.CutPrefix(line, mark); ok && name != "./" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func needRsync(t *testing.T) {
	t.Helper()
	out, err := exec.Command("rsync", "--version").Output()
	if err != nil {
		t.Skipf("NOT COMPARED WITH THE REAL RSYNC: %v; install rsync 3.2 or later", err)
	}
	version, _, _ := strings.Cut(string(out), "\n")
	t.Log(version)
}

func filterArgs(rules []string) []string {
	var args []string
	for _, r := range rules {
		args = append(args, "--filter="+r)
	}
	return args
}

// fullPath puts the modifier "/" on rules now and then, whose patterns then must hold the path of the tree to match.
func fullPath(t *rapid.T, root, rule string) string {
	if !strings.ContainsRune("+-", rune(rule[0])) || rapid.IntRange(0, 5).Draw(t, "full path") > 0 {
		return rule
	}
	mods, pat, _ := strings.Cut(rule[1:], " ")
	if strings.HasPrefix(pat, "/") && rapid.Bool().Draw(t, "with the root") {
		pat = root + pat
	}
	return rule[:1] + "/" + mods + " " + pat
}

// Which names a sender lists, decided by the real rsync and by us, for generated rules.
func TestHidesWhatRealRsyncHides(t *testing.T) {
	needRsync(t)
	tr, empty := newTree(t.TempDir()), t.TempDir()
	tr.make(t)
	compareWithRsync(t, tr.root, tr.listed, func(rules []string) ([]string, error) {
		lines, err := rsync(append(filterArgs(rules), "-rn8", "--out-format=:%n", tr.root+"/", empty+"/")...)
		return after(":", lines), err
	})
}

// Which files a receiver deletes when the sender's directory is empty. Directories are left out: in a dry run, rsync says
// of one within another that it is deleted even where something in it stays.
func TestDeletesWhatRealRsyncDeletes(t *testing.T) {
	needRsync(t)
	tr, empty := newTree(t.TempDir()), t.TempDir()
	tr.make(t)
	compareWithRsync(t, tr.root, tr.deleted, func(rules []string) ([]string, error) {
		lines, err := rsync(append(filterArgs(rules), "-rn8", "--delete", "--out-format=%o:%n", empty+"/", tr.root+"/")...)
		files := slices.DeleteFunc(after("del.:", lines), func(name string) bool { return strings.HasSuffix(name, "/") })
		return files, err
	})
}

func compareWithRsync(t *testing.T, root string, ours func(*List) []string, theirs func(rules []string) ([]string, error)) {
	touched := 0
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfN(anyRule, 1, 4).Draw(t, "rules")
		for i := range rules {
			rules[i] = fullPath(t, root, rules[i])
		}
		l, err := Parse(rules...)
		if err != nil {
			t.Fatal(err)
		}
		l.SetBase(root)
		want, err := theirs(rules)
		if err != nil {
			t.Fatal(err)
		}
		got := ours(l)
		if !slices.Equal(want, got) {
			t.Fatalf("rules %q: rsync (-) and we (+) disagree: %s", rules, cmp.Diff(want, got))
		}
		touched += len(got)
	})
	if touched == 0 {
		t.Error("no rule let any name through: the test compares nothing")
	}
}

// Which rules are understood: what rsync refuses we refuse, and we refuse nothing else but what is not implemented.
func TestRefusesWhatRealRsyncRefuses(t *testing.T) {
	needRsync(t)
	empty := t.TempDir()
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"+", "-", "H", "S", "P", "R", "!", "exclude", "include", "hide", "show", "protect", "risk", "clear",
		",", "_", " ", " ", "/", "s", "r", "p", "a", "*", "[", `\`, "z",
	}), 1, 5)
	// Chance alone accepts one in ten: these are there in any case.
	known := map[string]bool{
		"- a": true, "H,/ a": true, "include,s a": true, "risk a*": true, "!": true,
		"-": false, "!a": false, "-z a": false, "exclude": false, "z a": false,
	}
	agree := func(t interface{ Fatalf(string, ...any) }, rule string) (accepted bool) {
		_, ours := Parse(rule)
		_, theirs := rsync("-rn", "--filter="+rule, empty+"/", empty+"/")
		if (ours == nil) != (theirs == nil) {
			t.Fatalf("rule %q: ours %v, rsync's %v", rule, ours, explain(theirs))
		}
		return ours == nil
	}
	for rule, want := range known {
		if agree(t, rule) != want {
			t.Errorf("rule %q: accepted %v, want %v", rule, !want, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		beginning := rapid.SampledFrom([]string{"", "", "", "- ", "H,/ ", "include,"}).Draw(t, "beginning")
		agree(t, beginning+strings.Join(pieces.Draw(t, "pieces"), ""))
	})
}

func explain(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return fmt.Sprintf("%v: %s", err, exit.Stderr)
	}
	return fmt.Sprint(err)
}
