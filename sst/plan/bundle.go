package plan

import (
	"cmp"
	"slices"
)

// A bundle is one session for several small databases. To a joiner that runs a script
// each session is a connection, and where its socat verifies certificates OpenSSL
// refuses to resume a TLS session, so each is a full handshake, a fork and a dozen
// round trips. Thousands of schemas must not mean thousands of these.

// Bounds of a bundle.
const (
	// maxBundled is how many databases share a session. The peer holds every name at
	// the top of its data directory against one rule for each.
	maxBundled = 64
	// minBundle is a cost that is always allowed: what a connection costs is then a
	// small part of what it carries.
	minBundle = 16 << 20
	// bundleShare: a bundle may cost this part of the whole. There are never more than
	// twice as many by cost, and the last ones to end keep the others waiting for a
	// moment only. A bundle is also what is sent again when a temporary table vanishes.
	bundleShare = 256
	// fileCost is what opening, naming and closing a file costs, in bytes that could be
	// sent meanwhile.
	fileCost = 64 << 10
)

// cost is how long it takes to send, in bytes.
func (t Total) cost() int64 { return t.Allocated + t.Files*fileCost }

// Bundle lets small databases share sessions; large ones keep their own, so that work
// overlaps. So do those that the donor follows a link to: the joiner may have a link of
// its own there, which rsync replaces by a directory unless it is the destination.
// (Where only the joiner has one, the session of the top level has replaced it.)
//
// What the sessions send and delete stays the same.
func (p *Plan) Bundle() {
	limit := max(minBundle, p.Total.cost()/bundleShare)
	sessions := slices.Clone(p.Sessions)
	top := sessions[0]
	first := slices.IndexFunc(sessions, func(s Session) bool { return len(s.Databases) > 0 })
	if first < 0 {
		return
	}
	var out, open []Session
	var sum Total
	shut := func() {
		if len(open) > 0 {
			out = append(out, bundle(top, open))
		}
		open, sum = nil, Total{}
	}
	for _, s := range sessions[first:] { // the largest first
		if s.alone || s.cost() > limit {
			out = append(out, s)
			continue
		}
		if len(open) == maxBundled || sum.cost()+s.cost() > limit {
			shut()
		}
		open = append(open, s)
		sum.add(s.Total)
	}
	shut()
	largestFirst(out)
	p.Sessions = append(sessions[:first:first], out...)
}

// bundle makes one session of several. Everything else at the top is hidden here and
// protected there.
func bundle(top Session, members []Session) Session {
	if len(members) == 1 {
		return members[0]
	}
	b := Session{Root: DataDir, Module: top.Module, Dir: top.Dir, Recursive: true}
	for _, m := range members {
		b.Databases = append(b.Databases, m.Databases...)
		b.add(m.Total)
	}
	slices.Sort(b.Databases)
	for _, name := range b.Databases {
		b.Rules = append(b.Rules, "+ /"+literal(name, false)+"/")
	}
	b.Rules = append(b.Rules, "- /*")
	return b
}

func largestFirst(sessions []Session) {
	slices.SortStableFunc(sessions, func(a, b Session) int { return cmp.Compare(b.cost(), a.cost()) })
}
