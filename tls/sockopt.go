package tls

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// maxWord is the longest name or value socat takes (sockopt.md section 2).
const maxWord = 2047

// option is one item of a sockopt: name, name= or name=value, quotes and escapes undone.
type option struct {
	name  string
	value string
	bare  bool   // no "="
	text  string // as written, for messages
}

// parseSockopt splits a sockopt by the grammar of sockopt.md section 2. It knows
// nothing of what the options mean.
func parseSockopt(s string) ([]option, error) {
	var opts []option
	l := lexer{in: s}
	for l.pos < len(s) {
		if s[l.pos] == ',' {
			l.pos++ // empty items count for nothing, also at both ends (D1)
			continue
		}
		start := l.pos
		name, err := l.word(",=")
		if err != nil {
			return nil, err
		}
		o := option{name: name, bare: true}
		if l.pos < len(s) && s[l.pos] == '=' {
			l.pos++
			o.bare = false
			if o.value, err = l.word(","); err != nil {
				return nil, err
			}
		}
		o.text = s[start:l.pos]
		if o.name == "" {
			return nil, fault("sockopt "+strconv.Quote(o.text), "write name=value", "an option without a name")
		}
		opts = append(opts, o)
	}
	return opts, nil
}

// lexer reads words. Quotes of the outermost level are dropped; brackets, and
// quotes inside brackets or inside other quotes, are paired and stay.
type lexer struct {
	in  string
	pos int
	out []byte
}

// word reads up to an unprotected character of ends, or to the end of the text.
func (l *lexer) word(ends string) (string, error) {
	start := l.pos
	l.out = l.out[:0]
	for l.pos < len(l.in) {
		c := l.in[l.pos]
		if strings.IndexByte(ends, c) >= 0 {
			break
		}
		if strings.HasPrefix(l.in[l.pos:], "!!") {
			return "", l.fault(start, `write a single "!", or put the value in quotes`, `"!!" would begin a second socat address`)
		}
		if c != '\'' && c != '"' {
			if err := l.item(); err != nil {
				return "", err
			}
			continue
		}
		l.pos++
		closed, err := l.inside(c)
		if err != nil {
			return "", err
		}
		if !closed {
			return "", l.fault(start, "close the quote, or write \\"+string(c)+" for the character itself", "quote %c is not closed", c)
		}
	}
	if len(l.out) > maxWord {
		return "", l.fault(start, "", "longer than the %d bytes socat takes", maxWord)
	}
	// A decoded \0 ends the text, as in C (D5f).
	word, _, _ := strings.Cut(string(l.out), "\x00")
	return word, nil
}

// inside reads to the closing character and over it. In single quotes only the
// backslash is special. It reports whether the closing character was there.
func (l *lexer) inside(closing byte) (bool, error) {
	for l.pos < len(l.in) {
		if l.in[l.pos] == closing {
			l.pos++
			return true, nil
		}
		read := l.item
		if closing == '\'' {
			read = l.char
		}
		if err := read(); err != nil {
			return false, err
		}
	}
	return false, nil
}

// item reads one character or one pair with all that is in it. An unclosed pair
// reaches to the end of the text (D5g to D5i).
func (l *lexer) item() error {
	closing := map[byte]byte{'(': ')', '[': ']', '{': '}', '\'': '\'', '"': '"'}[l.in[l.pos]]
	if closing == 0 {
		return l.char()
	}
	l.out = append(l.out, l.in[l.pos])
	l.pos++
	closed, err := l.inside(closing)
	if closed {
		l.out = append(l.out, closing)
	}
	return err
}

// char reads one character; a backslash protects the next one or is a C escape.
func (l *lexer) char() error {
	c := l.in[l.pos]
	l.pos++
	if c == '\\' {
		if l.pos == len(l.in) {
			return l.fault(l.pos-1, `write \\ for a backslash`, "nothing follows the backslash")
		}
		c = l.in[l.pos]
		l.pos++
		if i := strings.IndexByte("0abfnrtv", c); i >= 0 {
			c = "\x00\a\b\f\n\r\t\v"[i]
		}
	}
	l.out = append(l.out, c)
	return nil
}

func (l *lexer) fault(start int, hint, format string, args ...any) error {
	return fault("sockopt "+strconv.Quote(l.in[start:]), hint, format, args...)
}

// cNumber reads a number as C's strtoul with base 0 does: 0x is hexadecimal, a
// leading 0 octal, blanks may come first; anything behind the number is an error,
// a number too large is the largest.
func cNumber(s string) (int64, error) {
	digits := strings.TrimLeft(s, " \t\n\v\f\r")
	negative := strings.HasPrefix(digits, "-")
	if negative || strings.HasPrefix(digits, "+") {
		digits = digits[1:]
	}
	base := 10
	switch {
	case len(digits) > 2 && strings.EqualFold(digits[:2], "0x"):
		base, digits = 16, digits[2:]
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 63)
	if err != nil {
		if !isRange(err) {
			return 0, fmt.Errorf("%q is not a number", s)
		}
		n = math.MaxInt64
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}

func isRange(err error) bool {
	e, ok := err.(*strconv.NumError)
	return ok && e.Err == strconv.ErrRange
}

// seconds reads a time: decimal seconds, a fraction allowed, up to ten years.
func seconds(s string) (time.Duration, error) {
	const limit = 10 * 365 * 24 * 3600
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "xXpPeE_") || math.IsNaN(f) || f < 0 || f > limit {
		return 0, fmt.Errorf("%q is not a number of seconds", s)
	}
	return time.Duration(f * float64(time.Second)), nil
}
