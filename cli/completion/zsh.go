package completion

import (
	"fmt"
	"strings"
)

func zsh(b *strings.Builder, program string, all []place) {
	fmt.Fprintf(b, `#compdef %[1]s
# zsh completion for %[1]s: as _%[1]s in a folder of $fpath
_%[1]s() {
	local at= i flag
	local -a commands flags values
	for ((i = 2; i < CURRENT; i++)); do
		case "$at:${words[i]}" in
		(*:--mysqld-args) _files; return ;;
`, program)
	steps(all, func(from, word, to string) { fmt.Fprintf(b, "\t\t('%s:%s') at='%s' ;;\n", from, word, to) })
	b.WriteString("\t\tesac\n\tdone\n\tif [[ ${words[CURRENT]} == --*=* ]]; then\n\t\tflag=${words[CURRENT]%%=*}\n\t\tcompset -P '*='\n\t\tcase \"$at:$flag\" in\n")
	for _, p := range all {
		for _, f := range p.flags {
			if v := values(f.Value); v != nil {
				fmt.Fprintf(b, "\t\t('%s:--%s') values=(%s) ;;\n", p.path, f.Name, strings.Join(v, " "))
			}
		}
	}
	b.WriteString("\t\tesac\n\t\t(( $#values )) && compadd -a values || _files\n\t\treturn\n\tfi\n\tcase \"$at\" in\n")
	for _, p := range all {
		fmt.Fprintf(b, "\t('%s')\n\t\tcommands=(%s)\n\t\tflags=(%s) ;;\n", p.path, strings.Join(p.described(), " "), strings.Join(p.describedFlags(), " "))
	}
	fmt.Fprintf(b, `	esac
	if [[ ${words[CURRENT]} == -* ]]; then
		_describe -o flag flags
	elif (( $#commands )); then
		_describe command commands
	else
		_files
	fi
}
if [[ $funcstack[1] == _%[1]s ]]; then
	_%[1]s "$@"
else
	compdef _%[1]s %[1]s
fi
`, program)
}

// described are the commands and words that may follow, as _describe has them.
func (p place) described() (all []string) {
	for _, c := range p.children {
		all = append(all, quoted(c.Name+":"+colons(c.Help)))
	}
	for _, w := range p.words {
		all = append(all, quoted(w))
	}
	return all
}

func (p place) describedFlags() (all []string) {
	for _, f := range p.flags {
		name := "--" + f.Name
		if !f.IsBool() {
			name += "="
		}
		all = append(all, quoted(name+":"+colons(f.Help)))
	}
	return all
}

func colons(text string) string { return strings.ReplaceAll(text, ":", `\:`) }
