package lookalike

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/bench/tree"
)

func newBoth(t *testing.T, megabytes int) (donor, joiner *Datadir) {
	t.Helper()
	dir := t.TempDir()
	donor, err := NewDonor(filepath.Join(dir, "donor"), Size{megabytes}, Owners{})
	if err != nil {
		t.Fatal(err)
	}
	joiner, err = NewJoiner(filepath.Join(dir, "joiner"), Size{megabytes}, Owners{})
	if err != nil {
		t.Fatal(err)
	}
	return donor, joiner
}

func read(t *testing.T, d *Datadir) tree.Tree {
	t.Helper()
	got, err := tree.Read(t.Context(), d.Dir, tree.Options{Content: true, Through: d.Linked})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEveryNameHasAFateOfItsSide(t *testing.T) {
	donor, joiner := newBoth(t, 1)
	for _, side := range []struct {
		d        *Datadir
		one, two Fate
	}{{donor, Sent, Home}, {joiner, Gone, Kept}} {
		seen := map[Fate]int{}
		for name := range read(t, side.d) {
			if name == "." || slices.Contains(droppedLast, name) {
				continue
			}
			f := side.d.Fate(name)
			if f != side.one && f != side.two {
				t.Errorf("%s: the fate of %q is %d", side.d.Dir, name, f)
			}
			seen[f]++
		}
		if seen[side.one] < 20 || seen[side.two] < 10 {
			t.Errorf("%s: %v", side.d.Dir, seen)
		}
	}
}

// Otherwise an SST that does nothing would pass.
func TestNothingThatIsSentIsAlreadyThere(t *testing.T) {
	donor, joiner := newBoth(t, 1)
	sent, there := read(t, donor), read(t, joiner)
	for name, f := range sent {
		if g, ok := there[name]; ok && donor.Fate(name) == Sent && f.IsRegular() && f.Size > 0 && g.Sum == f.Sum && !sameByDesign[name] {
			t.Errorf("%q has the donor's content on the joiner already", name)
		}
		if g, ok := there[name]; ok && joiner.Fate(name) == Kept && f.IsRegular() && g.Sum == f.Sum {
			t.Errorf("%q could be overwritten by the donor's and nobody would see it", name)
		}
	}
}

// sameByDesign are equal on both sides, except for mode or type.
var sameByDesign = map[string]bool{
	"linked/t.frm": true, "mysql/db.opt": true, "mysql/global_priv.frm": true, "mysql/global_priv.MAI": true, "shop/orders.frm": true,
	"shop/read only.frm": true, "raw \xfc\xff bytes/\xe9t\xe9.frm": true,
}

func TestTheSizeIsAboutWhatWasAskedFor(t *testing.T) {
	donor, _ := newBoth(t, 64)
	got := read(t, donor).Only(func(name string) bool { return donor.Fate(name) == Sent }).Size()
	if got < 64<<20 || got > 70<<20 {
		t.Errorf("%d bytes", got)
	}
}

func TestHolesAreHoles(t *testing.T) {
	donor, _ := newBoth(t, 1)
	all := read(t, donor)
	if f := all["shop/customers.ibd"]; f.Blocks < f.Size {
		t.Skip("NOT TESTED: the file system makes holes or compresses by itself")
	}
	if f := all["shop/paged.ibd"]; f.Blocks > f.Size/2 {
		t.Errorf("paged.ibd takes %d of %d bytes", f.Blocks, f.Size)
	}
}

func TestPagesHaveTheChecksumsOfInnoDB(t *testing.T) {
	donor, _ := newBoth(t, 1)
	file := filepath.Join(donor.Dir, busyTable)
	if err := LastWrites(donor, Owners{}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zero := 0
	for no := 0; no*pageSize < len(b); no++ {
		page := b[no*pageSize:][:pageSize]
		if strings.Trim(string(page), "\x00") == "" {
			zero++
			continue
		}
		want := crc32.Checksum(page[:pageSize-4], crc32.MakeTable(crc32.Castagnoli))
		if got := binary.BigEndian.Uint32(page[pageSize-4:]); got != want || binary.BigEndian.Uint32(page[4:]) != uint32(no) {
			t.Fatalf("page %d: checksum %08x, want %08x", no, got, want)
		}
	}
	if zero == 0 {
		t.Error("no page is free")
	}
	check, err := exec.LookPath("innochecksum")
	if err != nil {
		t.Skip("NOT TESTED against MariaDB: innochecksum is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), check, file).CombinedOutput(); err != nil {
		t.Errorf("innochecksum: %v\n%s", err, out)
	}
}

func TestLastWritesShow(t *testing.T) {
	donor, _ := newBoth(t, 1)
	before := read(t, donor)
	if err := LastWrites(donor, Owners{}); err != nil {
		t.Fatal(err)
	}
	got := tree.Diff(before, read(t, donor), tree.Rules{})
	want := map[string]string{busyTable: "length is", madeDatabase: "should not be there"}
	for _, name := range madeLast {
		want[name] = "should not be there"
	}
	for _, name := range droppedLast {
		want[name] = "is missing"
	}
	text := strings.Join(got, "\n")
	for name, how := range want {
		if !strings.Contains(text, strconv.Quote(name)+": "+how) {
			t.Errorf("%s: nothing says: %s", name, how)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(got), len(want), text)
	}
}

func TestThePositionIsGivenUpInPlace(t *testing.T) {
	_, joiner := newBoth(t, 1)
	name := filepath.Join(joiner.Dir, "grastate.dat")
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := GiveUpPosition(f); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), "uuid:    "+formerUUID+"\nseqno:   1234\n") ||
		!strings.HasSuffix(string(after), "uuid:    "+ZeroUUID+"\nseqno:   -1\nsafe_to_bootstrap: 0\n") {
		t.Errorf("before %q, after %q", before, after)
	}
}

func TestFilesAreGivenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: only root may give files away")
	}
	dir := filepath.Join(t.TempDir(), "donor")
	o := Owners{Give: true, Server: Owner{1001, 1002}, Other: Owner{1003, 1004}}
	donor, err := NewDonor(dir, Size{1}, o)
	if err != nil {
		t.Fatal(err)
	}
	others := 0
	for name, f := range read(t, donor) {
		switch {
		case f.UID == 1003 && f.GID == 1004:
			others++
		case f.Mode&unix.S_IFMT == unix.S_IFSOCK:
		case f.UID != 1001 || f.GID != 1002:
			t.Errorf("%q belongs to %d:%d", name, f.UID, f.GID)
		}
	}
	if others != 1 {
		t.Errorf("%d files belong to somebody else", others)
	}
}

func TestAFolderThatExistsIsNotFilled(t *testing.T) {
	if _, err := NewDonor(t.TempDir(), Size{1}, Owners{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v", err)
	}
}
