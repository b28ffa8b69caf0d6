package mycnf

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// FuzzPrintArgs has one argument a line.
func FuzzPrintArgs(f *testing.F) {
	f.Add("--defaults-file=x\n--mysqld=0\n-nv\n--\n-n")
	f.Add("--no-defaults\n--print-defaults\n--loose-skip-a.mysqld=1\n--server-version=10.11\n-c")
	f.Fuzz(func(t *testing.T, lines string) {
		args := strings.Split(lines, "\n")
		p := parsePrintArgs(slices.Clone(args))
		for _, s := range p.said {
			if s, hint, _ := strings.Cut(s, "\nhint: "); strings.ContainsFunc(s+hint, unicode.IsControl) {
				t.Errorf("message %q has control characters", s+hint)
			}
		}
		if p.status != 0 && len(p.said) == 0 {
			t.Errorf("status %d without a word", p.status)
		}
		for _, g := range p.groups {
			if !slices.Contains(args, g) {
				t.Errorf("group %q is no argument", g)
			}
		}
	})
}
