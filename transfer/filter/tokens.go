package filter

import "strings"

// plainStart is how many bytes a pattern begins with that stand for themselves.
func plainStart(p string) int {
	if i := strings.IndexAny(p, `*?[\`); i >= 0 {
		return i
	}
	return len(p)
}

func tokenize(p string) []token {
	var tokens []token
	for len(p) > 0 {
		var t token
		t, p = nextToken(p)
		tokens = append(tokens, t)
	}
	return tokens
}

func nextToken(p string) (token, string) {
	switch p[0] {
	case '*':
		rest := strings.TrimLeft(p, "*")
		if len(p)-len(rest) > 1 {
			return token{kind: deepRun}, rest
		}
		return token{kind: run}, rest
	case '?':
		set := new(byteSet)
		set.invert()
		set.remove('/')
		return token{set: set}, p[1:]
	case '[':
		set, rest, ok := class(p[1:])
		if !ok {
			return token{kind: nothing}, ""
		}
		return token{set: set}, rest
	case '\\':
		if len(p) == 1 {
			return token{kind: nothing}, ""
		}
		p = p[1:]
	}
	return token{exact: true, b: p[0]}, p[1:]
}

// class reads a character class behind its bracket. It fails on one that does not end, or names an unknown POSIX class.
func class(p string) (set *byteSet, rest string, ok bool) {
	set = new(byteSet)
	negated := p != "" && (p[0] == '!' || p[0] == '^')
	if negated {
		p = p[1:]
	}
	from := -1 // where a range may begin: the byte before, if it stood for itself
	for first := true; ; first = false {
		if p == "" {
			return nil, "", false
		}
		c := p[0]
		switch {
		case c == ']' && !first:
			if negated {
				set.invert()
			}
			set.remove('/')
			return set, p[1:], true
		case c == '-' && from >= 0 && len(p) > 1 && p[1] != ']':
			p = p[1:]
			if p[0] == '\\' {
				p = p[1:]
			}
			if p == "" {
				return nil, "", false
			}
			set.addRange(byte(from), p[0])
			from, p = -1, p[1:]
			continue
		case c == '[' && strings.HasPrefix(p, "[:"):
			name, after, found := strings.Cut(p[2:], "]")
			if !found {
				return nil, "", false
			}
			if name, isClass := strings.CutSuffix(name, ":"); isClass {
				if !set.addPOSIX(name) {
					return nil, "", false
				}
				from, p = -1, after
				continue
			}
		case c == '\\':
			p = p[1:]
			if p == "" {
				return nil, "", false
			}
			c = p[0]
		}
		set.add(c)
		from, p = int(c), p[1:]
	}
}

// addPOSIX adds the members of a named class, in ASCII.
func (s *byteSet) addPOSIX(name string) bool {
	switch name {
	case "alnum":
		return s.addPOSIX("alpha") && s.addPOSIX("digit")
	case "alpha":
		return s.addPOSIX("lower") && s.addPOSIX("upper")
	case "blank":
		s.add(' ')
		s.add('\t')
	case "cntrl":
		s.addRange(0, 0x1f)
		s.add(0x7f)
	case "digit":
		s.addRange('0', '9')
	case "graph":
		s.addRange('!', '~')
	case "lower":
		s.addRange('a', 'z')
	case "print":
		s.addRange(' ', '~')
	case "punct":
		s.addRange('!', '/')
		s.addRange(':', '@')
		s.addRange('[', '`')
		s.addRange('{', '~')
	case "space":
		s.addRange('\t', '\r')
		s.add(' ')
	case "upper":
		s.addRange('A', 'Z')
	case "xdigit":
		s.addRange('0', '9')
		s.addRange('A', 'F')
		s.addRange('a', 'f')
	default:
		return false
	}
	return true
}
