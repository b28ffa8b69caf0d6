package hostile

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// An attack is a donor's. It is tried on a victim of its own; then nothing outside the root has changed, and the victim
// has kept to its memory.
type attack struct {
	name  string
	what  [][]field                             // sessions, one connection each
	how   func(t *testing.T, conn *net.TCPConn) // instead: anything
	want  string                                // in the victim's last error; "" means that it must be no error
	after func(t *testing.T, w *world)
}

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

func donorAttacks() []attack {
	return slices.Concat(badNames(), badTypes(), badNumbers(), floods(), badWords(), badData(), badMessages(), badLines())
}

func badNames() (out []attack) {
	one := func(what, name, want string) {
		out = append(out, attack{name: "name " + what, what: [][]field{cat(normal(), list(root, entry(name, regular, 0)))}, want: want})
	}
	one("that climbs", "../outside/canary", "..")
	one("that climbs in the middle", "a/../../outside/canary", "..")
	one("that is the parent", "..", "..")
	one("that is absolute", "/etc/passwd", "/etc/passwd")
	one("that is empty", "", "empty")
	one("with a NUL", "a\x00/../b", "NUL")
	one("with an empty component", "a//b", "a//b")
	one("with a dot in it", "./a", "./a")
	one("that ends in a slash", "a/", "a/")
	one("of more bytes than there may be", strings.Repeat("x", 4097), "4097")
	one("in a directory that is not in the list", "db/x", "parent")
	one("of the root, as a file", ".", "")
	out[len(out)-1].want = "root"
	return append(out,
		attack{name: "name through a link of the same list", what: [][]field{cat(normal(), list(root, link("a", "../outside"), entry("a/canary", regular, 0)))}, want: "parent"},
		attack{name: "name through a link and a directory of the same name", want: "",
			what: [][]field{cat(normal(), list(root, link("a", "../outside"), entry("a", dir, 0), entry("a/new", regular, 0)),
				reply(3, none, nil, emptyDigest), goodbye())},
			after: func(t *testing.T, w *world) {
				if info, err := os.Lstat(filepath.Join(w.in, "a")); err != nil || !info.IsDir() {
					t.Errorf("%v, %v", info, err)
				}
			}},
		attack{name: "name through a link that an earlier session made", want: "is not a directory", what: [][]field{
			cat(normal(), list(root, link("evil", "../outside")), goodbye()),
			cat(openedTo("m/./evil/", cluster, "--inplace"), list(root, entry("canary", regular, 0))),
		}},
		attack{name: "destination below a link", want: "not a directory", what: [][]field{
			cat(openedTo("m/out/sub/", cluster, "--inplace"), list(root, entry("canary", regular, 0)))}},
		attack{name: "destination that climbs", want: "leaves the module", what: [][]field{cat(openedTo("m/../outside/", cluster), list(root))}},
		attack{name: "file where a link to outside is", want: "", what: [][]field{
			cat(normal(), list(root, entry("link.ibd", regular, 0)), reply(1, none, nil, emptyDigest), goodbye())}},
		attack{name: "delta of a file behind a link", want: "", what: [][]field{
			// The basis would be the canary: its block would come back as a checksum.
			cat(opened(cluster, "--inplace"), list(root, entry("link.ibd", regular, 20)), reply(1, none, nil, emptyDigest), goodbye())}},
		attack{name: "file that the module protects", want: "", what: [][]field{cat(normal(), list(root, entry("grastate.dat", regular, 0)), goodbye())},
			after: unchanged("grastate.dat", "mine")},
		attack{name: "deletion of everything", want: "", what: [][]field{
			cat(opened(cluster, "--inplace", "--delete"), ints(0), list(root), goodbye())}, after: unchanged("grastate.dat", "mine")},
		attack{name: "deletion through a link", want: "is not a directory", what: [][]field{
			cat(openedTo("m/out/", cluster, "--delete"), ints(0), list(root))}},
	)
}

func unchanged(name, content string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if b, err := os.ReadFile(filepath.Join(w.in, name)); err != nil || string(b) != content {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func badTypes() (out []attack) {
	for what, mode := range map[string]int64{"no type": 0o644, "an unknown type": 0o170644, "all bits": -1} {
		out = append(out, attack{name: "mode with " + what, want: "mode", what: [][]field{cat(normal(), list(root, entry("x", mode, 0)))}})
	}
	for what, mode := range map[string]int64{"character": 0o020666, "block": 0o060666} {
		out = append(out, attack{name: what + " device", want: "", what: [][]field{
			cat(normal(), list(root, entry("x", mode, 0, field{kVarint, 1, ""}, field{kVarint, 3, ""})), goodbye())},
			after: absent("x")})
	}
	set := func(mode int64) []field {
		return cat(normal(), list(root, entry("x", mode, 0)), reply(1, none, nil, emptyDigest), goodbye())
	}
	return append(out,
		attack{name: "set-uid file", what: [][]field{set(0o104755)}, after: hasMode("x", 0o755)},
		attack{name: "set-gid file", what: [][]field{set(0o102755)}, after: hasMode("x", 0o755)},
		attack{name: "set-gid directory", what: [][]field{cat(normal(), list(root, entry("d", 0o042755, 0)), goodbye())}, after: hasMode("d", 0o755)},
		attack{name: "set-uid socket", what: [][]field{cat(normal(), list(root, entry("s", 0o144755, 0)), goodbye())}, after: hasMode("s", 0o755)},
		attack{name: "hard link", want: "hard link", what: [][]field{cat(normal(), list(root, flagged(0x200, "x", regular, 0)))}},
		attack{name: "first of hard links", want: "hard link", what: [][]field{cat(normal(), list(root, flagged(0x1200, "x", regular, 0)))}},
		attack{name: "link without a target", want: "target", what: [][]field{cat(normal(), list(root, link("x", "")))}},
		attack{name: "link with a NUL", want: "NUL", what: [][]field{cat(normal(), list(root, link("x", "a\x00b")))}},
		attack{name: "link with a target longer than a path", want: "target", what: [][]field{cat(normal(), list(root, link("x", strings.Repeat("y", 4096))))}},
	)
}

func absent(name string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		if info, err := os.Lstat(filepath.Join(w.in, name)); err == nil {
			t.Errorf("%s is there: %v", name, info.Mode())
		}
	}
}

func hasMode(name string, perm os.FileMode) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		info, err := os.Lstat(filepath.Join(w.in, name))
		if err != nil || info.Mode()&(os.ModeSetuid|os.ModeSetgid|os.ModePerm) != perm {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func badNumbers() []attack {
	one := func(what, want string, e ...[]field) attack {
		return attack{name: "list with " + what, want: want, what: [][]field{cat(normal(), list(append([][]field{root}, e...)...))}}
	}
	varints := func(n ...int64) []field { return numbersOf(kVarint, n) }
	return []attack{
		one("a negative size", "negative", entry("x", regular, -1)),
		one("nanoseconds beyond a second", "nanoseconds", flagged(0x2000, "x", regular, 0, field{kVarint, 1_000_000_000, ""})),
		one("negative nanoseconds", "nanoseconds", flagged(0x2000, "x", regular, 0, field{kVarint, -5, ""})),
		one("a name of negative length", "limit", varints(0x40, -1)),
		one("a name of 2 GiB", "limit", varints(0x40, 1<<31-1)),
		one("a name that takes from the one before what that has not", "previous one", cat(varints(0x20), []field{{kByte, 200, ""}, {kByte, 1, ""}}, bytesOf("x"))),
		one("flags that nobody knows", "unknown bits", varints(0x80000)),
		one("owner names of incremental recursion", "incremental", varints(0x400)),
		one("a link target of negative length", "target", entry("l", symlink, 1, field{kVarint, -1, ""})),
		{name: "varint of more than 32 bits", want: "varint", what: [][]field{cat(normal(), bytesOf("\xff\xff\xff\xff\xff\xff"))}},
		{name: "time of more than 64 bits", want: "varlong", what: [][]field{cat(normal(), varints(0x40, 1), bytesOf("x\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))}},
	}
}

// floods are what would fill the memory of one who trusts numbers, or patience.
func floods() []attack {
	owner := []field{{kVarint, 7, ""}, {kByte, 200, ""}, {kBytes, 0, strings.Repeat("u", 200)}}
	rule := cat(ints(3), bytesOf("- x"))
	long := cat(ints(4002), bytesOf("- "+strings.Repeat("*a", 2000)))
	deleting := func() []field { return opened(cluster, "--delete") }
	return []attack{
		{name: "list without end", want: "memory", what: [][]field{cat(normal(), root, numbered(100_000))}},
		{name: "list of long names without end", want: "memory", what: [][]field{cat(normal(), root, repeat2(5_000, entry(strings.Repeat("n", 4000), regular, 0)))}},
		{name: "owners without end", want: "memory", what: [][]field{cat(normal(), root, numbersOf(kVarint, []int64{0, 0}), repeat(60_000, owner...))}},
		{name: "rules without end", want: "rules", what: [][]field{cat(deleting(), repeat(20_000, rule...))}},
		{name: "long rules without end", want: "rules", what: [][]field{cat(deleting(), repeat(1_000, long...))}},
		{name: "rule of 2 GiB", want: "rule", what: [][]field{cat(deleting(), ints(1<<31-1))}},
		{name: "rule of negative length", want: "rule", what: [][]field{cat(deleting(), ints(-5))}},
		{name: "rules from a file of ours", want: "rule", what: [][]field{cat(deleting(), ints(13), bytesOf(". /etc/passwd"), ints(0))}},
		{name: "rules from files in each directory", want: "rule", what: [][]field{cat(deleting(), ints(8), bytesOf(": .rules"), ints(0))}},
		{name: "arguments without end", want: "arguments", what: [][]field{cat(line("@RSYNCD: 32.0 md5"), line("m"), repeat(20_000, field{kArgs, 0, "-q"}))}},
		{name: "argument without end", want: "argument", what: [][]field{cat(line("@RSYNCD: 32.0 md5"), line("m"), bytesOf(strings.Repeat("a", 1<<20)))}},
		{name: "line without end", want: "line", what: [][]field{bytesOf("@RSYNCD: " + strings.Repeat("9", 1<<20))}},
		{name: "directories in directories", want: "deeper", what: [][]field{cat(normal(), list(nested(2000)...))}},
		{name: "silence", want: "nothing sent or received", how: func(t *testing.T, conn *net.TCPConn) { waitForEnd(t, conn) }},
		{name: "a byte now and then", want: "i/o timeout", how: drip},
	}
}

func repeat2(n int, f []field) []field { return slices.Repeat(f, n) }

func numbered(n int) (f []field) {
	for i := range n {
		f = append(f, entry(fmt.Sprintf("table_%07d.ibd", i), regular, 0)...)
	}
	return f
}

func nested(depth int) (entries [][]field) {
	name := "d"
	entries = append(entries, root)
	for range depth {
		entries = append(entries, entry(name, dir, 0))
		name += "/d"
	}
	return entries
}

func waitForEnd(t *testing.T, conn *net.TCPConn) {
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && os.IsTimeout(err) {
		t.Error("it waits for ever")
	}
}

// drip sends a greeting that never ends, slowly enough to never be silent.
func drip(t *testing.T, conn *net.TCPConn) {
	tick := time.NewTicker(silence / 5)
	defer tick.Stop()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-tick.C {
		if _, err := conn.Write([]byte("@")); err != nil {
			return
		}
	}
	t.Error("it listens for ever")
}

func badWords() (out []attack) {
	for _, args := range [][]string{
		{"--sender"}, {"--daemon"}, {"--partial-dir=/tmp"}, {"--backup-dir=../outside"}, {"--temp-dir=../outside"}, {"--link-dest=/"}, {"--copy-dest=/"},
		{"--compare-dest=/"}, {"--files-from=/etc/passwd"}, {"--max-alloc=0"}, {"--log-file=../outside/log"}, {"--append"}, {"--write-devices"}, {"--copy-devices"},
		{"--remove-source-files"}, {"--only-write-batch=x"}, {"--fake-super"}, {"--iconv=utf8"}, {"--usermap=*:root"}, {"--chown=root"}, {"--munge-links"}, {"--keep-dirlinks"},
		{"--groupmap=*:0"}, {"--suffix=../x"}, {"-b"}, {"-A"}, {"-X"}, {"-H"}, {"-K"}, {"-k"}, {"-L"}, {"-R"}, {"-x"}, {"-y"}, {"-z"}, {"-n"}, {"-u"}, {"-U"}, {"-N"}, {"x"}, {"-"},
		{"--compress-threads=1000"}, {"--timeout=99999999999"}, {"--timeout=-1"}, {"--timeout"}, {"--checksum-seed=x"}, {"--checksum-choice=xxh128,md5"},
	} {
		out = append(out, attack{name: "argument " + args[0], want: "on remote machine", what: [][]field{
			cat(opened(append(args, cluster)...), list(root))}})
		if strings.HasPrefix(args[0], "--timeout") || strings.HasPrefix(args[0], "--checksum") {
			out[len(out)-1].want = "-"
		}
	}
	return append(out,
		attack{name: "arguments in seclusion", want: "on remote machine", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", "-se.LsfxCIvu", ""), argsOf("rsync", "--sender", cluster, ".", "m/", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "no destination", want: "destination", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "two destinations", want: "destination", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", "/etc/", ""), []field{{kVString, 0, "xxh128"}, {kMux, 32, ""}}, list(root))}},
		attack{name: "destination with wild cards", want: "", what: [][]field{cat(openedTo("m/o*t/", cluster), list(root, link("x", "y")), goodbye())}},
		attack{name: "checksum that is none", want: "common", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", ""), []field{{kVString, 0, "none"}})}},
		attack{name: "checksum names without end", want: "255", what: [][]field{
			cat(line("@RSYNCD: 32.0 md5"), line("m"), argsOf("--server", cluster, ".", "m/", ""), []field{{kVString, 0, strings.Repeat("md5 ", 5000)}})}},
	)
}

func argsOf(args ...string) (f []field) {
	for _, a := range args {
		f = append(f, field{kArgs, 0, a})
	}
	return f
}

func badData() []attack {
	file := func(what, want string, data ...[]field) attack {
		return attack{name: "data " + what, want: want, what: [][]field{cat(normal(), list(root, entry("x", regular, 10)), cat(data...))}}
	}
	// Without -W and with an old file there the victim sends block sums: 700 bytes each, 58 of them.
	delta := func(what, want string, head []int64, tokens ...int64) attack {
		return attack{name: "delta " + what, want: want, what: [][]field{cat(normal(), list(root, entry("old.ibd", regular, 40_000)),
			index(1), []field{{kShort, 0x8000, ""}}, ints(head...), ints(tokens...), bytesOf(noDigest))}}
	}
	old := []int64{58, 700, 2, 100}
	return []attack{
		file("of a file that is not in the list", "of 2", index(2)),
		file("of file number 2^31", "of 2", index(1<<31-1)),
		file("of a negative file", "of 2", index(-5)),
		file("of a further list", "of 2", index(-101)),
		file("of a directory", "not asked for", reply(0, none, nil, emptyDigest)),
		file("that came already", "not asked for", reply(1, none, nil, emptyDigest), reply(1, none, nil, emptyDigest)),
		file("without the flag", "flags", index(1), []field{{kShort, 0, ""}}),
		file("from a basis of the sender's choice", "flags", index(1), []field{{kShort, 0x8800, ""}, {kByte, 0x83, ""}}),
		file("from a basis of another name", "flags", index(1), []field{{kShort, 0x9000, ""}, {kVString, 0, "../outside/canary"}}),
		file("with another head", "another sum head", reply(1, []int64{10, 700, 2, 0}, nil, emptyDigest)),
		file("with a negative count", "17.1", reply(1, []int64{-1, 700, 2, 0}, nil, emptyDigest)),
		file("with blocks of no length", "17.1", reply(1, []int64{5, 0, 2, 0}, nil, emptyDigest)),
		file("with blocks that are too long", "17.1", reply(1, []int64{1, 131073, 2, 0}, nil, emptyDigest)),
		file("with digests longer than there are", "17.1", reply(1, []int64{1, 700, 17, 0}, nil, emptyDigest)),
		file("with a negative digest", "17.1", reply(1, []int64{1, 700, -1, 0}, nil, emptyDigest)),
		file("with a last block longer than a block", "17.1", reply(1, []int64{1, 700, 2, 701}, nil, emptyDigest)),
		file("from a block where there are none", "17.1", reply(1, none, ints(-1), emptyDigest)),
		file("of 2 GiB in one token that do not come", "unexpected EOF", reply(1, none, cat(ints(1<<31-1), bytesOf("abc")), "")),
		file("from block 2^31", "17.1", reply(1, none, ints(-1<<31), emptyDigest)),
		file("that never fits its digest", "", reply(1, none, nil, noDigest), index(-1), pause(), reply(1, none, nil, noDigest), index(-1), index(-1), pause(), index(-1), pause()),
		file("that is sent a third time", "not asked for", reply(1, none, nil, noDigest), index(-1), pause(), reply(1, none, nil, noDigest), reply(1, none, nil, noDigest)),
		file("after the end", "after the end", reply(1, none, nil, emptyDigest), index(-1), index(-1), reply(1, none, nil, emptyDigest)),
		delta("from the block behind the last", "block 58", old, -59),
		delta("from block 2^31-1", "block", old, -1<<31),
		delta("with another head", "another sum head", []int64{59, 700, 2, 100}, -1),
		{name: "delta to the same block without end", want: "", what: [][]field{cat(normal(), list(root, entry("old.ibd", regular, 40_000)),
			index(1), []field{{kShort, 0x8000, ""}}, ints(old...), repeat(20_000, field{kInt, -1, ""}), ints(0), bytesOf(noDigest), goodbye())}},
	}
}

func badMessages() []attack {
	after := func(what, want string, m ...[]field) attack {
		return attack{name: "message " + what, want: want, what: [][]field{cat(normal(), list(root, entry("x", regular, 0)), cat(m...))}}
	}
	num := func(n uint32) string { return string([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}) }
	return []attack{
		after("of no kind", "unknown message", message(9, "")),
		after("of an inner kind", "unknown message", message(10, num(1))),
		after("with a header that is none", "header", bytesRaw("\x00\x00\x00\x00")),
		after("of 16 MiB", "bytes", bytesRaw("\xff\xff\xff\x09")),
		after("that is too long", "bytes", message(2, strings.Repeat("x", 5200))),
		after("NO_SEND of 3 bytes", "bytes", message(102, "abc")),
		after("NO_SEND for a file of no list", "not asked for", message(102, num(7))),
		after("NO_SEND for a negative file", "not asked for", message(102, num(1<<32-1))),
		after("NO_SEND for a directory", "not asked for", message(102, num(0))),
		after("NO_SEND again and again", "not asked for", repeat(1000, message(102, num(1))...)),
		after("NO_SEND before the list", "not asked for", message(102, num(1)), message(102, num(1))),
		after("IO_ERROR of 5 bytes", "bytes", message(22, "abcde")),
		after("ERROR_EXIT of 3 bytes", "bytes", message(86, "abc")),
		after("NOOP with something in it", "bytes", message(42, "x")),
		after("of text without end", "", repeat(30_000, message(3, "lies\x1b[2J\nand more lies")...), reply(1, none, nil, emptyDigest), goodbye()),
		after("of nothing without end", "", repeat(100_000, message(0, "")...), reply(1, none, nil, emptyDigest), goodbye()),
		after("that it is all over", "gave up", message(86, num(0))),
		{name: "message NO_SEND in the middle of the list", want: "not asked for", what: [][]field{cat(normal(), root, message(102, num(1)))}},
	}
}

// bytesRaw goes around the frames.
func bytesRaw(s string) []field {
	// A message writes its header from the tag: what is wanted lies in the payload of an empty keep-alive.
	return []field{{kMessage, 0, ""}, {kMessage, rawTag, s}}
}

// rawTag makes a message consist of its payload alone.
const rawTag = 1 << 20

func badLines() (out []attack) {
	for text, want := range map[string]string{
		"@RSYNCD: 29.0": "protocol", "@RSYNCD: 41.0 md5": "protocol", "@RSYNCD: 32": "subprotocol", "@RSYNCD: 32.0": "", "GET / HTTP/1.1": "greeting",
		"@RSYNCD: -1.0": "greeting", "@RSYNCD: 99999999999.0 md5": "greeting", "@RSYNCD: 32.0 \x1b[2J": "unprintable", "@ERROR: no": "refused",
	} {
		if want == "" {
			want = "digest"
		}
		out = append(out, attack{name: "greeting " + text, want: want, what: [][]field{cat(line(text), line("m"))}})
	}
	for text, want := range map[string]string{
		"../outside": "unknown module", "m/../outside": "unknown module", "m/": "unknown module", "M": "unknown module", "#shell": "unknown command", "#early_input=99999": "early_input",
		"#early_input=-1": "early_input", "a\x00b": "NUL",
	} {
		out = append(out, attack{name: "module " + text, want: want, what: [][]field{cat(line("@RSYNCD: 32.0 md5"), line(text))}})
	}
	return out
}

func TestMaliciousDonors(t *testing.T) {
	attacks := donorAttacks()
	if len(attacks) < 100 {
		t.Fatalf("only %d attacks", len(attacks))
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			w := trap(t)
			v := startVictim(t, "joiner", w.in)
			addr, err := v.out.ReadString('\n')
			must(t, err)
			if a.how != nil {
				conn := dial(t, addr)
				a.how(t, conn)
				conn.Close()
			}
			for _, fields := range a.what {
				strike(t, addr, fields)
			}
			rep := v.end()
			w.check(t)
			got := rep.Errors[len(rep.Errors)-1]
			if a.want == "" && got != "" || !strings.Contains(got, a.want) {
				t.Errorf("it ends with %q, want %q", got, a.want)
			}
			if a.after != nil {
				a.after(t, w)
			}
		})
	}
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimSpace(addr))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

// strike plays a session to the victim, and stays until the victim hangs up.
func strike(t *testing.T, addr string, fields []field) {
	t.Helper()
	s := encode(fields)
	conn := dial(t, addr)
	defer conn.Close()
	heard, over := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(over)
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for buf := make([]byte, 64<<10); ; {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			select {
			case heard <- struct{}{}:
			default:
			}
		}
	}()
	at := 0
	for _, stop := range append(s.pauses, s.Len()) {
		if _, err := conn.Write(s.Bytes()[at:stop]); err != nil {
			break // it has had enough
		}
		at = stop
		for patience := 300 * time.Millisecond; at < s.Len(); patience = 30 * time.Millisecond {
			select {
			case <-heard:
				continue
			case <-over:
			case <-time.After(patience):
			}
			break
		}
	}
	conn.CloseWrite()
	<-over
}
