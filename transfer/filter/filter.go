// Package filter holds rsync's filter rules: how they are typed, how they travel to the receiver, and which names they
// exclude (rsync-wire.md §7). It is pure: it opens no files, and knows names only as bytes relative to the transfer root.
//
// It promises to decide as rsync does, for every rule a client can transmit, in time proportional to the product of the
// lengths of pattern and name at worst. What it does not implement (merge files, CVS rules, rules for extended attributes)
// is refused by name: to skip an exclusion could delete what it protects.
//
// It leaves to others: walking directories, which side's list is asked at which moment, and the protection of names by
// means other than rules.
package filter

import (
	"fmt"
	"strings"
)

// A RuleError is a rule that cannot be understood or is not supported. On a server the exit code is 1 (rsync-wire.md §7.3).
type RuleError struct {
	Rule string
	Err  error
}

func (e *RuleError) Error() string { return fmt.Sprintf("filter rule %.200q: %v", e.Rule, e.Err) }

func (e *RuleError) Unwrap() error { return e.Err }

// Side is the end of the transfer that asks (rsync-wire.md §7.2). The sender hides what is excluded, the receiver does
// not delete it.
type Side uint8

const (
	Sender Side = 1 << iota
	Receiver
)

// A List is rules in their order; the first that matches decides. The zero value has none and excludes nothing. Once built it may be used by
// several goroutines.
type List struct {
	rules []rule
	base  string
}

// Parse makes a list of rules as they are typed after -f.
func Parse(rules ...string) (*List, error) {
	l := new(List)
	for _, r := range rules {
		if err := l.Add(r); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// Add puts a rule behind those already there, or drops them all if it is the rule "!". It fails with a [*RuleError].
func (l *List) Add(text string) error {
	r, err := parseRule(text)
	if err != nil {
		return &RuleError{Rule: text, Err: err}
	}
	if r.clear {
		l.rules = nil
		return nil
	}
	l.rules = append(l.rules, r)
	return nil
}

// SetBase tells where the transfer root is, for rules with the modifier "/": relative to the module on a receiver, to the
// root of the file system on a sender. Surrounding slashes do not matter.
func (l *List) SetBase(dir string) {
	if l.base = strings.Trim(dir, "/"); l.base == "." {
		l.base = ""
	}
}

// Excluded says whether a side must leave name out: the first rule for that side that matches decides, and a name no rule
// matches is included. name is relative to the transfer root without a leading slash; dir says whether it is a directory,
// which a symlink to one is not. The root itself is never excluded. A nil list excludes nothing.
func (l *List) Excluded(side Side, name string, dir bool) bool {
	return l.excluded(side, name, dir, false)
}

// ExcludedPerishable is Excluded inside a directory that is itself to be deleted: there, perishable rules (modifier p) do
// not count (rsync-wire.md §15.2).
func (l *List) ExcludedPerishable(side Side, name string, dir bool) bool {
	return l.excluded(side, name, dir, true)
}

func (l *List) excluded(side Side, name string, dir, doomed bool) bool {
	if l == nil || name == "" || name == "." {
		return false
	}
	for i := range l.rules {
		r := &l.rules[i]
		if !r.on(side) || doomed && r.perishable {
			continue
		}
		if r.applies(l.base, name, dir) {
			return !r.include
		}
	}
	return false
}
