package completion

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

func fish(b *strings.Builder, program string, all []place) {
	fmt.Fprintf(b, `# fish completion for %[1]s: as %[1]s.fish in ~/.config/fish/completions
function __%[1]s_at
	set -l at
	for word in (commandline -opc)[2..-1]
		switch "$at:$word"
		case '*:--mysqld-args'
			return 1
`, program)
	steps(all, func(from, word, to string) {
		fmt.Fprintf(b, "\t\tcase '%s:%s'\n\t\t\tset at '%s'\n", from, word, to)
	})
	fmt.Fprintf(b, "\t\tend\n\tend\n\ttest \"$at\" = \"$argv\"\nend\n")
	for _, p := range all {
		at := fmt.Sprintf("complete -c %[1]s -n \"__%[1]s_at '%[2]s'\"", program, p.path)
		for _, c := range p.children {
			fmt.Fprintf(b, "%s -f -a %s -d %s\n", at, c.Name, quoted(c.Help))
		}
		if p.words != nil {
			fmt.Fprintf(b, "%s -f -a %s\n", at, quoted(strings.Join(p.words, " ")))
		}
		for _, f := range p.flags {
			fmt.Fprintf(b, "%s -l %s%s -d %s\n", at, f.Name, fishValue(f), quoted(f.Help))
		}
	}
}

// fishValue says what follows a flag: nothing, one of few words, or anything.
func fishValue(f *kong.Flag) string {
	switch v := values(f.Value); {
	case f.IsBool():
		return ""
	case v != nil:
		return " -x -a " + quoted(strings.Join(v, " "))
	}
	return " -r"
}
