package filter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// send is what a list puts on the wire, as rule texts.
func send(t testing.TB, l *List) []string {
	t.Helper()
	rules, rest := split(t, transmit(l))
	if len(rest) != 0 {
		t.Fatalf("bytes behind the end of the list: % x", rest)
	}
	return rules
}

func transmit(l *List) []byte {
	var conn bytes.Buffer
	w := wire.NewWriter(&conn)
	defer w.Release()
	l.Send(w)
	w.Flush()
	return conn.Bytes()
}

// split takes a transmitted list apart without package wire.
func split(t testing.TB, b []byte) (rules []string, rest []byte) {
	for {
		if len(b) < 4 {
			t.Fatalf("list without an end: %q", b)
		}
		n := binary.LittleEndian.Uint32(b)
		if b = b[4:]; n == 0 {
			return rules, b
		}
		rules, b = append(rules, string(b[:n])), b[n:]
	}
}

func receive(b []byte) (*List, error) {
	r := wire.NewReader(bytes.NewReader(b))
	defer r.Release()
	return Receive(r)
}

// What is typed and what of it a real client sends, rsync-wire.md §7.1.
func TestRulesAreSentInNormalForm(t *testing.T) {
	tests := []struct{ name, typed, sent string }{
		{"exclusion", "- /*", "- /*"},
		{"inclusion", "+ b", "+ b"},
		{"long form", "exclude */x", "- */x"},
		{"long form with underscore", "include_x y", "+ x y"},
		{"long form with modifiers", "exclude,!p x", "-!p x"},
		{"underscore for a space", "-_x", "- x"},
		{"comma before modifiers", "-,r x", "-r x"},
		{"directory", "+ /*/", "+ /*/"},
		{"protect", "P d", "-r d"},
		{"protect, long form, directory", "protect o/", "-r o/"},
		{"receiver's exclusion", "-r d", "-r d"},
		{"risk", "R f", "+r f"},
		{"risk, long form", "risk f", "+r f"},
		{"both sides said", "-rs l", "-sr l"},
		{"inverted", "-! g", "-! g"},
		{"full path", "-/ /h", "-/ /h"},
		{"perishable", "-p i", "-p i"},
		{"all modifiers in another order", "+prs!/ i", "+/!srp i"},
		{"protect with modifiers", "P/!p i", "-/!rp i"},
		{"hide stays here", "H c", ""},
		{"hide, long form", "hide c", ""},
		{"show stays here", "S e", ""},
		{"show, long form", "show e", ""},
		{"sender's exclusion stays here", "-s c", ""},
		{"spaces at both ends of the pattern", "-  x ", "-  x "},
		{"pattern with raw bytes", "- odd\xff\n", "- odd\xff\n"},
		{"slash alone is no directory rule", "- /", "- /"},
		{"two slashes are one and a directory rule", "- //", "- //"},
		{"pattern that looks like a rule", "- - x", "- - x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			if tt.sent != "" {
				want = []string{tt.sent}
			}
			if d := cmp.Diff(want, send(t, parse(t, tt.typed))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRefusedRules(t *testing.T) {
	tests := []struct{ name, rule, says string }{
		{"nothing", "", "is empty"},
		{"no rule name", "x y", "begins with no rule name"},
		{"pattern without a rule name", "/lost+found", "begins with no rule name"},
		{"long name cut short", "exclud x", "begins with no rule name"},
		{"long name with something stuck to it", "exclude*.o", "begins with no rule name"},
		{"no pattern", "-", "has no pattern"},
		{"no pattern behind the space", "- ", "has no pattern"},
		{"no pattern behind modifiers", "-rp", "has no pattern"},
		{"no pattern behind a long name", "protect", "has no pattern"},
		{"pattern stuck to the sign", "-foo", `modifier 'f' is not known here; a space is needed`},
		{"unknown modifier", "-z x", "modifier 'z' is not known here"},
		{"modifier that is not ASCII", "-\xff x", "is not known here"},
		{"side modifier for hide", "Hs x", "modifier 's' is not known here"},
		{"side modifier for risk", "risk,r x", "modifier 'r' is not known here"},
		{"extended attributes", "-x user.*", "modifier 'x' is not supported"},
		{"CVS rules", "-C", "modifier 'C' is not supported"},
		{"modifier of merge rules e", "-e x", "modifier 'e'"},
		{"modifier of merge rules n", "-n x", "modifier 'n'"},
		{"modifier of merge rules w", "-w x", "modifier 'w'"},
		{"directory merge", ": .rf", "merge files are not supported"},
		{"directory merge of CVS", ":C .cvsignore", "merge files are not supported"},
		{"directory merge, long form", "dir-merge .rf", "merge files are not supported"},
		{"merge", ". /etc/passwd", "merge files are not supported"},
		{"merge, long form", "merge file", "merge files are not supported"},
		{"clearing rule with a pattern", "! x", "must have nothing behind it"},
		{"clearing rule, long form, with a pattern", "clear x", "must have nothing behind it"},
		{"NUL inside", "- a\x00b", "holds a NUL"},
		{"rule that is too long", "- " + strings.Repeat("x", wire.MaxRule-1), "5120 bytes long, at most 5119"},
		{"pattern that is too long", "- " + strings.Repeat("x", wire.MaxName+1), "its pattern has 4096 bytes, at most 4095"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("- fine", tt.rule)
			var refused *RuleError
			if !errors.As(err, &refused) || refused.Rule != tt.rule || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			}
		})
	}
}

func TestLongestPatternIsAccepted(t *testing.T) {
	name := strings.Repeat("x", wire.MaxName)
	for _, slash := range []string{"", "/"} {
		l := parse(t, "- "+name+slash)
		again, err := receive(transmit(l))
		if err != nil || !again.Excluded(Receiver, name, true) {
			t.Error(err)
		}
	}
}

func TestClearDropsWhatCameBefore(t *testing.T) {
	for _, clear := range []string{"!", "clear", "!,", "clear,"} {
		l := parse(t, "- a", clear, "- b")
		if l.Excluded(Sender, "a", false) || !l.Excluded(Sender, "b", false) {
			t.Errorf("%q: a excluded %v, b excluded %v", clear, l.Excluded(Sender, "a", false), l.Excluded(Sender, "b", false))
		}
		if got := send(t, l); !slices.Equal(got, []string{"- b"}) {
			t.Errorf("%q: sent %q", clear, got)
		}
	}
}

// The lists that real clients of all versions sent, out of the captures.
func TestListsOfRealClients(t *testing.T) {
	a := []string{"- /lost+found", "- /.zfs", "+ /wsrep_sst_binlog.tar", "+ /ib_lru_dump", "+ /ibdata*", "+ /undo*", "+ /*/", "- /*"}
	b := []string{"+ /ib_logfile[0-9]*", "+ /aria_log.*", "- **"}
	c := []string{"- */ib_logfile*"}
	for capture, want := range map[string][]string{
		"a-whole-p32": a, "a-delta-p30": a, "x-a-delta-cli3.0.9": a, "x-a-delta-cli3.1.3": a, "x-a-delta-cli3.2.7": a,
		"b-whole-p32": b, "b-whole-p31": b, "c-delta-p32": c, "x-c-delta-cli3.0.9": c,
	} {
		raw, err := os.ReadFile(filepath.Join("../../testdata/captures", capture+".c2s"))
		if err != nil {
			t.Fatal(err)
		}
		first := want[0]
		at := bytes.Index(raw, append(binary.LittleEndian.AppendUint32(nil, uint32(len(first))), first...))
		if at < 0 {
			t.Fatalf("%s: no filter list", capture)
		}
		l, err := receive(raw[at:])
		if err != nil {
			t.Fatalf("%s: %v", capture, err)
		}
		if d := cmp.Diff(want, send(t, l)); d != "" {
			t.Errorf("%s: %s", capture, d)
		}
		if ours := transmit(parse(t, want...)); !bytes.HasPrefix(raw[at:], ours) {
			t.Errorf("%s: what we send for the same rules differs", capture)
		}
	}
}

func TestReceiveRefuses(t *testing.T) {
	rule := func(texts ...string) []byte {
		var b []byte
		for _, s := range texts {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
		return b
	}
	long := "- " + strings.Repeat("x", 4000)
	tests := []struct {
		name  string
		input []byte
		says  string
	}{
		{"negative length", []byte{0xff, 0xff, 0xff, 0xff}, "filter rule of -1 bytes"},
		{"length beyond the limit", []byte{0, 0x14, 0, 0}, "filter rule of 5120 bytes, at most 5119"},
		{"too many rules", append(bytes.Repeat(rule("- x"), maxRules), rule("- x")...), "or more than 10000 of them"},
		{"too many bytes", bytes.Repeat(rule(long), maxRuleBytes/4000+1), "more than 1048576 bytes"},
		{"rule of another client's making", rule("- x", ": .rsync-filter"), `filter rule ": .rsync-filter": merge files`},
		{"end of input instead of a rule", rule("- x"), "filter list after 1 rules: unexpected EOF"},
		{"end of input behind a length", []byte{3, 0, 0, 0}, "filter list after 0 rules: unexpected EOF"},
		{"nothing at all", nil, "filter list after 0 rules: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := receive(tt.input); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %q", err, tt.says)
			} else if strings.Contains(tt.says, "EOF") && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%v is not io.ErrUnexpectedEOF", err)
			}
		})
	}
	if l, err := receive(append(bytes.Repeat(rule("- x"), maxRules), 0, 0, 0, 0)); err != nil || len(l.rules) != maxRules {
		t.Errorf("as many rules as allowed: %v", err)
	}
}

// anyRule is a rule of any kind we support, around a pattern of the sort in patterns.
var anyRule = rapid.Custom(func(t *rapid.T) string {
	kind := rapid.SampledFrom([]string{"-", "-", "+", "+", "H", "S", "P", "R"}).Draw(t, "kind")
	choices := []string{"", "", "", "!", "p"}
	if kind == "-" || kind == "+" {
		choices = append(choices, "s", "r", "sr")
	}
	return kind + rapid.SampledFrom(choices).Draw(t, "modifiers") + " " + anyPattern.Draw(t, "pattern")
})

// Sending and receiving loses nothing the receiver decides by, and a second time changes no byte.
func TestListsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := Parse(rapid.SliceOfN(anyRule, 0, 6).Draw(t, "rules")...)
		if err != nil {
			t.Fatal(err)
		}
		once := transmit(l)
		got, err := receive(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice := transmit(got); !bytes.Equal(once, twice) {
			t.Fatalf("sent %q, and received and sent again %q", once, twice)
		}
		for range 20 {
			name, dir := anyName.Draw(t, "name"), rapid.Bool().Draw(t, "dir")
			if l.Excluded(Receiver, name, dir) != got.Excluded(Receiver, name, dir) ||
				l.ExcludedPerishable(Receiver, name, dir) != got.ExcludedPerishable(Receiver, name, dir) {
				t.Fatalf("%q, directory %v: the received list decides otherwise", name, dir)
			}
		}
	})
}
