package sessions

import (
	"crypto/sha256"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// maker builds a tree and stops the test at the first failure.
type maker struct {
	t    *testing.T
	root string
}

func (m maker) path(name string) string { return filepath.Join(m.root, name) }

func (m maker) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m maker) dir(name string, mode os.FileMode) {
	m.t.Helper()
	m.must(os.MkdirAll(m.path(name), 0o755))
	m.must(os.Chmod(m.path(name), mode))
}

// file makes n bytes that depend on name and salt, in mode.
func (m maker) file(name string, n int, mode os.FileMode, salt string) {
	m.t.Helper()
	m.must(os.MkdirAll(filepath.Dir(m.path(name)), 0o755))
	m.must(os.WriteFile(m.path(name), content(name+salt, n), 0o600))
	m.must(os.Chmod(m.path(name), mode))
}

// owner gives a file to others, where root runs the tests.
func (m maker) owner(name string, uid, gid int) {
	m.t.Helper()
	if os.Getuid() == 0 {
		m.must(os.Lchown(m.path(name), uid, gid))
	}
}

func (m maker) link(name, target string) {
	m.t.Helper()
	m.must(os.Symlink(target, m.path(name)))
}

// socket leaves a socket file behind whose listener is gone, as a server that was killed does.
func (m maker) socket(name string) {
	m.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	m.must(err)
	defer unix.Close(fd)
	// A short way to a path that may be too long for a socket address.
	dir, err := os.Open(filepath.Dir(m.path(name)))
	m.must(err)
	defer dir.Close()
	m.must(unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), filepath.Base(name))}))
}

// holes makes a file of the given size with a little data at its start, in the middle and at its end.
func (m maker) holes(name string, size int64) {
	m.t.Helper()
	f, err := os.Create(m.path(name))
	m.must(err)
	defer f.Close()
	m.must(f.Truncate(size))
	for _, at := range []int64{0, size/2 + 123, size - 777} {
		_, err := f.WriteAt(content(name, 777), at)
		m.must(err)
	}
}

func content(name string, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(b)
	return b
}

// donor fills a layout with what a donor may have: every sort of file in every place, and much that must stay behind.
func donor(t *testing.T, l layout) {
	t.Helper()
	for _, p := range []place{home, redo, undo, aria} {
		m := maker{t, l.dir(p)}
		m.dir(".", 0o750)
		m.file("not-for-others."+string(p), 10, 0o600, "donor")
	}
	maker{t, l.dir(home)}.file("ibdata1", 2<<20, 0o660, "donor")
	maker{t, l.dir(home)}.file("ibdata2", 70_000, 0o660, "donor")
	maker{t, l.dir(home)}.file("ib_lru_dump", 44, 0o640, "donor")
	maker{t, l.dir(home)}.file("ib_buffer_pool", 900, 0o640, "donor")
	maker{t, l.dir(redo)}.file("ib_logfile0", 300_000, 0o660, "donor")
	maker{t, l.dir(redo)}.file("ib_logfile1", 1000, 0o660, "donor")
	maker{t, l.dir(redo)}.file("ib_logfilex", 1000, 0o660, "donor")
	maker{t, l.dir(undo)}.file("undo001", 65536, 0o660, "donor")
	maker{t, l.dir(undo)}.file("undo002", 65536, 0o660, "donor")
	maker{t, l.dir(aria)}.file("aria_log_control", 52, 0o660, "donor")
	maker{t, l.dir(aria)}.file("aria_log.00000001", 40_000, 0o660, "donor")

	m := maker{t, l.dir(data)}
	m.dir("lost+found", 0o700)
	m.file("lost+found/#123", 5, 0o600, "donor")
	m.file(".zfs/snapshot/x", 5, 0o600, "donor")
	m.file(".snapshot/x", 5, 0o600, "donor")
	m.file("wsrep_sst_binlog.tar", 10240, 0o640, "donor")
	m.file("grastate.dat", 200, 0o660, "donor")
	m.file("server-key.pem", 1700, 0o600, "donor")
	m.file("rsync_tunnel_sst_complete", 44, 0o640, "donor")
	m.file("rsync_sst_complete", 88, 0o640, "donor")
	m.owner("rsync_sst_complete", 1, 2)
	m.must(os.Chtimes(m.path("rsync_sst_complete"), time.Time{}, time.Unix(1_700_000_000, 123_456_789)))

	m.dir("db1", 0o700)
	m.file("db1/t1.ibd", 1_300_000, 0o660, "donor")
	m.file("db1/same.ibd", 200_000, 0o660, "both")
	m.file("db1/grown.MYD", 900_000, 0o660, "donor")
	m.file("db1/shrunk.ibd", 5000, 0o660, "donor")
	m.file("db1/t1.frm", 900, 0o440, "donor")
	m.file("db1/secret.frm", 900, 0o400, "donor")
	m.file("db1/empty.MYD", 0, 0o660, "donor")
	m.file("db1/block.ibd", 32768, 0o660, "donor")
	m.file("db1/blockandone.ibd", 32769, 0o660, "donor")
	m.file("db1/sub/deep/er/x.ibd", 70_000, 0o660, "donor")
	m.file("db1/sub/ib_logfile7", 70, 0o660, "donor")
	m.file("db1/ib_logfile7", 70, 0o660, "donor")
	m.dir("db1/void", 0o750)
	m.dir("db1/readonly", 0o700)
	m.file("db1/readonly/x", 10, 0o444, "donor")
	m.must(os.Chmod(m.path("db1/readonly"), 0o555))
	m.link("db1/near", "t1.frm")
	m.link("db1/far", "/etc/hostname")
	m.link("db1/up", "../ibdata1")
	m.link("db1/nowhere", "no such file")
	m.link("db1/toadir", "sub")
	m.must(unix.Mkfifo(m.path("db1/fifo"), 0o620))
	m.socket("db1/sock")
	m.holes("db1/holes.ibd", 8<<20)
	m.owner("db1/t1.ibd", 1, 1)
	m.owner("db1/grown.MYD", 4242, 2)
	m.owner("db1/sub/deep", 2, 4343)
	m.owner("db1/near", 1, 2)
	m.owner("db1/fifo", 3, 3)

	for _, name := range []string{"odd\xff \n.ibd", "-rf", "--delete", "*?[x].ibd", "tbl@0023sql.frm", "t#P#p0#SP#s1.ibd", "żółw.frm", " lead",
		"trail ", ".hidden", "back\\slash", "$HOME", "a:b", "~", "tab\there", "cr\rhere", strings.Repeat("n", 255), "\x01\x7f"} {
		m.file("names/"+name, 40+len(name), 0o660, "donor")
	}
	for _, name := range []string{"db sp ace", "db@002d1", "#mysql50#x-y", "żółw", "d\xfe\n", "-n", "star*", "q'uote\""} {
		m.file(name+"/t.ibd", 500, 0o660, "donor")
	}
	m.dir("emptydb", 0o2750)
	for i := range 300 {
		m.file(filepath.Join("many", strings.Repeat("t", 1+i%40)+string(rune('a'+i%26))+".frm"), i, 0o660, "donor")
	}
	elsewhere := maker{t, filepath.Join(l.root, "elsewhere")}
	elsewhere.file("t.ibd", 3000, 0o660, "donor")
	elsewhere.dir(".", 0o750)
	m.link("linked", elsewhere.root)
}

// joiner fills a layout with what a former member may have: old versions, leftovers, and files of other types where
// the donor's will come; and what no session may touch.
func joiner(t *testing.T, l layout) {
	t.Helper()
	for _, p := range []place{home, redo, undo, aria} {
		m := maker{t, l.dir(p)}
		m.dir(".", 0o755)
		m.file("mine."+string(p), 10, 0o600, "joiner")
	}
	maker{t, l.dir(home)}.file("ibdata1", 3<<20, 0o600, "joiner")
	maker{t, l.dir(home)}.file("ibdata9", 30, 0o600, "joiner")
	maker{t, l.dir(redo)}.file("ib_logfile101", 3000, 0o600, "joiner")
	maker{t, l.dir(undo)}.file("undo003", 300, 0o600, "joiner")
	maker{t, l.dir(aria)}.file("aria_log.00000077", 300, 0o600, "joiner")

	m := maker{t, l.dir(data)}
	m.file("lost+found/mine", 5, 0o600, "joiner")
	m.file("grastate.dat", 100, 0o600, "joiner")
	m.file("server-key.pem", 100, 0o600, "joiner")
	m.file("my.cnf", 100, 0o644, "joiner")
	m.file("rsync_sst_complete", 20, 0o600, "joiner")

	m.dir("db1", 0o755)
	m.file("db1/t1.ibd", 1_300_000, 0o600, "joiner")
	m.file("db1/same.ibd", 200_000, 0o600, "both")
	m.file("db1/grown.MYD", 10_000, 0o600, "joiner")
	m.file("db1/shrunk.ibd", 500_000, 0o600, "joiner")
	m.file("db1/secret.frm/x", 10, 0o600, "joiner") // a directory where a file comes
	m.file("db1/sub", 10, 0o600, "joiner")          // a file where a directory comes
	m.file("db1/fifo", 10, 0o600, "joiner")
	m.file("db1/near", 10, 0o600, "joiner")
	m.dir("db1/toadir", 0o755)
	m.link("db1/t1.frm", "../grastate.dat") // must not be written through
	m.link("db1/nowhere", "another target")
	m.link("db1/void", "../emptydb") // a link where a directory comes
	m.dir("db1/readonly", 0o755)
	m.file("db1/readonly/gone", 10, 0o444, "joiner")
	m.must(unix.Mkfifo(m.path("db1/blockandone.ibd"), 0o600))
	m.file("db1/gone.ibd", 30, 0o600, "joiner")
	m.file("db1/gone/deep/x", 30, 0o600, "joiner")
	m.file("db1/ib_logfile9", 30, 0o600, "joiner")
	m.dir("db1/gone/readonly", 0o755)
	m.file("db1/spared/sub/ib_logfile9", 30, 0o600, "joiner") // by T3's rule, and so its directories
	m.owner("db1/t1.ibd", 2, 2)
	m.file("olddb/t.ibd", 30, 0o600, "joiner")
	m.file("olddb/sub/t.ibd", 30, 0o600, "joiner")
	m.link("oldlink", "olddb")
	m.file("many/stale.frm", 30, 0o600, "joiner")
	m.file("names/-x", 30, 0o600, "joiner")
}
