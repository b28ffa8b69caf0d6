package filter

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// FuzzParse: whatever is typed as a rule is refused as a RuleError or decides like the naive matcher, and is sent in a form that
// means the same.
func FuzzParse(f *testing.F) {
	for _, rule := range []string{"- /*", "+ /ibdata*", "-s x", "P x", "exclude,!p x y", "!", "- [[:alpha:]]**/\\*", "protect o/", "-/ /a/***", ": .rf", "- [a", "hide_"} {
		f.Add(rule, "db1/t1.ibd", false)
	}
	f.Add("- a/**/b", "z/a/x/b", true)
	f.Fuzz(func(t *testing.T, text, name string, dir bool) {
		if len(name) > 200 || len(text) > 200 {
			return // the reference takes long for these
		}
		r, err := parseRule(text)
		l, listErr := Parse(text)
		if err != nil {
			var refused *RuleError
			if !errors.As(listErr, &refused) {
				t.Fatalf("%v, want a RuleError", listErr)
			}
			return
		}
		if r.clear || name == "" || name == "." {
			return
		}
		whole := r.pattern.text
		if r.pattern.dirOnly {
			whole += "/"
		}
		if got, want := r.pattern.match(false, "", name, dir), naive(whole)(name, dir); got != want {
			t.Fatalf("%q on %q, directory %v: %v, want %v", whole, name, dir, got, want)
		}
		got, err := receive(transmit(l))
		if err != nil {
			t.Fatalf("%q is sent so that it cannot be received: %v", text, err)
		}
		for _, base := range []string{"", "db1", "/var/lib/mysql/"} {
			l.SetBase(base)
			got.SetBase(base)
			if l.Excluded(Receiver, name, dir) != got.Excluded(Receiver, name, dir) {
				t.Fatalf("%q on %q decides otherwise after the wire", text, name)
			}
		}
	})
}

// FuzzReceive: a peer's list is refused in words or understood; what was understood is the same when sent again.
func FuzzReceive(f *testing.F) {
	for _, rules := range [][]string{nil, {"- /*"}, {"+ a", "!", "- b/"}, {"-r d", "+!p x", "-/ /h"}} {
		l, err := Parse(rules...)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(transmit(l))
	}
	f.Add([]byte("\x05\x00\x00\x00: .rf\x00\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, input []byte) {
		l, err := receive(input)
		if err != nil {
			var refused *RuleError
			var protocol *wire.ProtocolError
			if !errors.As(err, &refused) && !errors.As(err, &protocol) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%v is neither the rule's, nor the peer's, nor the end of input", err)
			}
			return
		}
		once := transmit(l)
		again, err := receive(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice := transmit(again); !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q", once, twice)
		}
		l.Excluded(Receiver, strings.Repeat("a/", 20)+"b", true)
	})
}
