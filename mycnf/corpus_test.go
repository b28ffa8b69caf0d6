package mycnf

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/mycnf/corpustest"
)

const corpusDir = "../testdata/mycnf-corpus"

// saysMore are the messages of ours, by case, where the real program is silent.
var saysMore = map[string]string{
	"126-directive-long-name": "not read, its name has more than",
}

func TestCorpusOfTheReader(t *testing.T) {
	dir := corpustest.Copy(t, corpusDir)
	ran := 0
	for _, c := range corpustest.Read(t, corpusDir) {
		if c.Picker {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			out, exit, said := printDefaults(LoadOptions{
				LookupEnv:     func(n string) (string, bool) { v, ok := c.Env[n]; return v, ok },
				Dirs:          []string{},
				Dir:           dir,
				ServerVersion: corpustest.Server,
			}, c.Args)
			if exit != c.Exit {
				t.Errorf("exit %d, want %d (%q)", exit, c.Exit, said)
			}
			if diff := cmp.Diff(c.Stdout, out); diff != "" {
				t.Errorf("stdout (-want +got):\n%s", diff)
			}
			if extra := saysMore[c.Name]; extra != "" {
				said = slices.DeleteFunc(said, func(s string) bool { return strings.Contains(s, extra) })
			}
			compareMessages(t, c.Stderr, said)
		})
	}
	if ran != corpustest.ReaderCases {
		t.Errorf("%d cases ran, want %d", ran, corpustest.ReaderCases)
	}
}

// compareMessages checks that everything the real program said is said by ours
// too, in other words but of the same file and line, and nothing else.
func compareMessages(t *testing.T, want, got []string) {
	t.Helper()
	want = slices.DeleteFunc(slices.Clone(want), func(s string) bool { return strings.HasPrefix(s, "Fatal error in defaults handling") })
	if len(want) != len(got) {
		t.Fatalf("said %q, want %q", got, want)
	}
	object := regexp.MustCompile(`'([^']*)'|([^ ]*\.cnf)( at line:? (\d+)|$)`)
	for i, w := range want {
		w = strings.NewReplacer("@DIR@/", "", "Can't", "Cannot").Replace(w)
		m := object.FindAllStringSubmatch(w, -1)
		if m == nil {
			t.Errorf("nothing to look for in %q", w)
		}
		for _, m := range m {
			if name := strings.TrimPrefix(m[1]+m[2], "!include"); !strings.Contains(got[i], strings.TrimSpace(name)) {
				t.Errorf("%q does not name %q", got[i], name)
			}
			if m[4] != "" && !strings.Contains(got[i], " line "+m[4]+":") {
				t.Errorf("%q does not name line %s", got[i], m[4])
			}
		}
	}
}

// printDefaults calls PrintDefaults, without help.
func printDefaults(o LoadOptions, args []string) (stdout string, exit int, said []string) {
	var out strings.Builder
	exit = PrintDefaults(args, Printing{LoadOptions: o, Out: &out, Say: func(s string) { said = append(said, s) }})
	return out.String(), exit, said
}
