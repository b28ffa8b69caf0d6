package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sample makes a tree with one thing of each kind.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "db", "empty"), 0o750))
	must(os.WriteFile(filepath.Join(dir, "db", "t.ibd"), []byte(strings.Repeat("0123456789abcdef", 1<<12)), 0o640))
	must(os.WriteFile(filepath.Join(dir, "db", "name \xff with bytes"), []byte("x"), 0o600))
	must(os.Symlink("t.ibd", filepath.Join(dir, "db", "link")))
	f, err := os.Create(filepath.Join(dir, "db", "holes.ibd"))
	must(err)
	for i := range int64(16) {
		_, err = f.WriteAt([]byte(strings.Repeat("data", 1024)), i*(256<<10))
		must(err)
	}
	must(f.Truncate(4 << 20))
	must(f.Close())
	for _, name := range []string{"db/t.ibd", "db/holes.ibd", "db/name \xff with bytes"} {
		must(os.Chmod(filepath.Join(dir, name), 0o640)) // whatever the umask is
	}
	return dir
}

func read(t *testing.T, dir string, o Options) Tree {
	t.Helper()
	tree, err := Read(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

var all = Options{Content: true}

func TestEqualTreesAreEqual(t *testing.T) {
	a, b := read(t, sample(t), all), read(t, sample(t), all)
	if len(a) != 7 {
		t.Errorf("saw %d names: %v", len(a), a)
	}
	if got := Diff(a, b, Rules{}); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	if a := read(t, sample(t), all)["db/holes.ibd"]; a.Blocks > a.Size/2 {
		t.Skipf("NOT TESTED: the file system of %s keeps no holes", os.TempDir())
	}
	for _, c := range []struct {
		name   string
		change func(dir string) error
		want   string // the only line
	}{
		{"a byte of the same file is changed", func(dir string) error {
			f, err := os.OpenFile(dir+"/db/t.ibd", os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt([]byte("X"), 40000)
			return err
		}, `"db/t.ibd": content differs`},
		{"a byte is missing at the end", func(dir string) error { return os.Truncate(dir+"/db/t.ibd", 1<<16-1) },
			`"db/t.ibd": length is 65535, should be 65536`},
		{"a permission is gone", func(dir string) error { return os.Chmod(dir+"/db/t.ibd", 0o600) }, `"db/t.ibd": mode is 0600, should be 0640`},
		{"a directory has another mode", func(dir string) error { return os.Chmod(dir+"/db/empty", 0o700) }, `"db/empty": mode is 0700`},
		{"the root has another mode", func(dir string) error { return os.Chmod(dir, 0o701) }, `".": mode is 0701`},
		{"a hole is filled", func(dir string) error {
			f, err := os.OpenFile(dir+"/db/holes.ibd", os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 248<<10), 4096)
			return err
		}, `"db/holes.ibd": holes were filled`},
		{"what was allocated is a hole", func(dir string) error {
			f, err := os.OpenFile(dir+"/db/holes.ibd", os.O_WRONLY|os.O_TRUNC, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(4 << 20)
		}, `"db/holes.ibd": content differs`},
		{"a file is missing", func(dir string) error { return os.Remove(dir + "/db/t.ibd") }, `"db/t.ibd": is missing`},
		{"an empty directory is missing", func(dir string) error { return os.Remove(dir + "/db/empty") }, `"db/empty": is missing`},
		{"a file too many", func(dir string) error { return os.WriteFile(dir+"/db/more", nil, 0o640) }, `"db/more": should not be there`},
		{"a file under a name that differs in a byte that is no text", func(dir string) error {
			return os.WriteFile(dir+"/db/name \xfe with bytes", []byte("x"), 0o640)
		}, `"db/name \xfe with bytes": should not be there`},
		{"a link leads elsewhere", func(dir string) error {
			if err := os.Remove(dir + "/db/link"); err != nil {
				return err
			}
			return os.Symlink("holes.ibd", dir+"/db/link")
		}, `"db/link": leads to "holes.ibd", should lead to "t.ibd"`},
		{"a copy of the file is in the place of a link to it", func(dir string) error {
			if err := os.Remove(dir + "/db/link"); err != nil {
				return err
			}
			return os.Link(dir+"/db/t.ibd", dir+"/db/link")
		}, `"db/link": is of the type 100000, should be 120000`},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, dir := read(t, sample(t), all), sample(t)
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			got := Diff(want, read(t, dir, all), Rules{})
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
				t.Errorf("got %q, want the line %s", got, c.want)
			}
		})
	}
}

// Holes that appear where the content stays the same: allowed to those that may be
// thinner, and to no other.
func TestZerosThatBecomeHoles(t *testing.T) {
	tree := func(f func(*os.File) error) Tree {
		dir := t.TempDir()
		file, err := os.OpenFile(dir+"/t.ibd", os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := f(file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		return read(t, dir, all)
	}
	dense := tree(func(f *os.File) error { _, err := f.Write(make([]byte, 1<<20)); return err })
	holes := tree(func(f *os.File) error { return f.Truncate(1 << 20) })
	if dense["t.ibd"].Blocks < 1<<20 {
		t.Skip("NOT TESTED: the file system makes holes of zeros by itself")
	}
	thinner := Rules{Thinner: func(name string) bool { return name == "t.ibd" }}
	for _, c := range []struct {
		name      string
		want, got Tree
		rules     Rules
		line      string
	}{
		{"a copy may be thinner where that is allowed", dense, holes, thinner, ""},
		{"a copy may not be thinner elsewhere", dense, holes, Rules{}, `"t.ibd": is not allocated`},
		{"a copy may never be thicker", holes, dense, thinner, `"t.ibd": holes were filled`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Diff(c.want, c.got, c.rules)
			if c.line == "" && len(got) > 0 || c.line != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.line)) {
				t.Errorf("got %q, want %q", got, c.line)
			}
		})
	}
}

func TestOwners(t *testing.T) {
	want, dir := read(t, sample(t), all), sample(t)
	if err := os.Lchown(dir+"/db/link", 12345, 54321); err != nil {
		t.Skipf("NOT TESTED: only root may give files away: %v", err)
	}
	got := Diff(want, read(t, dir, all), Rules{})
	if len(got) != 1 || !strings.HasPrefix(got[0], `"db/link": owner is 12345:54321, should be`) {
		t.Errorf("%q", got)
	}
}

func TestTimesOnlyWhenAsked(t *testing.T) {
	dir := sample(t)
	before, timed := read(t, dir, all), read(t, dir, Options{Times: true})
	ts := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, dir+"/db/t.ibd", ts, 0); err != nil {
		t.Fatal(err)
	}
	if got := Diff(before, read(t, dir, all), Rules{}); len(got) > 0 {
		t.Errorf("without Times: %q", got)
	}
	got := Diff(timed, read(t, dir, Options{Times: true}), Rules{})
	if len(got) != 1 || !strings.HasPrefix(got[0], `"db/t.ibd": modification time is 1000000000 ns`) {
		t.Errorf("with Times: %q", got)
	}
}

func TestLinksThatAreEntered(t *testing.T) {
	real, dir := sample(t), t.TempDir()
	if err := os.Symlink(real+"/db", dir+"/db"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, all); len(got) != 2 || got["db"].Link == "" {
		t.Errorf("not entered: %v", got)
	}
	through := read(t, dir, Options{Content: true, Through: func(name string) bool { return name == "db" }})
	want := read(t, real, all)
	delete(want, ".")
	delete(through, ".")
	if got := Diff(want, through, Rules{}); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestAPartOfATree(t *testing.T) {
	whole := read(t, sample(t), all)
	part := whole.Only(func(name string) bool { return strings.HasPrefix(name, "db/") })
	if len(part) != len(whole)-2 || whole.Size() != part.Size() || part.Size() != 1<<16+4<<20+1 {
		t.Errorf("%d of %d names, %d of %d bytes", len(part), len(whole), part.Size(), whole.Size())
	}
}
