package mycnf

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/mycnf/corpustest"
)

// notCopied are the results of the corpus that come from a line-based reader
// being fooled, by case and call, with ours and the reason.
var notCopied = map[[2]string]struct{ ours, why string }{
	{"134-pc-underscore", "config_from_cnf sst ssl-mode"}: {"REQUIRED",
		"an operator who writes ssl_mode means ssl-mode, and parse_cnf agrees"},
	{"135-pc-loose", "config_from_cnf sst tca"}: {"/a",
		"loose-tca is tca for parse_cnf and for the server"},
	{"135-pc-loose", "config_from_cnf sst loose-tca"}: {"",
		"nobody asks for a key with its prefix"},
	{"138-pc-trim", "config_from_cnf sst c"}: {"a  b   c",
		"the unquoted echo of the old script squeezed blanks; a file name may have two"},
	{"139-pc-newline-injection", "parse_cnf sst tca"}: {"",
		"a value must not make another key"},
	{"139-pc-newline-injection", "config_from_cnf sst tca"}: {"",
		"a value must not make another key"},
	{"139-pc-newline-injection", "parse_cnf sst a"}: {`x\n--tca=/evil`,
		"the value as it is; who uses it sees that it is odd"},
	{"142-pc-glob", "parse_cnf sst b"}: {"-n",
		"echo took the value for its own option"},
	{"142-pc-glob", "config_from_cnf sst b"}: {"-n",
		"echo took the value for its own option"},
	{"142-pc-glob", "config_from_cnf sst c"}: {"-e x",
		"echo took part of the value for its own option"},
	{"143-pc-key-substring", "config_from_cnf sst tca"}: {"",
		"a key that ends in --tca is another key"},
}

func TestCorpusOfThePickers(t *testing.T) {
	dir := corpustest.Copy(t, corpusDir)
	ran := 0
	left := maps.Clone(notCopied)
	for _, c := range corpustest.Read(t, corpusDir) {
		if !c.Picker {
			continue
		}
		ran++
		t.Run(c.Name, func(t *testing.T) {
			files, err := Load(
				Args{File: c.Name + ".cnf", HasFile: true, Suffix: c.Suffix, HasSuffix: c.Suffix != ""},
				LoadOptions{Dir: dir, LookupEnv: noEnv, ServerVersion: corpustest.Server})
			if (err != nil) != (len(c.Stderr) > 0) {
				t.Errorf("error %v, want one: %v", err, len(c.Stderr) > 0)
			}
			for _, call := range c.Calls {
				want := call.Result
				if d, ok := left[[2]string{c.Name, call.Text}]; ok {
					if d.ours == want {
						t.Errorf("%s: the result %q is no difference", call.Text, want)
					}
					want = d.ours
					delete(left, [2]string{c.Name, call.Text})
				}
				if got := pick(t, files, call.Text); got != want {
					t.Errorf("%s: %q, want %q", call.Text, got, want)
				}
			}
		})
	}
	if ran != corpustest.PickerCases {
		t.Errorf("%d cases ran, want %d", ran, corpustest.PickerCases)
	}
	for d := range left {
		t.Errorf("the corpus has no such call: %q", d)
	}
}

func noEnv(string) (string, bool) { return "", false }

// pick does a call as a shell script would write it.
func pick(t *testing.T, f *Files, call string) string {
	t.Helper()
	var words []string
	for _, w := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(call, -1) {
		words = append(words, strings.Trim(w, "'"))
	}
	groups, key := strings.Split(words[1], "|"), words[2]
	switch words[0] {
	case "parse_cnf", "config_from_cnf":
		if o, ok := f.Get(groups, key); ok {
			return strings.ReplaceAll(o.Value, "\n", `\n`)
		}
		return strings.Join(words[3:], "")
	case "in_config":
		if f.Has(groups, key) {
			return "1"
		}
		return "0"
	}
	t.Fatalf("function %q is not known", words[0])
	return ""
}

func TestServerGroups(t *testing.T) {
	plain := []string{"mysqld", "server", "mariadb", "mariadbd", "client-server", "galera"}
	for version, want := range map[string][]string{
		"":                    nil,
		"10.11":               {"mysqld-10.11", "mariadb-10.11", "mariadbd-10.11"},
		"11.4.5-MariaDB-log":  {"mysqld-11.4", "mariadb-11.4", "mariadbd-11.4"},
		"10":                  nil,
		"10.":                 nil,
		".11":                 nil,
		"mariadbd 10.11":      nil,
		"10.x":                nil,
		"10.6.21-MariaDB:abc": {"mysqld-10.6", "mariadb-10.6", "mariadbd-10.6"},
	} {
		if got := ServerGroups(version); !slices.Equal(got, append(slices.Clone(plain), want...)) {
			t.Errorf("ServerGroups(%q) = %q", version, got)
		}
	}
}

func TestKeysGivesTheLastInstanceOfEveryKeyInFileOrder(t *testing.T) {
	f := load(t, "[sst]\ntca=1\nssl_mode=a\nloose-tca=2\n[other]\nx=1\n[sst1]\nssl-mode\nTCA=3\n", Args{Suffix: "1", HasSuffix: true})
	var got []string
	for _, o := range f.Keys("sst") {
		got = append(got, o.argument())
	}
	if want := []string{"--loose-tca=2", "--ssl-mode", "--TCA=3"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGetTellsWhereAValueStands(t *testing.T) {
	f := load(t, "# one\n[sst]\n\ntca = /ca\n", Args{})
	o, ok := f.Get([]string{"sst"}, "tca")
	if !ok || o.Line != 4 || !strings.HasSuffix(o.File, "/my.cnf") || o.Group != "sst" {
		t.Errorf("got %+v, %v", o, ok)
	}
}
