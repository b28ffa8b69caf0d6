package mariadbd

import "strings"

// A word is an argument, and how mariadbd writes it for sh.
type word struct{ text, shell string }

// plain stands as it is.
func plain(text string) word { return word{text, text} }

// quoted is what mariadbd puts between single quotes.
func quoted(text string) word { return word{text, "'" + text + "'"} }

// hinted is one of mariadbd's own arguments, as it follows --mysqld-args: escaped,
// and its value in double quotes if something in it asks for that.
func hinted(text string) word {
	escaped := strings.NewReplacer(`"`, `\"`, `\`, `\\`, `$`, `\$`).Replace(text)
	if !strings.ContainsAny(text, " \t\n'&`|><;") {
		return word{text, escaped}
	}
	name, value, given := strings.Cut(escaped, "=")
	if !given {
		return word{text, `"` + escaped + `"`}
	}
	return word{text, name + `="` + value + `"`}
}

// shellLine is what mariadbd hands to sh -c.
func shellLine(words []word) string {
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = w.shell
	}
	return strings.Join(parts, " ")
}

func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}
