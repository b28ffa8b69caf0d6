package filter

import (
	"fmt"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Where a pattern is held against a path (rsync-wire.md §7.4).
type place uint8

const (
	wholePath  place = iota // from its start to its end
	lastParts               // its last components, as many as the pattern has
	anySlashes              // its start, and behind every slash
)

// A pattern is what a rule compares names with.
type pattern struct {
	text     string // as given, without the slash of a directory-only one
	dirOnly  bool
	place    place
	parts    int  // components, for lastParts
	prefix   bool // begins with **: a slash is put before the path
	dirSlash bool // ends in ***: a slash is put behind a directory
	wild     bool
	literal  string  // all of a pattern that is not wild; of a wild one what every match begins with, compared first as it is quick
	tokens   []token // the rest of a wild one
}

func compile(text string) (pattern, error) {
	p := pattern{text: text}
	if len(text) > 1 {
		p.text, p.dirOnly = strings.CutSuffix(text, "/")
	}
	if len(p.text) > wire.MaxName {
		return p, fmt.Errorf("its pattern has %d bytes, at most %d are allowed", len(p.text), wire.MaxName)
	}
	p.wild = strings.ContainsAny(p.text, "*?[")
	slashes := strings.Count(p.text, "/")
	body, anchored := strings.CutPrefix(p.text, "/")
	deep := strings.Contains(p.text, "**")
	p.prefix = strings.HasPrefix(p.text, "**")
	p.dirSlash = strings.HasSuffix(p.text, "***")
	switch {
	case anchored || p.prefix:
		p.place = wholePath
	case deep:
		p.place = anySlashes
	default:
		p.place, p.parts = lastParts, slashes+1
	}
	switch {
	case !p.wild:
		p.literal = body
	case p.place == anySlashes:
		p.tokens = tokenize(body)
	default:
		plain := plainStart(body)
		p.literal, p.tokens = body[:plain], tokenize(body[plain:])
	}
	return p, nil
}

// applies says whether the rule decides about a name: where the pattern matches or, negated, where it does not. base is
// what stands before the name for rules that match the full path.
func (r *rule) applies(base, name string, dir bool) bool {
	return r.pattern.match(r.fullPath, base, name, dir) != r.negate
}

func (p *pattern) match(fullPath bool, base, name string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if p.place == lastParts && p.parts == 1 {
		return p.matchText(name[strings.LastIndexByte(name, '/')+1:])
	}
	if fullPath && base != "" {
		name = base + "/" + name
	} else if p.prefix {
		name = "/" + name
	}
	if p.dirSlash && dir {
		name += "/"
	}
	switch p.place {
	case lastParts:
		name, ok := lastComponents(name, p.parts)
		return ok && p.matchText(name)
	case anySlashes:
		return matchTokens(p.tokens, name, true)
	}
	return p.matchText(name)
}

func (p *pattern) matchText(s string) bool {
	if !p.wild {
		return s == p.literal
	}
	rest, ok := strings.CutPrefix(s, p.literal)
	return ok && matchTokens(p.tokens, rest, false)
}

// lastComponents is the end of a path that has n components. There is none if the path has fewer.
func lastComponents(path string, n int) (string, bool) {
	i := len(path)
	for range n {
		if i < 0 {
			return "", false
		}
		i = strings.LastIndexByte(path[:i], '/')
	}
	return path[i+1:], true
}
