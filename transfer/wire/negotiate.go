package wire

import (
	"fmt"
	"strings"
)

// Compatibility flags: the server's first binary item, a varint (rsync-wire.md §4.1).
const (
	CompatIncRecurse        = 0x001 // never offered and never granted by us
	CompatSymlinkTimes      = 0x002
	CompatSymlinkIconv      = 0x004
	CompatSafeFlist         = 0x008
	CompatAvoidXattrOptim   = 0x010
	CompatChksumSeedFix     = 0x020
	CompatInplacePartialDir = 0x040
	CompatVarintFlistFlags  = 0x080
	CompatID0Names          = 0x100
)

// CompatFor is what our server answers to a client's capability string, the value of -e without the letter: ".LsfxCIvu"
// (rsync-wire.md §3.3, §4.1). Incremental recursion is never granted. The string may begin with a pre-release's version.
func CompatFor(capability string) uint32 {
	flags := uint32(CompatSymlinkTimes | CompatSymlinkIconv)
	for i := range len(capability) {
		switch capability[i] {
		case 'f':
			flags |= CompatSafeFlist
		case 'x':
			flags |= CompatAvoidXattrOptim
		case 'C':
			flags |= CompatChksumSeedFix
		case 'I':
			flags |= CompatInplacePartialDir
		case 'v':
			flags |= CompatVarintFlistFlags
		case 'u':
			flags |= CompatID0Names
		}
	}
	return flags
}

// ChooseName is the checksum or compression that two lists agree on: the first name of order that both sides list, compared
// without regard to case (rsync-wire.md §4.2). The result is the canonical name: xxhash is xxh64.
//
// A client passes its own list as order, which must be a sub-sequence of the canonical one. A server does best to pass the
// client's list: that is what every client does for itself, whatever order its user has given it.
func ChooseName(order, ours, theirs []string) (string, error) {
	for _, name := range order {
		name = canonicalName(name)
		if lists(ours, name) && lists(theirs, name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no common algorithm: ours are %q, the peer's %.300q", strings.Join(ours, " "), strings.Join(theirs, " "))
}

func lists(names []string, name string) bool {
	for _, n := range names {
		if canonicalName(n) == name {
			return true
		}
	}
	return false
}

func canonicalName(s string) string {
	s = strings.ToLower(s)
	if s == "xxhash" {
		return "xxh64"
	}
	return s
}
