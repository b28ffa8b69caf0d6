package filter

import (
	"errors"
	"fmt"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// A rule is one line of a list, parsed.
type rule struct {
	clear      bool // "!": nothing else is set
	include    bool
	sides      Side // as said by s, r or the kind; none means both
	fullPath   bool // modifier /: match from the root of the module or file system
	negate     bool // modifier !: applies where the pattern does not match
	perishable bool // modifier p
	pattern    pattern
}

// Modifiers each kind of rule may have (rsync-wire.md §7.3). C and x belong to the first set too, but are not implemented.
const (
	modifiers     = "/!srp"
	sideModifiers = "/!p" // H, S, P and R say the side by themselves
	refused       = "Cx"
)

var longNames = []struct {
	name   string
	letter byte
}{
	{"clear", '!'}, {"dir-merge", ':'}, {"exclude", '-'}, {"hide", 'H'}, {"include", '+'},
	{"merge", '.'}, {"protect", 'P'}, {"risk", 'R'}, {"show", 'S'},
}

// parseRule reads a rule in its short or long form.
func parseRule(text string) (rule, error) {
	if len(text) > wire.MaxRule {
		return rule{}, fmt.Errorf("%d bytes long, at most %d are allowed", len(text), wire.MaxRule)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return rule{}, errors.New("holds a NUL")
	}
	letter, rest, err := kind(text)
	if err != nil {
		return rule{}, err
	}
	var r rule
	allowed := modifiers
	switch letter {
	case '!':
		if rest != "" {
			return rule{}, errors.New("a clearing rule must have nothing behind it")
		}
		return rule{clear: true}, nil
	case '-':
	case '+':
		r.include = true
	case 'H':
		r.sides, allowed = Sender, sideModifiers
	case 'S':
		r.sides, r.include, allowed = Sender, true, sideModifiers
	case 'P':
		r.sides, allowed = Receiver, sideModifiers
	case 'R':
		r.sides, r.include, allowed = Receiver, true, sideModifiers
	}
	end := strings.IndexAny(rest, " _")
	if end < 0 {
		end = len(rest)
	}
	if err := r.modify(rest[:end], allowed); err != nil {
		return rule{}, err
	}
	if end+1 >= len(rest) {
		return rule{}, errors.New("has no pattern")
	}
	r.pattern, err = compile(rest[end+1:])
	return r, err
}

// kind splits what a rule does from its modifiers and pattern.
func kind(text string) (letter byte, rest string, err error) {
	if text == "" {
		return 0, "", errors.New("is empty")
	}
	letter, rest = text[0], strings.TrimPrefix(text[1:], ",")
	for _, long := range longNames {
		after, ok := strings.CutPrefix(text, long.name)
		if !ok {
			continue
		}
		if after == "" || after[0] == ' ' || after[0] == '_' {
			letter, rest = long.letter, after
		} else if after[0] == ',' {
			letter, rest = long.letter, after[1:]
		}
	}
	switch letter {
	case '+', '-', 'H', 'S', 'P', 'R', '!':
		return letter, rest, nil
	case ':', '.':
		return 0, "", errors.New("merge files are not supported; give their rules one by one")
	}
	return 0, "", errors.New("begins with no rule name; it would be + - H S P R ! or include exclude hide show protect risk clear")
}

// on says whether the rule is active on a side.
func (r *rule) on(side Side) bool { return r.sides == 0 || r.sides&side != 0 }

func (r *rule) modify(mods, allowed string) error {
	for i := range len(mods) {
		m := mods[i]
		if strings.IndexByte(allowed, m) < 0 {
			if strings.IndexByte(refused, m) >= 0 {
				return fmt.Errorf("modifier %q is not supported", m)
			}
			return fmt.Errorf("modifier %q is not known here; a space is needed before the pattern", m)
		}
		switch m {
		case '/':
			r.fullPath = true
		case '!':
			r.negate = true
		case 's':
			r.sides |= Sender
		case 'r':
			r.sides |= Receiver
		case 'p':
			r.perishable = true
		}
	}
	return nil
}

// String is the rule in the normal form that is transmitted (rsync-wire.md §7.1).
func (r *rule) String() string {
	var b strings.Builder
	if r.include {
		b.WriteByte('+')
	} else {
		b.WriteByte('-')
	}
	if r.fullPath {
		b.WriteByte('/')
	}
	if r.negate {
		b.WriteByte('!')
	}
	if r.sides&Sender != 0 {
		b.WriteByte('s')
	}
	if r.sides&Receiver != 0 {
		b.WriteByte('r')
	}
	if r.perishable {
		b.WriteByte('p')
	}
	b.WriteByte(' ')
	b.WriteString(r.pattern.text)
	if r.pattern.dirOnly {
		b.WriteByte('/')
	}
	return b.String()
}
