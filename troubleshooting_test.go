package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// docs/troubleshooting.md has every message about configuration and TLS. Which those are
// is not left to a list that somebody must keep: every string of two words or more in the
// files below counts as one, whatever it is handed to, so that a new message cannot be
// forgotten by building it in a new way. What is none is named in notMessages.
var (
	messageFiles = []string{
		"tls/*.go", "mycnf/*.go", "cli/check/*.go",
		"sst/address.go", "sst/args*.go", "sst/channel.go", "sst/method_*.go", "sst/settings*.go",
	}

	// notMessages are declarations and functions, by FILE:NAME, whose strings are not
	// told to anybody. Functions called describe… say what is all well.
	notMessages = []string{
		// Words of OpenSSL's cipher lists.
		"tls/cipher.go:suites", "tls/cipher.go:kECDHE", "tls/cipher.go:kRSA", "tls/cipher.go:gcm", "tls/cipher.go:cbc256",
		"tls/cipher.go:cbcEC", "tls/cipher.go:cbcRSA", "tls/cipher.go:foreignWords", "tls/cipher.go:foreignParts",
		// What PEM blocks are called.
		"tls/pem.go:isCertificate", "tls/pem.go:isKey",
		// Peer.Version where there is no TLS.
		"tls/clear.go:Peer",
	}
)

const troubleshooting = "docs/troubleshooting.md"

func TestEachMessageIsInTheTroubleshootingPage(t *testing.T) {
	page, err := os.ReadFile(troubleshooting)
	if err != nil {
		t.Fatal(err)
	}
	known := newPage(string(page))
	found := sourceMessages(t)
	if len(found) < 150 {
		t.Fatalf("only %d messages found: the test looks in the wrong place", len(found))
	}
	said := map[string]bool{}
	for _, m := range found {
		if !known.has(m.text) && !said[m.text] {
			said[m.text] = true
			t.Errorf("%s: not in %s: %s", m.where, troubleshooting, m.text)
		}
	}
}

// The collector would be worth nothing if it passed over messages.
func TestMessagesAreFoundHoweverTheyAreBuilt(t *testing.T) {
	const source = `package p

import "a message of imports"

var table = []row{{names: "so-keepalive keepalive", why: "of a table"}, socketInt("tcp-nodelay nodelay")}

const secret = "of a constant"

type t struct {
	f string ` + "`json:\"of a tag\"`" + `
}

func f(err error) error {
	if err.Error() == "of a comparison" || strings.Contains(err.Error(), "of a search") {
		l.infof("of good news %s", x)
		return fault("object", "of a hint", "of a fault %s: %w", x, err)
	}
	text := "of a sum " + x + " with more"
	w = append(w, fmt.Sprintf("of a warning: %d%%", 1))
	return &refusal{text: "of a field"}
}

func describe() string { return "of a description" }
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range messagesOf(file, func(name string) bool { return name == "secret" }) {
		got = append(got, pageForm(m.text))
	}
	want := []string{"of a table", "of a hint", "of a fault", "of a sum … with more", "of a warning: …%", "of a field"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}

	p := newPage("| `of a … fault` | a long sentence with `a key` in it |\n```\nof a block\n```\n")
	for text, want := range map[string]bool{
		"of a … fault": true, "of a fault": false, "a … fault": true, "of a block": false,
		"long sentence": false, "a long sentence with a key in it": true, "a long sentence with a key in them": false,
	} {
		if p.has(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

// A message is a string of the sources in the form that the page has it in.
type message struct{ where, text string }

func sourceMessages(t *testing.T) []message {
	t.Helper()
	var found []message
	unused := slices.Clone(notMessages)
	for _, pattern := range messageFiles {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v files, %v", pattern, files, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range messagesOf(file, func(declared string) bool {
				i := slices.Index(unused, name+":"+declared)
				if i >= 0 {
					unused = slices.Delete(unused, i, i+1)
				}
				return slices.Contains(notMessages, name+":"+declared)
			}) {
				if text := pageForm(m.text); strings.Contains(text, " ") {
					found = append(found, message{fmt.Sprintf("%s:%d", name, set.Position(m.pos).Line), text})
				}
			}
		}
	}
	for _, name := range unused {
		t.Errorf("notMessages has %s, which is not there any more", name)
	}
	return found
}

type literal struct {
	pos  token.Pos
	text string
}

// messagesOf collects the strings with a blank between words. Those that are put
// together by + are one, with a placeholder for what is not constant.
func messagesOf(file *ast.File, exempt func(declared string) bool) []literal {
	var out []literal
	visit := func(n ast.Node) bool {
		if !told(n) {
			return false
		}
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op != token.ADD {
				return true
			}
			if text, constant := concatenated(n); constant {
				if isProse(text) {
					out = append(out, literal{n.Pos(), text})
				}
				return false
			}
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return false
			}
			if text, err := strconv.Unquote(n.Value); err == nil && isProse(text) {
				out = append(out, literal{n.Pos(), text})
			}
		}
		return true
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if !exempt(d.Name.Name) && !strings.HasPrefix(strings.ToLower(d.Name.Name), "describe") {
				ast.Inspect(d, visit)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok && exempt(v.Names[0].Name) {
					continue
				}
				ast.Inspect(s, visit)
			}
		}
	}
	return out
}

// told is false for what is read, compared or all well, and no message of anything that
// somebody has to do something about.
func told(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.Field:
		return n.Tag == nil
	case *ast.BinaryExpr:
		return n.Op != token.EQL && n.Op != token.NEQ
	case *ast.KeyValueExpr: // names of options; what net.OpError is recognized by
		key, ok := n.Key.(*ast.Ident)
		return !ok || key.Name != "names" && key.Name != "Op"
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			name, _ := n.Fun.(*ast.Ident)
			return name == nil || !strings.HasPrefix(name.Name, "socket") // rows of a table of options
		}
		of, _ := f.X.(*ast.Ident)
		if of != nil && of.Name == "strings" {
			return slices.Contains([]string{"Join", "ReplaceAll", "Replace"}, f.Sel.Name)
		}
		return !slices.Contains([]string{"ok", "infof", "MustCompile"}, f.Sel.Name)
	}
	return true
}

// concatenated is the text of a sum with a literal in it; parts that are not constant are
// placeholders.
func concatenated(e ast.Expr) (text string, hasLiteral bool) {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			a, x := concatenated(e.X)
			b, y := concatenated(e.Y)
			return a + b, x || y
		}
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	}
	return "%s", false
}

var twoWords = regexp.MustCompile(`\pL[\pL0-9,;:.()"']* [("']?\pL`)

func isProse(text string) bool { return twoWords.MatchString(text) }

var (
	verb  = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)
	cause = regexp.MustCompile(`[: (]*%(\.0)?w\)?$`)
	blank = regexp.MustCompile(`\s+`)
)

// pageForm is how a page shows a message: … for what differs, but not at its ends, and
// without the cause that Go or the system adds.
func pageForm(format string) string {
	text := cause.ReplaceAllString(format, "")
	text = strings.ReplaceAll(verb.ReplaceAllString(text, "…"), "%%", "%")
	return strings.Trim(blank.ReplaceAllString(text, " "), "… :;,")
}

// A page is a document as messages are looked for in it.
type page struct {
	spans []string // what stands in backquotes
	text  string   // all, without the backquotes
}

var (
	codeSpan  = regexp.MustCompile("`[^`]+`")
	codeBlock = regexp.MustCompile("(?s)```.*?```")
)

func newPage(markdown string) page {
	markdown = codeBlock.ReplaceAllString(markdown, "")
	markdown = strings.ReplaceAll(markdown, `\|`, "|")
	markdown = blank.ReplaceAllString(markdown, " ")
	p := page{text: strings.ReplaceAll(markdown, "`", "")}
	for _, s := range codeSpan.FindAllString(markdown, -1) {
		p.spans = append(p.spans, strings.Trim(s, "` "))
	}
	return p
}

// has says whether a message is there: in backquotes, or, if it is long enough not to be
// there by chance, anywhere.
func (p page) has(text string) bool {
	if strings.Count(text, " ") >= 4 && strings.Contains(p.text, strings.ReplaceAll(text, "`", "")) {
		return true
	}
	return slices.ContainsFunc(p.spans, func(s string) bool { return strings.Contains(s, text) })
}
