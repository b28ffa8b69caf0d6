package sst

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

func TestTheLastBinlogsAreArchived(t *testing.T) {
	dir := t.TempDir()
	all := []string{"b.000001", "b.000002", "b.000003"}
	b := binlogs(t, dir, "b", "./b.000001", "./b.000002", "./b.000003")
	for max, want := range map[int][]string{1: all[2:], 2: all[1:], 3: all, 9: all, -1: all, 0: nil} {
		a, err := OpenBinlogTar(b, dir, max)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		var names []string
		r := tar.NewReader(bytes.NewReader(archiveOf(t, a)))
		for {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil || string(content) != "binlog "+h.Name || h.Mode != 0o600 || h.Uid != os.Geteuid() {
				t.Errorf("%+v, %q, %v", h, content, err)
			}
			names = append(names, h.Name)
		}
		if !slices.Equal(names, want) || !slices.Equal(a.Names, want) {
			t.Errorf("the last %d: %q, said to be %q", max, names, a.Names)
		}
	}
}

func TestBinlogsAreFoundWhereTheIndexSays(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	b := binlogs(t, dir, "logs/b", "./b.000001", "logs/b.000002", elsewhere+"/old.000003")
	a, err := OpenBinlogTar(b, dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if want := []string{"b.000001", "b.000002", "old.000003"}; !slices.Equal(a.Names, want) || len(a.Missing) > 0 {
		t.Errorf("%q, missing %q", a.Names, a.Missing)
	}
}

func TestABinlogThatWasPurgedByHandIsNamed(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b", "./b.000001", "./b.000002")
	if err := os.Remove(filepath.Join(dir, "b.000001")); err != nil {
		t.Fatal(err)
	}
	a, err := OpenBinlogTar(b, dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if !slices.Equal(a.Names, []string{"b.000002"}) || !slices.Equal(a.Missing, []string{filepath.Join(dir, "b.000001")}) {
		t.Errorf("%q, missing %q", a.Names, a.Missing)
	}
}

func TestNoIndexIsAnEmptyArchive(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenBinlogTar(Binlog{Name: "b", Path: dir + "/b", Index: dir + "/b.index"}, dir, 1)
	if err != nil || a.Size() != 1024 || len(a.Names) > 0 {
		t.Fatalf("%+v, %v", a, err)
	}
	if b := archiveOf(t, a); !bytes.Equal(b, make([]byte, 1024)) {
		t.Errorf("%q", b)
	}
}

func TestWhatIsNoBinlogIsNotArchived(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b")
	putFile(t, b.Index, "./fifo.000001\n")
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo.000001"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenBinlogTar(b, dir, -1); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a FIFO: %v", err)
	}
	putFile(t, b.Index, strings.Repeat("x", 5000)+"\n")
	if _, err := OpenBinlogTar(b, dir, -1); err == nil || !strings.Contains(err.Error(), b.Index) {
		t.Errorf("a line too long for a name: %v", err)
	}
	putFile(t, b.Index, strings.Repeat("b.000001\n", maxTarFiles+1))
	if _, err := OpenBinlogTar(b, dir, -1); err == nil || !strings.Contains(err.Error(), "sst-max-binlogs") {
		t.Errorf("too many: %v", err)
	}
}

func TestTheArchiveReadsTheSameInAnyPieces(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b", "./b.000001", "./b.000002", "./b.000003")
	putFile(t, filepath.Join(dir, "b.000001"), strings.Repeat("x", 512))
	putFile(t, filepath.Join(dir, "b.000002"), "")
	putFile(t, filepath.Join(dir, "b.000003"), strings.Repeat("y", 1025))
	a, err := OpenBinlogTar(b, dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	whole := archiveOf(t, a)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.IntRange(0, len(whole)+10).Draw(t, "off")
		p := make([]byte, rapid.IntRange(0, len(whole)).Draw(t, "len"))
		n, err := a.ReadAt(p, int64(off))
		want := whole[min(off, len(whole)):min(off+len(p), len(whole))]
		if n != len(want) || !bytes.Equal(p[:n], want) || (err == io.EOF) != (n < len(p)) || err != nil && err != io.EOF {
			t.Fatalf("%d bytes at %d: %d, %v", len(p), off, n, err)
		}
	})
	if err := iotest.TestReader(io.NewSectionReader(a, 0, a.Size()), whole); err != nil {
		t.Error(err)
	}
	if _, err := a.ReadAt(nil, -1); err == nil {
		t.Error("a negative offset is none")
	}
}

func TestABinlogThatGrowsOrShrinksUnderTheArchive(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b", "./b.000001")
	a, err := OpenBinlogTar(b, dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before := archiveOf(t, a)
	file := filepath.Join(dir, "b.000001")
	if err := os.WriteFile(file, []byte("binlog b.000001 and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(archiveOf(t, a), before) {
		t.Error("what came later is in the archive")
	}
	if err := os.Truncate(file, 3); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, io.NewSectionReader(a, 0, a.Size())); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), file) {
		t.Errorf("a file that is shorter now: %v", err)
	}
}

func TestOtherTarsReadTheArchive(t *testing.T) {
	prog, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("no tar here")
	}
	dir := t.TempDir()
	long := strings.Repeat("n", 180)
	b := binlogs(t, dir, "b", "./b.000001", "./"+long+".000002")
	a, err := OpenBinlogTar(b, dir, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	cmd := exec.Command(prog, "-t", "-f", "-")
	cmd.Stdin = io.NewSectionReader(a, 0, a.Size())
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "b.000001\n"+long+".000002\n" {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestHugeBinlogsHaveASize(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b", "./b.000001")
	if err := os.Truncate(filepath.Join(dir, "b.000001"), 9<<30); err != nil {
		t.Skip("no file of that length here: ", err)
	}
	a, err := OpenBinlogTar(b, dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h, err := tar.NewReader(io.NewSectionReader(a, 0, a.Size())).Next()
	if err != nil || h.Size != 9<<30 || a.Size() != 9<<30+512+1024 {
		t.Errorf("%+v, %v, %d", h, err, a.Size())
	}
}
