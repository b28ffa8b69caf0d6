package wire

import (
	"fmt"
	"strconv"
	"strings"
)

const greetingPrefix = "@RSYNCD: "

// Protocol versions we can speak, and the newest a peer may announce (rsync-wire.md §2.1).
const (
	MinProto     = 30
	MaxProto     = 32
	maxPeerProto = 40
)

// A Greeting is the first line of both sides (rsync-wire.md §2.1). Digests are the authentication digests, strongest first;
// they have nothing to do with the checksums of the transfer.
type Greeting struct {
	Proto, Sub int
	Digests    []string
}

// String is the line without its newline.
func (g Greeting) String() string {
	s := fmt.Sprintf("%s%d.%d", greetingPrefix, g.Proto, g.Sub)
	for _, d := range g.Digests {
		s += " " + d
	}
	return s
}

// ParseGreeting reads the line a peer greets with.
func ParseGreeting(line string) (Greeting, error) {
	version, ok := strings.CutPrefix(line, greetingPrefix)
	if !ok {
		return Greeting{}, Errorf("2.1", "the peer's first line is no rsync greeting: %.80q", line)
	}
	for i := range len(version) {
		if version[i] < ' ' || version[i] > '~' {
			return Greeting{}, Errorf("2.1", "greeting with unprintable bytes: %.80q", line)
		}
	}
	version, digests, _ := strings.Cut(version, " ")
	major, minor, hasSub := strings.Cut(version, ".")
	g := Greeting{Digests: strings.Fields(digests)}
	if len(g.Digests) == 0 {
		g.Digests = nil
	}
	var err error
	if g.Proto, err = versionNumber(major); err != nil {
		return Greeting{}, Errorf("2.1", "greeting without a protocol version: %.80q", line)
	}
	if !hasSub {
		if g.Proto >= 30 {
			return Greeting{}, Errorf("2.1", "greeting without the subprotocol value: %.80q", line)
		}
		return g, nil
	}
	if g.Sub, err = versionNumber(minor); err != nil {
		return Greeting{}, Errorf("2.1", "greeting with an unreadable subprotocol value: %.80q", line)
	}
	return g, nil
}

// versionNumber reads up to five digits and nothing else.
func versionNumber(s string) (int, error) {
	if len(s) > 5 {
		return 0, strconv.ErrRange
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return int(n), err
}

// Negotiate is the protocol version of a session between two greetings, by all the rules of rsync-wire.md §2.1.
func Negotiate(ours, theirs Greeting) (int, error) {
	if theirs.Proto < MinProto || theirs.Proto > maxPeerProto {
		return 0, Errorf("2.1", "the peer speaks protocol %d, we need %d to %d: rsync 3.0.0 or later", theirs.Proto, MinProto, maxPeerProto)
	}
	if theirs.Proto > 31 && len(theirs.Digests) == 0 {
		return 0, Errorf("2.1", "the peer announces protocol %d without a list of digest names", theirs.Proto)
	}
	proto := min(ours.Proto, theirs.Proto)
	// A version with a subprotocol is unfinished: two ends that do not have the same one fall back to the version before.
	lower := ours
	if theirs.Proto < ours.Proto {
		lower = theirs
	}
	if ours.Proto == theirs.Proto && ours.Sub != theirs.Sub || ours.Proto != theirs.Proto && lower.Sub != 0 {
		proto--
	}
	if proto < MinProto || proto > MaxProto {
		return 0, Errorf("2.1", "no common protocol: ours is %d.%d, the peer's %d.%d, and %d to %d can be spoken",
			ours.Proto, ours.Sub, theirs.Proto, theirs.Sub, MinProto, MaxProto)
	}
	return proto, nil
}
