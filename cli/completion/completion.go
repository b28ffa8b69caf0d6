// Package completion writes scripts that let a shell complete the commands, of the
// grammar that parses them.
//
// Only what follows --mysqld-args and what print-defaults takes are left alone: they
// are another program's.
package completion

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A place is where a command line can be: at the program, or at a command.
type place struct {
	path     string // words between the program and the cursor, "" at the program
	help     string
	children []*kong.Node
	flags    []*kong.Flag
	words    []string // values of a positional argument that has few
}

// places walks the grammar, the program first and each command before those below it.
func places(app *kong.Application) []place {
	var all []place
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		p := place{path: path, help: n.Help, children: slices.DeleteFunc(slices.Clone(n.Children), func(c *kong.Node) bool { return c.Hidden })}
		if n != app.Node {
			p.flags = append(p.flags, app.HelpFlag)
		}
		p.flags = append(p.flags, slices.DeleteFunc(slices.Clone(n.Flags), func(f *kong.Flag) bool { return f.Hidden })...)
		for _, arg := range n.Positional {
			p.words = append(p.words, values(arg)...)
		}
		all = append(all, p)
		for _, c := range p.children {
			walk(c, strings.TrimSpace(path+" "+c.Name))
		}
	}
	walk(app.Node, "")
	return all
}

// values are those of a flag or an argument that has few.
func values(v *kong.Value) []string {
	if v.Enum == "" {
		return nil
	}
	return slices.DeleteFunc(v.EnumSlice(), func(s string) bool { return s == "" })
}

// Write writes the script for a shell: bash, zsh or fish.
func Write(w io.Writer, app *kong.Application, shell string) error {
	var b strings.Builder
	switch shell {
	case "bash":
		bash(&b, app.Name, places(app))
	case "zsh":
		zsh(&b, app.Name, places(app))
	case "fish":
		fish(&b, app.Name, places(app))
	default:
		return fmt.Errorf("completion %s: bash, zsh and fish are known", shell)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// steps are the branches that lead from one place to the next.
func steps(all []place, branch func(from, word, to string)) {
	for _, p := range all {
		for _, c := range p.children {
			branch(p.path, c.Name, strings.TrimSpace(p.path+" "+c.Name))
		}
	}
}

// quoted is text in single quotes, as all three shells have them. No help has a quote
// that would need more.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "’") + "'" }
