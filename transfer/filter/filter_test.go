package filter

import (
	"strings"
	"testing"
)

// verdict is what one rule decides about a name.
type verdict string

const (
	included  verdict = "included"
	excluded  verdict = "excluded"
	unmatched verdict = "not matched"
)

// decide asks a list of one rule; a second rule behind it that excludes or includes everything tells "included" and "not
// matched" apart.
func decide(t *testing.T, rule, path string) verdict {
	t.Helper()
	name, dir := strings.CutSuffix(path, "/")
	thenHidden, thenShown := parse(t, rule, "- **"), parse(t, rule, "+ **")
	a, b := thenHidden.Excluded(Receiver, name, dir), thenShown.Excluded(Receiver, name, dir)
	switch {
	case a && b:
		return excluded
	case !a && !b:
		return included
	}
	return unmatched
}

func parse(t *testing.T, rules ...string) *List {
	t.Helper()
	l, err := Parse(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
