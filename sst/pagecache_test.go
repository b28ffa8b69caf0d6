package sst

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// coldTestFile makes a file of parts of which the given ones are in the page cache.
func coldTestFile(t *testing.T, parts int, warm ...int) (string, *os.File) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.ibd")
	write(t, filepath.Dir(path), "t.ibd", string(make([]byte, parts*cachePart-100)))
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if kind, err := fileSystem(filepath.Dir(path)); err != nil || kind == unix.TMPFS_MAGIC {
		t.Skipf("NOT TESTED: %s is in memory, or %v: nothing there is ever cold", path, err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil { // no reading ahead
		t.Fatal(err)
	}
	dontNeed(int(f.Fd()), 0, 0)
	for _, part := range warm {
		if _, err := f.ReadAt(make([]byte, 10), int64(part)*cachePart+5000); err != nil {
			t.Fatal(err)
		}
	}
	return path, f
}

// warmParts says which parts are in the page cache, at least partly.
func warmParts(t *testing.T, f *os.File, parts int) (warm []int) {
	t.Helper()
	m := lookCold(int(f.Fd()), int64(parts*cachePart-100))
	for part := range parts {
		if !m.cold(int64(part)) {
			warm = append(warm, part)
		}
	}
	return warm
}

func TestBothWaysToLookAtThePageCacheAgree(t *testing.T) {
	const parts = 70 // more than one word, and than one window
	_, f := coldTestFile(t, parts, 0, 3, 63, 64, 69)
	size := int64(parts*cachePart - 100)
	m := lookCold(int(f.Fd()), size)
	old := (&coldMap{size: size, bits: make([]uint64, 2)}).lookMapped(int(f.Fd()))
	for part := range int64(parts) {
		want := part != 0 && part != 3 && part != 63 && part != 64 && part != 69
		if m.cold(part) != want || old.cold(part) != want {
			t.Errorf("part %d: cold is %v by cachestat, %v by mincore, want %v", part, m.cold(part), old.cold(part), want)
		}
	}
}

func TestWhatWasNotCachedIsGivenBack(t *testing.T) {
	for name, keep := range map[string]bool{"as it is read": false, "when all is over": true} {
		t.Run(name, func(t *testing.T) {
			const parts = 5
			path, f := coldTestFile(t, parts, 1, 3)
			c := newPageCache(0)
			c.room = 100 << 20
			s := c.wrap(path, ext.FromOS(f), keep)
			buf := make([]byte, 256<<10)
			for off := int64(0); off < parts*cachePart; off += int64(len(buf)) {
				s.ReadAt(buf, off) // ends with io.EOF
			}
			if keep {
				if got := warmParts(t, f, parts); len(got) != parts {
					t.Errorf("not kept: only %v are in the cache", got)
				}
				c.giveBack()
			}
			if got := warmParts(t, f, parts); len(got) != 2 || got[0] != 1 || got[1] != 3 {
				t.Errorf("in the cache are %v, want 1 and 3", got)
			}
		})
	}
}

func TestOnlyAsMuchIsKeptAsThereIsRoomFor(t *testing.T) {
	path, f := coldTestFile(t, 3)
	c := newPageCache(0)
	c.room = 2 * cachePart
	s := c.wrap(path, ext.FromOS(f), true)
	s.ReadAt(make([]byte, cachePart), 0)
	if got := warmParts(t, f, 3); len(got) != 0 {
		t.Errorf("kept %v", got)
	}
	if c.refill(); c.room <= 0 {
		t.Errorf("room for %d bytes on this machine", c.room)
	}
}

// What lies ahead of a read is on its way to the page cache when its turn comes.
func TestWhatComesNextIsAskedFor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "t.ibd")
	if err := os.WriteFile(name, make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	src := readAhead(ext.FromOS(f), 4<<20)
	defer src.Close()
	known, ok := src.(onDisk)
	if !ok {
		t.Fatal("no descriptor: nothing would be given back")
	}
	fd := known.Descriptor()
	if err := unix.Fdatasync(fd); err != nil {
		t.Fatal(err)
	}
	dontNeed(fd, 0, 16<<20)
	if n, ok := cachedPages(fd, 0, 16<<20); !ok || n > 0 {
		t.Skip("this file system or kernel does not show what is cached")
	}
	p := make([]byte, 256<<10)
	if _, err := src.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	all := uint64(4 << 20 / os.Getpagesize())
	waitFor(t, "what is ahead to be cached", func() bool { n, _ := cachedPages(fd, 0, 4<<20); return n == all })
	if n, _ := cachedPages(fd, 8<<20, 8<<20); n > 0 {
		t.Errorf("%d pages are cached far beyond", n)
	}
}

// Each stream reads a part of a large file. What one asks for beyond its own another may have read, and
// given back, and would stay.
func TestNothingIsAskedForBeyondAPart(t *testing.T) {
	_, f := coldTestFile(t, 2*aheadFrom/cachePart)
	src := readAhead(ext.FromOS(f), ownerAhead)
	p := make([]byte, 256<<10)
	for off := int64(aheadFrom - ownerAhead); off < aheadFrom; off += int64(len(p)) {
		if _, err := src.ReadAt(p, off); err != nil {
			t.Fatal(err)
		}
	}
	if n, ok := cachedPages(int(f.Fd()), aheadFrom, aheadFrom-cachePart); !ok || n > 0 {
		t.Errorf("%d pages of the next part are cached", n)
	}
}

// The limit of a container's memory counts, of either version of cgroups.
func TestTheCgroupLimitsWhatIsKept(t *testing.T) {
	for _, tt := range []struct {
		name, proc, file, text string
		want                   int64
	}{
		{"version 2", "0::/pod/mariadb\n", "pod/mariadb/memory.max", "1073741824\n", 1 << 30},
		{"version 2 without a limit", "0::/\n", "memory.max", "max\n", 0},
		{"version 2, not to be seen", "0::/\n", "else", "5\n", 0},
		{"version 1", "9:name=systemd:/\n4:memory:/docker/x:y\n0::/\n", "memory/docker/x:y/memory.limit_in_bytes", "2147483648\n", 2 << 30},
		{"version 1 without a limit", "4:memory:/\n", "memory/memory.limit_in_bytes", "9223372036854771712\n", 0},
		{"nonsense", "memory\n:\n", "else", "", 0},
	} {
		dir := t.TempDir()
		write(t, dir, "proc", tt.proc)
		write(t, dir, filepath.Join("sys", tt.file), tt.text)
		if got := cgroupMemory(memoryCgroup(filepath.Join(dir, "proc")), filepath.Join(dir, "sys")); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	for _, tt := range []struct{ proc, want string }{
		{"0::/system.slice/mariadb.service\n", "/system.slice/mariadb.service"},
		{"0::/../x\n", "/x"},
		{"9:name=systemd:/s\n4:memory:/docker/x:y\n0::/\n", "/memory/docker/x:y"},
		{"0::/a\n4:memory:/b\n", "/memory/b"},
		{"memory\n:\n", ""},
	} {
		dir := t.TempDir()
		write(t, dir, "proc", tt.proc)
		if got := memoryCgroup(filepath.Join(dir, "proc")); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.proc, got, tt.want)
		}
	}
	c := newPageCache(400)
	c.refill()
	if c.room > 400/keepShare {
		t.Errorf("room for %d bytes of 400", c.room)
	}
}

// What is read before the lock stays in the cache if the final pass will read it again: it
// can do so from memory, or wait for the disk.
func TestWhatIsReadAgainIsGuessed(t *testing.T) {
	s, f, _ := settledFile() // changed 40 s before
	read := changed(f.stamp).Add(40 * time.Second)
	if !s.readAgain(f, read) {
		t.Error("a table that was written to a moment ago: the server may have more of it")
	}
	if s.readAgain(f, read.Add(warmAge)) {
		t.Error("a table that nobody uses")
	}
	f.name = "db/t.MYD"
	if !s.readAgain(f, read.Add(warmAge)) {
		t.Error("what is never skipped is always read again")
	}
}
