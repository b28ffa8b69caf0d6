// Package manual writes the man page, of the same source as the help: the grammar of
// the commands and the table of the options.
//
// It promises plain man macros, which groff and mandoc both take without a warning, and
// the same bytes for the same program.
package manual

import (
	_ "embed"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"wsrep_sst_rsync_tunnel/sst"
)

// before and after are what neither the grammar nor the table say, in man macros.
var (
	//go:embed before.8
	before string
	//go:embed after.8
	after string
)

// Write writes the page of section 8 for the program of a grammar.
func Write(w io.Writer, app *kong.Application, version string) error {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH %s 8 \"\" %q \"MariaDB Galera\"\n", strings.ToUpper(app.Name), app.Name+" "+version)
	b.WriteString(before)
	b.WriteString(".SH COMMANDS\n")
	for _, n := range app.Leaves(true) {
		command(&b, n)
	}
	b.WriteString(".SH OPTION FILES\nKeys of the group [sst] of the option files, and those of mariadbd's own groups that are asked.\n")
	for _, o := range sst.Options() {
		option(&b, o)
	}
	b.WriteString(after)
	_, err := io.WriteString(w, b.String())
	return err
}

func command(b *strings.Builder, n *kong.Node) {
	fmt.Fprintf(b, ".SS %s\n%s\n", strings.TrimSpace(escape(words(n))), line(n.Help))
	for _, p := range n.Positional {
		fmt.Fprintf(b, ".TP\n%s\n%s\n", line(p.Summary()), line(p.Help))
	}
	for _, f := range n.Flags {
		if !f.Hidden {
			fmt.Fprintf(b, ".TP\n.B %s\n%s\n", escape(f.String()), line(f.Help))
		}
	}
}

// words are the command as it is typed, without the program's name.
func words(n *kong.Node) string {
	var all []string
	for ; n.Type == kong.CommandNode; n = n.Parent {
		all = append(all, n.Name)
	}
	slices.Reverse(all)
	return strings.Join(all, " ")
}

func option(b *strings.Builder, o sst.Option) {
	name := escape(o.Name)
	if o.Example != "" {
		name += "=" + escape(o.Example)
	}
	facts := []string{"Groups: " + o.Groups}
	if o.ReadBy != "all" {
		facts = append(facts, "read by: "+o.ReadBy)
	}
	if o.Limits != "" {
		facts = append(facts, "value: "+o.Limits)
	}
	if o.Standard != "" {
		facts = append(facts, "default: "+o.Standard)
	}
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n.br\n%s\n", name, markdown(sentence(o.Meaning)), markdown(strings.Join(facts, "; ")+"."))
}

// sentence begins with a capital and ends with a full stop, unless code begins it.
func sentence(text string) string {
	if !strings.HasPrefix(text, "`") && text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".") + "."
}

var (
	link = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	code = regexp.MustCompile("`([^`]*)`")
)

// markdown turns the little Markdown of the options into a line of the page.
func markdown(text string) string {
	text = strings.NewReplacer("see below", "see docs/options.md").Replace(link.ReplaceAllString(text, "docs/$1"))
	return guard(code.ReplaceAllString(escape(text), `\fB$1\fR`))
}

// line makes text a line of the page.
func line(text string) string { return guard(escape(text)) }

// escape keeps roff from reading anything into text; a dash is one that can be copied.
func escape(text string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
}

// guard keeps a line that begins like a request from being one.
func guard(text string) string {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		return `\&` + text
	}
	return text
}
