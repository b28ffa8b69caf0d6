package completion

import (
	"fmt"
	"strings"
)

func bash(b *strings.Builder, program string, all []place) {
	fmt.Fprintf(b, `# bash completion for %[1]s: source it, or put it into
# /usr/share/bash-completion/completions/%[1]s
_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} at= words= i
	[[ $cur == = ]] && cur=
	[[ $flag == = ]] && flag=${COMP_WORDS[COMP_CWORD - 2]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "$at:${COMP_WORDS[i]}" in
		*:--mysqld-args) return ;;
`, program)
	steps(all, func(from, word, to string) { fmt.Fprintf(b, "\t\t'%s:%s') at='%s' ;;\n", from, word, to) })
	b.WriteString("\t\tesac\n\tdone\n\tcase \"$at:$flag\" in\n")
	for _, p := range all {
		for _, f := range p.flags {
			if v := values(f.Value); v != nil {
				fmt.Fprintf(b, "\t'%s:--%s') words='%s' ;;\n", p.path, f.Name, strings.Join(v, " "))
			}
		}
	}
	b.WriteString("\t*) case \"$at\" in\n")
	for _, p := range all {
		fmt.Fprintf(b, "\t\t'%s') words='%s' ;;\n", p.path, strings.Join(p.candidates(), " "))
	}
	fmt.Fprintf(b, `		esac ;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
	[[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _%[1]s %[1]s
`, program)
}

// candidates are all words that may follow; a flag that needs a value ends in =.
func (p place) candidates() (all []string) {
	for _, c := range p.children {
		all = append(all, c.Name)
	}
	all = append(all, p.words...)
	for _, f := range p.flags {
		if f.IsBool() {
			all = append(all, "--"+f.Name)
		} else {
			all = append(all, "--"+f.Name+"=")
		}
	}
	return all
}
