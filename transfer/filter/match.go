package filter

// What a token of a pattern stands for (rsync-wire.md §7.4).
type tokenKind uint8

const (
	one     tokenKind = iota // one byte of a set
	run                      // *: any bytes but slashes
	deepRun                  // **: any bytes
	nothing                  // what can never match: an unterminated class, a backslash at the end
)

type token struct {
	kind  tokenKind
	exact bool // one: the set is just b
	b     byte
	set   *byteSet
}

// byteSet is the set of bytes that a class or ? matches.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *byteSet) remove(b byte)   { s[b>>6] &^= 1 << (b & 63) }
func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

func (s *byteSet) addRange(from, to byte) {
	for b := int(from); b <= int(to); b++ {
		s.add(byte(b))
	}
}

func (s *byteSet) invert() {
	for i := range s {
		s[i] = ^s[i]
	}
}

func (t *token) matches(b byte) bool {
	if t.exact {
		return t.b == b
	}
	return t.kind == one && t.set.has(b)
}

func (t *token) isRun() bool { return t.kind == run || t.kind == deepRun }

// inlineStates is how many states matchTokens follows without allocating.
const inlineStates = 64

// matchTokens says whether the tokens match all of s or, with anySlash, also what stands behind any of its slashes. It follows
// all ways to match at once, as a set of positions in the pattern, so it takes at most len(s) * (len(tokens)+1) steps
// whatever the pattern: there is nothing to go back to. The set is a sorted slice and mostly has one or two members.
func matchTokens(tokens []token, s string, anySlash bool) bool {
	var inline [2][inlineStates]uint16
	now, next := inline[0][:0], inline[1][:0]
	if len(tokens)+1 > inlineStates {
		now, next = make([]uint16, 0, len(tokens)+1), make([]uint16, 0, len(tokens)+1)
	}
	now = enter(now, tokens, 0)
	for i := range len(s) {
		next = next[:0]
		if anySlash && s[i] == '/' {
			next = enter(next, tokens, 0)
		}
		for _, at := range now {
			if int(at) == len(tokens) {
				continue // the pattern is used up, the name is not
			}
			t := &tokens[at]
			if t.kind == deepRun || t.kind == run && s[i] != '/' {
				next = enter(next, tokens, at)
			} else if t.matches(s[i]) {
				next = enter(next, tokens, at+1)
			}
		}
		if len(next) == 0 && !anySlash {
			return false
		}
		now, next = next, now
	}
	return len(now) > 0 && int(now[len(now)-1]) == len(tokens)
}

// enter adds a position to a set, and the one behind it if a run begins there, as runs may be empty. Tokens have no two
// runs in a row, and positions come in ascending order but for ones already in the set.
func enter(set []uint16, tokens []token, at uint16) []uint16 {
	if len(set) == 0 || set[len(set)-1] < at {
		set = append(set, at)
	}
	if int(at) < len(tokens) && tokens[at].isRun() && set[len(set)-1] == at {
		set = append(set, at+1)
	}
	return set
}
