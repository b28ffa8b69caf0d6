package cli

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// The commands in the documents are right: those in blocks marked `console` are run, a
// folder for each document, unless a comment "not run: REASON" stands above the block;
// and every command of ours in any block of code is one that the program understands.
// (Documents go stale in the commands first.)

// This binary is the program when it is called by its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == program {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// A docBlock is a block of code.
type docBlock struct {
	line  int    // of its first line
	kind  string // what stands behind the backquotes
	text  []string
	notes string // the line above it
}

func documents(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../docs/*.md")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v, %v: the test looks in the wrong place", files, err)
	}
	return append(files, "../README.md")
}

// blocksOf finds the blocks of a document, fenced and indented.
func blocksOf(t *testing.T, file string) (blocks []docBlock) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fenced, before, indent := false, "", ""
	for i, line := range strings.Split(string(b), "\n") {
		bare := strings.TrimLeft(line, " ") // a block within a list
		kind, fence := strings.CutPrefix(bare, "```")
		if fence && !fenced {
			indent = line[:len(line)-len(bare)]
		}
		switch {
		case fence && !fenced:
			blocks = append(blocks, docBlock{line: i + 2, kind: strings.TrimSpace(kind), notes: before})
			fenced = true
		case fence:
			fenced = false
		case fenced:
			last := &blocks[len(blocks)-1]
			last.text = append(last.text, strings.TrimPrefix(line, indent))
		case strings.HasPrefix(line, "    "):
			blocks = append(blocks, docBlock{line: i + 1, text: []string{line}})
		}
		before = strings.TrimSpace(line)
	}
	return blocks
}

// A docCommand is what somebody types, and what it shows him.
type docCommand struct {
	line        int
	typed, want string
}

func (b docBlock) commands(t *testing.T, file string) (all []docCommand) {
	t.Helper()
	for i, line := range b.text {
		switch {
		case strings.HasPrefix(line, "$ "):
			all = append(all, docCommand{line: b.line + i, typed: line[2:]})
		case len(all) == 0:
			t.Fatalf("%s:%d: output before any command", file, b.line+i)
		case strings.HasPrefix(line, "> ") && all[len(all)-1].want == "":
			all[len(all)-1].typed += "\n" + line[2:]
		default:
			all[len(all)-1].want += line + "\n"
		}
	}
	return all
}

var notRun = regexp.MustCompile(`^<!-- not run: \S.* -->$`)

func TestTheCommandsOfTheDocumentsRun(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, program)); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, file := range documents(t) {
		dir := t.TempDir()
		for _, block := range blocksOf(t, file) {
			if block.kind != "console" || notRun.MatchString(block.notes) {
				continue
			}
			for _, c := range block.commands(t, file) {
				ran++
				cmd := exec.CommandContext(t.Context(), "sh", "-ec", c.typed)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				if err != nil || !shows(string(out), c.want) {
					t.Errorf("%s:%d: %s: %v\n%s", file, c.line, c.typed, err, out)
				}
			}
		}
	}
	if ran < 5 {
		t.Errorf("only %d commands were run", ran)
	}
}

// shows says whether a document shows what came: … stands for anything, and nothing for
// all of it.
func shows(got, want string) bool {
	if want == "" {
		return true
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
	return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got)
}

var (
	substitution = regexp.MustCompile(`"?\$\([^)]*\)"?|"\$[A-Z]+"|\$[A-Z]+`)
	endOfCommand = regexp.MustCompile("[;&|>#\")`]|\\.\\.\\.|…|  ") // a comment may stand behind two blanks
	optionalPart = regexp.MustCompile(`\[=[A-Z:]+\]`)
)

// typedIn finds the arguments of our program in a line of code.
func typedIn(line string) (all [][]string) {
	line = substitution.ReplaceAllString(strings.TrimSuffix(line, `\`), "x")
	for {
		i := strings.Index(line, program+" ")
		if i < 0 {
			return all
		}
		before := line[:i]
		line = line[i+len(program)+1:]
		if strings.HasSuffix(before, "_") || strings.HasSuffix(before, "=") || strings.HasSuffix(strings.TrimSpace(before), "cp") {
			continue
		}
		command := optionalPart.ReplaceAllString(line, "")
		if at := endOfCommand.FindStringIndex(command); at != nil {
			command = command[:at[0]]
		}
		if words := strings.Fields(strings.ReplaceAll(command, "'", "")); len(words) > 0 {
			all = append(all, words)
		}
	}
}

func TestTheCommandsOfTheDocumentsAreUnderstood(t *testing.T) {
	understood := 0
	for _, file := range documents(t) {
		for _, block := range blocksOf(t, file) {
			for i, line := range block.text {
				for _, words := range typedIn(line) {
					if !slices.ContainsFunc(commandNames(t), func(n string) bool { return n == words[0] }) && !strings.HasPrefix(words[0], "--") &&
						regexp.MustCompile(`^[^a-z]|[^a-z-]`).MatchString(words[0]) {
						continue // a path, or part of a sentence
					}
					if err := understand(words); err != nil {
						t.Errorf("%s:%d: %s: %v", file, block.line+i, strings.Join(words, " "), err)
						continue
					}
					understood++
				}
			}
		}
	}
	if understood < 20 {
		t.Errorf("only %d commands were looked at", understood)
	}
}

func TestCommandsAreFoundInDocuments(t *testing.T) {
	for line, want := range map[string]string{
		"sudo -u mysql wsrep_sst_rsync_tunnel check":                                                         "[[check]]",
		"    wsrep_sst_rsync_tunnel certs self --cn \"$(hostname -f)\" --out /tls   # x":                     "[[certs self --cn x --out /tls]]",
		`["sh", "-c", "wsrep_sst_rsync_tunnel status --live && { wsrep_sst_rsync_tunnel status --probe; }"]`: "[[status --live] [status --probe]]",
		"cp wsrep_sst_rsync_tunnel /usr/bin":                                                                 "[]",
		"wsrep_sst_method=rsync_tunnel":                                                                      "[]",
	} {
		if got := fmt.Sprint(typedIn(line)); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
	if understand([]string{"certs", "self", "--out", "x"}) == nil || understand([]string{"chekc"}) == nil {
		t.Error("everything is understood")
	}
	if !shows("a 1 b\n", "a … b\n") || shows("a 1 c\n", "a … b\n") {
		t.Error("what is shown is not compared")
	}
}

func newTestParser() (*kong.Kong, error) {
	return kong.New(&commands{}, kong.Name(program), kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}), kong.Vars{"version": ""})
}

func commandNames(t *testing.T) (names []string) {
	t.Helper()
	parser, err := newTestParser()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range parser.Model.Children {
		names = append(names, c.Name)
	}
	return names
}

// understand parses a command line. What print-defaults takes is another program's.
func understand(words []string) error {
	if words[0] == printDefaultsName {
		return nil
	}
	parser, err := newTestParser()
	if err != nil {
		return err
	}
	_, err = parser.Parse(words)
	return err
}

// The page shows the file that people build with.
func TestTheContainerfileIsInItsPage(t *testing.T) {
	file, err := os.ReadFile("../docs/Containerfile")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../docs/containers.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```Dockerfile\n"+string(file)+"```\n") {
		t.Error("docs/containers.md does not show docs/Containerfile as it is")
	}
}

var linkTo = regexp.MustCompile(`\]\(([a-z/-]+\.(?:md|svg))(?:#[^)]*)?\)`)

// A link to another document leads somewhere.
func TestLinksBetweenDocuments(t *testing.T) {
	links := 0
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range linkTo.FindAllStringSubmatch(string(text), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}
