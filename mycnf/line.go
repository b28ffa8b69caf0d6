package mycnf

import (
	"bytes"
	"strings"
)

// maxPiece is how much of a line is read at once (§3), newline included; the
// rest of a longer line counts as a line of its own [56–59].
const maxPiece = 4094

// blanks are the blank characters of option files, in latin1: 0xA0 is the
// no-break space, and the last byte of some UTF-8 characters [52].
const blanks = " \t\n\v\f\r\xa0"

func isBlank(c byte) bool { return strings.IndexByte(blanks, c) >= 0 }

// Option files are in no known character set, and strings.Trim takes its cut
// set as UTF-8, where 0xA0 alone is nothing: so trimming goes byte by byte.

func trimLeft(s string) string {
	for s != "" && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && isBlank(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

// nextPiece cuts the next piece off data.
func nextPiece(data []byte) (piece, rest []byte) {
	n := min(len(data), maxPiece)
	if i := bytes.IndexByte(data[:n], '\n'); i >= 0 {
		n = i + 1
	}
	return data[:n], data[n:]
}

// visible is the part of a piece that is parsed: a NUL ends it [50].
func visible(piece []byte) string {
	if i := bytes.IndexByte(piece, 0); i >= 0 {
		piece = piece[:i]
	}
	return string(piece)
}

// groupName takes the name out of a line that begins with "[". Blanks before
// it are part of it, and text after the first "]" is nothing [28, 30, 35].
func groupName(line string) (name string, ok bool) {
	name, _, ok = strings.Cut(line[1:], "]")
	return trimRight(name), ok
}

// splitDirective takes a line that begins with "!" apart. The keyword needs a
// blank after it. The last character is taken for the newline and goes, also
// where it is none: at the end of a file, of a piece, before a NUL [49].
func splitDirective(line string) (keyword, arg string) {
	line = trimLeft(line[1:])
	end := 0
	for end < len(line) && !isBlank(line[end]) {
		end++
	}
	if end == len(line) {
		return "", ""
	}
	keyword, arg = line[:end], trimLeft(line[end:])
	if arg != "" {
		arg = trimRight(arg[:len(arg)-1])
	}
	return keyword, arg
}

// parseOption reads an option line (§3 Options).
func parseOption(line string) (key, value string, hasValue bool) {
	key, value, hasValue = strings.Cut(cutComment(line), "=")
	key = trimRight(key)
	if hasValue {
		value = unescape(unquote(trimRight(trimLeft(value))))
	}
	return key, value, hasValue
}

// cutComment drops a comment at the end of an option line: all from the first
// "#" outside quotes. A quote opens anywhere, the key included, so an
// apostrophe protects all that follows it [08, 09, 20].
func cutComment(line string) string {
	var quote byte
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote == 0 && c == '#':
			return line[:i]
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == '\\':
			i++ // the next character is protected
		case c == quote:
			quote = 0
		}
	}
	return line
}

// unquote drops one pair of quotes around the whole value, whatever is between
// them [12–14].
func unquote(v string) string {
	if n := len(v); n > 1 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
		return v[1 : n-1]
	}
	return v
}

// unescape decodes the eight escapes; any other backslash is data [16–18].
func unescape(v string) string {
	if strings.IndexByte(v, '\\') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c == '\\' && i+1 < len(v) {
			if j := strings.IndexByte(`ntrbs"'\`, v[i+1]); j >= 0 {
				c = "\n\t\r\b \"'\\"[j]
				i++
			}
		}
		out = append(out, c)
	}
	return string(out)
}
