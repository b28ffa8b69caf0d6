package tree

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rules say what Diff lets pass.
type Rules struct {
	// Thinner says of which files got may take less room than want: a copy may turn
	// zeros that were written into holes. nil: of none.
	Thinner func(name string) bool
}

// Diff says in words how got differs from want, one line for each name that does,
// in the order of the names; nothing when they are equal.
func Diff(want, got Tree, rules Rules) []string {
	names := slices.Collect(maps.Keys(want))
	for name := range got {
		if _, wanted := want[name]; !wanted {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []string
	for _, name := range names {
		w, wanted := want[name]
		g, there := got[name]
		text := ""
		switch {
		case !there:
			text = "is missing"
		case !wanted:
			text = "should not be there"
		default:
			thinner := rules.Thinner != nil && rules.Thinner(name)
			text = strings.Join(differences(w, g, thinner), "; ")
		}
		if text != "" {
			out = append(out, fmt.Sprintf("%q: %s", name, text))
		}
	}
	return out
}

func differences(want, got File, thinner bool) []string {
	const kind = 0o170000
	if want.Mode&kind != got.Mode&kind {
		return []string{fmt.Sprintf("is of the type %06o, should be %06o", got.Mode&kind, want.Mode&kind)}
	}
	var out []string
	note := func(equal bool, format string, a ...any) {
		if !equal {
			out = append(out, fmt.Sprintf(format, a...))
		}
	}
	note(want.Mode == got.Mode, "mode is %04o, should be %04o", got.Mode&^kind, want.Mode&^kind)
	note(want.UID == got.UID && want.GID == got.GID, "owner is %d:%d, should be %d:%d", got.UID, got.GID, want.UID, want.GID)
	note(want.Link == got.Link, "leads to %q, should lead to %q", got.Link, want.Link)
	note(want.Mtime == got.Mtime, "modification time is %d ns, should be %d", got.Mtime, want.Mtime)
	note(want.Size == got.Size, "length is %d, should be %d", got.Size, want.Size)
	note(want.Size != got.Size || want.Sum == got.Sum, "content differs in a file of the same length")
	note(got.Blocks <= roomFor(want.Blocks), "holes were filled: takes %d bytes on disk, should take %d", got.Blocks, want.Blocks)
	note(thinner || want.Blocks <= roomFor(got.Blocks), "is not allocated: takes %d bytes on disk, should take %d", got.Blocks, want.Blocks)
	return out
}

// roomFor is how much room is still the same: file systems allocate in pieces of
// their own, and keep notes about holes.
func roomFor(blocks int64) int64 { return blocks + blocks/10 + 128<<10 }
