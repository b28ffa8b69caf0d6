package tls

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSockoptGrammar(t *testing.T) {
	tests := []struct {
		name, in string
		want     []string // name=value, or a bare name
		err      string
	}{
		{name: "nothing", in: ""},
		{name: "commas at the ends and doubled count for nothing", in: ",,pf=ip6,,verify,", want: []string{"pf=ip6", "verify"}},
		{name: "an empty value is a value", in: "commonname=", want: []string{"commonname="}},
		{name: "the first = divides", in: "cn=a=b", want: []string{"cn=a=b"}},
		{name: "colon and bar are data", in: "cn=a:b|c", want: []string{"cn=a:b|c"}},
		{name: "single quotes protect all but the backslash", in: `cn='a,"(b\'',pf=x`, want: []string{`cn=a,"(b'`, "pf=x"}},
		{name: "double quotes protect and pair what is inside", in: `cn="a,'b\"',(c)",pf=x`, want: []string{`cn=a,'b"',(c)`, "pf=x"}},
		{name: "quotes may stand anywhere and several times", in: `cn=a'b,'"c,"d`, want: []string{"cn=ab,c,d"}},
		{name: "empty quotes are an empty value", in: `cn=''`, want: []string{"cn="}},
		{name: "only the outermost quotes go", in: `cn="'a'"`, want: []string{"cn='a'"}},
		{name: "a quote may enclose the name", in: `"verify"=0`, want: []string{"verify=0"}},
		{name: "a quote around name and value makes one long name", in: `"verify=0"`, want: []string{"verify=0 (bare)"}},
		{name: "brackets protect and stay", in: "cn=(a,b),range=[::1]/128", want: []string{"cn=(a,b)", "range=[::1]/128"}},
		{name: "brackets nest strictly", in: "cn={(a,b},c)},x", want: []string{"cn={(a,b},c)}", "x"}},
		{name: "an unclosed bracket reaches to the end", in: "cn=(a,b", want: []string{"cn=(a,b"}},
		{name: "a closing bracket alone is data", in: "cn=a),b=]", want: []string{"cn=a)", "b=]"}},
		{name: "quotes inside brackets are paired and stay", in: `cn=("a)b",c),x`, want: []string{`cn=("a)b",c)`, "x"}},
		{name: "brackets inside single quotes inside brackets are data", in: `cn=('a(b',c),x`, want: []string{`cn=('a(b',c)`, "x"}},
		{name: "a backslash protects any character", in: `cn=a\,b\!\!c\x`, want: []string{`cn=a,b!!cx`}},
		{name: "C escapes are decoded", in: `cn=a\tb\nc`, want: []string{"cn=a\tb\nc"}},
		{name: `\0 ends the text`, in: `cn=a\0b,x`, want: []string{"cn=a", "x"}},
		{name: "!! is data inside quotes and brackets", in: `cn='a!!b',d=(!!)`, want: []string{"cn=a!!b", "d=(!!)"}},
		{name: "a single ! is data", in: "cipher=HIGH:!aNULL", want: []string{"cipher=HIGH:!aNULL"}},
		{name: "blanks belong to the words", in: " verify= 0", want: []string{" verify= 0"}},
		{name: "!! would begin a second address", in: "cipher=HIGH!!eNULL", err: `"!!" would begin`},
		{name: "an unclosed double quote is refused", in: `cn="a`, err: `quote " is not closed`},
		{name: "an unclosed single quote is refused", in: `cn='a`, err: `quote ' is not closed`},
		{name: "a bracket swallows the closing quote", in: `cn="(a"`, err: "not closed"},
		{name: "a backslash at the end is refused", in: `cn=a\`, err: "nothing follows"},
		{name: "an option needs a name", in: "=x", err: "without a name"},
		{name: "a value has its limit", in: "cn=" + strings.Repeat("a", maxWord+1), err: "longer than"},
		{name: "a value at the limit is taken", in: "cn=" + strings.Repeat("a", maxWord), want: []string{"cn=" + strings.Repeat("a", maxWord)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts, err := parseSockopt(tt.in)
			if tt.err != "" {
				wantErr(t, "parseSockopt", err, tt.err)
				return
			}
			wantErr(t, "parseSockopt", err)
			var got []string
			for _, o := range opts {
				switch {
				case o.bare && strings.Contains(o.name, "="):
					got = append(got, o.name+" (bare)")
				case o.bare:
					got = append(got, o.name)
				default:
					got = append(got, o.name+"="+o.value)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestSockoptIsReadAsSocatReadsIt lets the real socat parse random values and
// compares the value of the first option, which its log shows.
func TestSockoptIsReadAsSocatReadsIt(t *testing.T) {
	socat := tool(t, "socat")
	set := regexp.MustCompile(`(?s)setting option "openssl-commonname" to "(.*?)"\n`)
	refused := regexp.MustCompile("syntax error|unknown option|value required")
	pieces := []string{"a", "b", ",", "(", ")", "[", "]", "{", "}", "'", "'", `"`, `"`, `\`, "=", "!", "t", "x", ",verify", `\0`, `\t`}
	r := rand.New(rand.NewPCG(3, 4))
	compared := 0
	for range 250 {
		value := ""
		for range 1 + r.IntN(9) {
			value += pieces[r.IntN(len(pieces))]
		}
		in := "cn=" + value
		opts, err := parseSockopt(in)
		if err != nil && !strings.Contains(err.Error(), `quote "`) {
			continue // undefined in socat, or a second address
		}
		if strings.Contains(in, ",=") {
			continue // socat reads nothing behind an option without a name
		}
		// Nothing listens on port 1; socat reads its options before it finds out.
		out, _ := output(t, socat, "-d", "-d", "-d", "/dev/null", "openssl:127.0.0.1:1,"+in)
		theirs := set.FindStringSubmatch(out)
		compared++
		switch {
		case err != nil:
			if !refused.MatchString(out) {
				t.Errorf("%s: we refuse it (%v), socat does not:\n%s", in, err, out)
			}
		case theirs == nil:
			t.Errorf("%s: we read %q, socat refuses it:\n%s", in, opts[0].value, out)
		case opts[0].value != theirs[1]:
			t.Errorf("%s: we read %q, socat %q", in, opts[0].value, theirs[1])
		}
	}
	if compared < 100 {
		t.Errorf("only %d values compared", compared)
	}
}

func TestNumbersAreThoseOfC(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "1": 1, "0x0": 0, "0X1f": 31, "010": 8, " 7": 7, "\t-2": -2, "+3": 3, "00": 0,
		"99999999999999999999999": 1<<63 - 1,
	} {
		if got, err := cNumber(in); err != nil || got != want {
			t.Errorf("cNumber(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "no", "0 ", "1k", "0x", "08", "1_0", "0b1", "0o7", "--1", "- 1", "1e3", "½"} {
		if got, err := cNumber(in); err == nil {
			t.Errorf("cNumber(%q) = %d, want an error", in, got)
		}
	}
}

func FuzzSockopt(f *testing.F) {
	for _, s := range []string{
		",pf=ip6", "verify=0", "cipher=" + tripleO2018, `commonname=''`, `cn="a,(b)",verify=0x0`, `'a'="b`, "((([[['\"", `a\`, "a!!b",
		"min-version=TLSv1.2,max-version=tls1.3", "range=[::1]/128", "retry=2,interval=2", "=", ",,,",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		opts, err := parseSockopt(s)
		if err != nil {
			return
		}
		// Written again with everything protected, the same options come out.
		var again strings.Builder
		for _, o := range opts {
			again.WriteString("," + protect(o.name))
			if !o.bare {
				again.WriteString("=" + protect(o.value))
			}
		}
		second, err := parseSockopt(again.String())
		if err != nil {
			t.Fatalf("%q written as %q: %v", s, again.String(), err)
		}
		if len(second) != len(opts) {
			t.Fatalf("%q written as %q: %d options, want %d", s, again.String(), len(second), len(opts))
		}
		for i := range opts {
			a, b := opts[i], second[i]
			if a.name != b.name || a.value != b.value || a.bare != b.bare {
				t.Errorf("%q: option %d is %+v, and %+v when written again", s, i, a, b)
			}
			if len(a.name) > maxWord || len(a.value) > maxWord {
				t.Errorf("option %d is longer than socat allows", i)
			}
		}
		readSettings(Config{Sockopt: s}) // must not panic
	})
}

// protect writes a word so that every byte stands for itself.
func protect(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
