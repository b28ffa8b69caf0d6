package hostile

import (
	"slices"
	"strings"
)

// The pieces of a session, as a donor of good will sends them: rsync-wire.md §2 to §4, §8, §11.

func cat(parts ...[]field) []field { return slices.Concat(parts...) }

func line(s string) []field   { return []field{{kLine, 0, s}} }
func index(n int64) []field   { return []field{{kIndex, n, ""}} }
func ints(n ...int64) []field { return numbersOf(kInt, n) }
func bytesOf(s string) []field {
	return []field{{kBytes, 0, s}}
}
func message(tag int64, s string) []field { return []field{{kMessage, tag, s}} }
func pause() []field                      { return []field{{kPause, 0, ""}} }

func numbersOf(k kind, n []int64) (f []field) {
	for _, v := range n {
		f = append(f, field{k, v, ""})
	}
	return f
}

func repeat(n int, f ...field) []field { return slices.Repeat(f, n) }

const cluster = "-qlogDtprIe.LsfxCIvu"

// opened is a session up to the frames, with the given arguments between --server and the destination.
func opened(args ...string) []field { return openedTo("m/", args...) }

func openedTo(dest string, args ...string) []field {
	f := cat(line("@RSYNCD: 32.0 sha512 md5"), line("m"))
	for _, a := range cat2([]string{"--server"}, args, []string{".", dest, ""}) {
		f = append(f, field{kArgs, 0, a})
	}
	return append(f, field{kVString, 0, "xxh128"}, field{kMux, 32, ""})
}

func cat2(s ...[]string) []string { return slices.Concat(s...) }

func normal() []field { return opened(cluster, "--inplace") }

const (
	regular = 0o100644
	dir     = 0o040755
	symlink = 0o120777
)

// entry is one of a file list; more are fields behind the usual ones.
func entry(name string, mode, size int64, more ...field) []field {
	return flagged(0, name, mode, size, more...)
}

func flagged(flags int64, name string, mode, size int64, more ...field) []field {
	f := []field{{kVarint, 0x40 | flags, ""}, {kVarint, int64(len(name)), ""}, {kBytes, 0, name}, {kLength, size, ""}, {kTime, 1700000000, ""}}
	if flags&0x2000 != 0 {
		f = append(f, more[0])
		more = more[1:]
	}
	return append(append(f, field{kInt, mode, ""}, field{kVarint, 0, ""}, field{kVarint, 0, ""}), more...)
}

func link(name, target string) []field {
	return entry(name, symlink, int64(len(target)), field{kVarint, int64(len(target)), ""}, field{kBytes, 0, target})
}

// listEnd ends the list and both lists of ids.
func listEnd() []field { return numbersOf(kVarint, []int64{0, 0, 0, 0, 0, 0}) }

func list(entries ...[]field) []field { return cat(cat(entries...), listEnd(), pause()) }

// reply is a file as it comes: the head of the request, tokens, and a digest.
func reply(ndx int64, head []int64, tokens []field, digest string) []field {
	return cat(index(ndx), []field{{kShort, 0xa000, ""}}, ints(head...), tokens, ints(0), bytesOf(digest))
}

var (
	none     = []int64{0, 0, 0, 0}
	noDigest = strings.Repeat("\x55", 16)
	root     = entry(".", dir, 4096)
)

// emptyDigest is xxh128 of nothing (rsync-wire.md, appendix C).
const emptyDigest = "\x7f\x49\x8d\x46\x24\xc3\x01\x60\xd8\x98\x47\x01\xd3\x06\xaa\x99"

// goodbye is what a client says at the end of everything.
func goodbye() []field {
	f := cat(index(-1), pause(), index(-1), index(-1), pause(), index(-1), pause())
	return f
}
