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

// some is a quarter of the attacks with -short, which is for the race detector: it makes
// the victim, a process each time, slow to start. Without it all of them run.
func some[A any](all []A) []A {
	if !testing.Short() {
		return all
	}
	var out []A
	for i := 0; i < len(all); i += 4 {
		out = append(out, all[i])
	}
	return out
}

func TestMaliciousDonors(t *testing.T) {
	attacks := donorAttacks()
	if len(attacks) < 100 {
		t.Fatalf("only %d attacks", len(attacks))
	}
	for _, a := range some(attacks) {
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
		for patience := 2 * time.Second; at < s.Len(); patience = 100 * time.Millisecond {
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
