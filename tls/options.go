package tls

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// treatment is what becomes of an option of socat here (docs/sockopt.md).
type treatment byte

const (
	native  treatment = 'N' // means what it means to socat
	mapped  treatment = 'M' // the same end by other means, or some of its values only
	ignored treatment = 'W' // taken with a warning, without effect
	refused treatment = 'R' // an error before anything is harmed
)

// side is where an option has an effect. On the other side it is read and
// checked, and nothing is said: one option file serves a node in both roles.
type side byte

const (
	bothSides side = iota
	joinerOnly
	donorOnly
)

// known is an option that socat has (sockopt.md sections 4 and 6).
type known struct {
	names string // canonical name first, then the aliases
	does  treatment
	at    side
	once  bool // socat refuses connections when it stands twice

	// A native or mapped option has one of these, which applies the value.
	number func(*settings, int64) error         // a bare option means 1
	text   func(*settings, string) error        // bare is an error
	time   func(*settings, time.Duration) error // bare means 1 s

	why     string // ignored: why nothing comes of it; refused: why it never can be taken
	instead string // refused: what to do then
}

func (k known) name() string { return strings.Fields(k.names)[0] }

// set applies an option to the settings, or says why not.
func (k known) set(s *settings, o option) error {
	var err error
	switch {
	case k.does == refused:
		return fault("sockopt "+o.text, k.instead, "%s", k.why)
	case k.does == ignored:
		s.warn("%s has no effect here: %s", o.text, k.why)
	case k.text != nil && o.bare:
		err = errors.New("a value is required")
	case k.text != nil:
		err = k.text(s, o.value)
	default:
		err = k.setNumber(s, o)
	}
	// What a setter knows besides is a hint; the object is known here.
	if e, ok := err.(*Error); ok {
		e.Object = "sockopt " + o.text
		return e
	}
	if err != nil {
		return &Error{Object: "sockopt " + o.text, Err: err}
	}
	return nil
}

func (k known) setNumber(s *settings, o option) error {
	value := o.value
	if o.bare {
		value = "1"
	}
	if k.time != nil {
		d, err := seconds(value)
		if err != nil {
			return err
		}
		return k.time(s, d)
	}
	n, err := cNumber(value)
	if err != nil {
		return err
	}
	return k.number(s, n)
}

// flag makes a setter of a boolean. Like socat it takes any number.
func flag(set func(*settings, bool)) func(*settings, int64) error {
	return func(s *settings, n int64) error {
		set(s, n != 0)
		return nil
	}
}

// integer makes a setter of a number between two limits.
func integer(low, high int64, set func(*settings, int)) func(*settings, int64) error {
	return func(s *settings, n int64) error {
		if n < low || n > high {
			return fmt.Errorf("is out of range, which is %d to %d", low, high)
		}
		set(s, int(n))
		return nil
	}
}

// anyInt is what fits the int of a socket option.
const anyInt = math.MaxInt32

// lookup finds an option by any of its names; case does not count (C9).
func lookup(name string) (known, bool) {
	name = strings.ToLower(name)
	if strings.ContainsAny(name, " \t\n") {
		return known{}, false
	}
	for _, k := range options {
		if hasWord(" "+k.names+" ", name) {
			return k, true
		}
	}
	for _, f := range families {
		if rest, ok := strings.CutPrefix(name, f.prefix); ok && rest != "" {
			return known{names: name, does: ignored, why: f.why}, true
		}
	}
	return known{}, false
}

// unknownOption refuses a name and points to the likeliest slip of the pen.
func unknownOption(o option) error {
	hint := "remove it from sockopt"
	if strings.Contains(o.name, "=") {
		hint = "a quote may not enclose the \"=\""
	} else if k, ok := lookup(strings.TrimSpace(o.name)); ok {
		hint = fmt.Sprintf("no blanks around the name: %s", k.name())
	} else if k, ok := lookup(strings.ReplaceAll(o.name, "_", "-")); ok {
		hint = fmt.Sprintf("socat writes it %s", k.name())
	} else if k, ok := misspelt(o.name); ok {
		hint = fmt.Sprintf("is %s meant?", k)
	}
	return fault("sockopt "+o.text, hint, "socat has no option %q for a TLS connection", o.name)
}

// misspelt finds the option whose name is one letter away (sndbuff, comonname).
func misspelt(name string) (string, bool) {
	name = strings.ToLower(name)
	if len(name) < 4 {
		return "", false
	}
	for _, k := range options {
		for n := range strings.FieldsSeq(k.names) {
			if k.does != refused && oneLetterApart(name, n) {
				return n, true
			}
		}
	}
	return "", false
}

// oneLetterApart: one letter added, left out, or written as another.
func oneLetterApart(a, b string) bool {
	if len(a) < len(b) {
		a, b = b, a
	}
	if len(a)-len(b) > 1 {
		return false
	}
	i := 0
	for i < len(b) && a[i] == b[i] {
		i++
	}
	if len(a) == len(b) {
		return i < len(b) && a[i+1:] == b[i+1:]
	}
	return a[i+1:] == b[i:]
}
