package sst

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// packed makes an archive of files.
func packed(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		content := ""
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			content = "new " + h.Name
			h.Size = int64(len(content))
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(1700000000, 0)
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(archive []byte, b Binlog, datadir string) ([]string, error) {
	return UnpackBinlogs(bytes.NewReader(archive), int64(len(archive)), b, datadir)
}

func TestBinlogsTakeThePlaceOfOldOnes(t *testing.T) {
	for _, c := range []struct {
		name   string
		binlog string
		listed []string // in the old index, and there
		beside []string // files there too
		sent   []string
		want   []string // in the directory of the binlogs
		index  string
	}{
		{"in the data directory, as the server writes it", "b", []string{"./b.000007", "./b.000008"}, []string{"b.000009", "b.state", "ibdata1", "c.000001", "b.ibd"},
			[]string{"b.000002", "b.000003"}, []string{"b.000002", "b.000003", "b.index", "ibdata1", "c.000001", "b.ibd"}, "./b.000002\n./b.000003\n"},
		{"in a directory of the data directory", "logs/b", []string{"logs/b.000002"}, nil,
			[]string{"b.000002"}, []string{"b.000002", "b.index"}, "logs/b.000002\n"},
		{"elsewhere", "/ELSE/b", []string{"/ELSE/b.000005"}, nil,
			[]string{"b.000002"}, []string{"b.000002", "b.index"}, "/ELSE/b.000002\n"},
		{"of a donor that names them otherwise", "b", []string{"./b.000007"}, nil,
			[]string{"donor-bin.000004"}, []string{"donor-bin.000004", "b.index"}, "./donor-bin.000004\n"},
		{"and once more, from another donor", "b", []string{"./donor1.000004"}, []string{"b.000001"},
			[]string{"donor2.000009"}, []string{"donor2.000009", "b.index"}, "./donor2.000009\n"},
		{"on a node that had none", "b", nil, nil, []string{"b.1000000"}, []string{"b.1000000", "b.index"}, "./b.1000000\n"},
		{"over what a failed attempt left", "b", nil, []string{unpackPrefix + "b.000002", unpackPrefix + "b.index"},
			[]string{"b.000002"}, []string{"b.000002", "b.index"}, "./b.000002\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, other := t.TempDir(), t.TempDir()
			at := func(s string) string { return strings.ReplaceAll(s, "/ELSE", other) }
			var listed []string
			for _, l := range c.listed {
				listed = append(listed, at(l))
			}
			b := binlogs(t, dir, at(c.binlog), listed...)
			for _, name := range c.beside {
				putFile(t, filepath.Join(b.Dir(), name), "beside")
			}
			var headers []tar.Header
			for _, name := range c.sent {
				headers = append(headers, tar.Header{Name: name, Mode: 0o4777})
			}
			names, err := unpack(packed(t, headers...), b, dir)
			if err != nil || !slices.Equal(names, c.sent) {
				t.Fatalf("%q, %v", names, err)
			}
			got := files(t, b.Dir())
			for name := range got {
				if !slices.Contains(c.want, name) {
					t.Errorf("%s is there", name)
				}
			}
			for _, name := range c.want {
				if _, ok := got[name]; !ok {
					t.Errorf("%s is not there", name)
				}
			}
			for _, name := range c.sent {
				if got[name] != "new "+name {
					t.Errorf("%s: %q", name, got[name])
				}
				info, err := os.Stat(filepath.Join(b.Dir(), name))
				if err != nil || info.Mode()&^0o660 != 0 || info.ModTime().Unix() != 1700000000 {
					t.Errorf("%s: %v, %v, %v", name, info.Mode(), info.ModTime(), err)
				}
			}
			if index := got["b.index"]; index != at(c.index) {
				t.Errorf("index %q, want %q", index, at(c.index))
			}
		})
	}
}

func TestBinlogsBelongToTheOwnerOfTheDatadir(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	b := binlogs(t, dir, "b")
	if err := os.Chown(dir, 12345, 54321); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(packed(t, tar.Header{Name: "b.000001", Uid: 7}), b, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b.000001", "b.index"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != 12345 || st.Gid != 54321 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}

func TestArchivesOfTheStockScript(t *testing.T) {
	prog, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("no tar here")
	}
	donor, dir := t.TempDir(), t.TempDir()
	binlogs(t, donor, "b", "./b.000001", "./b.000002")
	archive, err := exec.Command(prog, "-c", "-f", "-", "-C", donor, "b.000001", "b.000002").Output()
	if err != nil {
		t.Fatal(err)
	}
	names, err := unpack(archive, binlogs(t, dir, "b"), dir)
	if err != nil || !slices.Equal(names, []string{"b.000001", "b.000002"}) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestHostileArchivesChangeNothing(t *testing.T) {
	good := tar.Header{Name: "b.000002"}
	whole := packed(t, good)
	for _, c := range []struct {
		name    string
		archive []byte
		says    string
	}{
		{"a path", packed(t, good, tar.Header{Name: "sub/b.000003"}), "not the name of a binlog"},
		{"a path upwards", packed(t, tar.Header{Name: "../b.000003"}), "not the name of a binlog"},
		{"an absolute path", packed(t, tar.Header{Name: "/etc/b.000003"}), "not the name of a binlog"},
		{"a name of InnoDB's", packed(t, tar.Header{Name: "ibdata1"}), "not the name of a binlog"},
		{"a page of Galera's cache", packed(t, tar.Header{Name: "gcache.page.000000"}), "not the name of a binlog"},
		{"Aria's log", packed(t, tar.Header{Name: "aria_log.00000001"}), "not the name of a binlog"},
		{"a number too short", packed(t, tar.Header{Name: "b.1"}), "not the name of a binlog"},
		{"no base", packed(t, tar.Header{Name: ".000001"}), "not the name of a binlog"},
		{"a line of the index in a name", packed(t, tar.Header{Name: "x\n/etc/passwd.000001"}), "not the name of a binlog"},
		{"a name too long for a file", packed(t, tar.Header{Name: strings.Repeat("x", 240) + ".000001"}), "too long"},
		{"a link", packed(t, good, tar.Header{Name: "b.000003", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "not a plain file"},
		{"a hard link", packed(t, tar.Header{Name: "b.000003", Typeflag: tar.TypeLink, Linkname: "ibdata1"}), "not a plain file"},
		{"a directory", packed(t, tar.Header{Name: "b.000003", Typeflag: tar.TypeDir}), "not a plain file"},
		{"a device", packed(t, tar.Header{Name: "b.000003", Typeflag: tar.TypeChar}), "not a plain file"},
		{"a name twice", packed(t, good, good), "twice"},
		{"two bases", packed(t, good, tar.Header{Name: "c.000003"}), "does not go with"},
		{"a file of somebody else's", packed(t, tar.Header{Name: "mine.000001"}), "no binlog of this server"},
		{"the end is missing", whole[:520], "missing"},
		{"half a header", append(slices.Clone(whole[:1024]), "x"...), "unexpected EOF"},
		{"no archive", []byte(strings.Repeat("x", 512)), "invalid tar header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			b := binlogs(t, dir, "b", "./b.000001")
			putFile(t, filepath.Join(dir, "mine.000001"), "mine")
			putFile(t, filepath.Join(dir, "ibdata1"), "data")
			before := files(t, dir)
			_, err := unpack(c.archive, b, dir)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if after := files(t, dir); !maps.Equal(before, after) {
				t.Errorf("before %q\nafter  %q", before, after)
			}
		})
	}
}

// A header may claim a file that is long but for its holes.
func TestASparseFileIsRefused(t *testing.T) {
	prog, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("no tar here")
	}
	src := t.TempDir()
	putFile(t, filepath.Join(src, "b.000002"), "x")
	if err := os.Truncate(filepath.Join(src, "b.000002"), 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"gnu", "posix"} {
		archive, err := exec.Command(prog, "-S", "-H", format, "-c", "-f", "-", "-C", src, "b.000002").Output()
		if err != nil {
			t.Fatal(err)
		}
		if len(archive) > 1<<20 {
			t.Skip("this tar made no sparse file")
		}
		dir := t.TempDir()
		if _, err := unpack(archive, binlogs(t, dir, "b"), dir); err == nil || !strings.Contains(err.Error(), "not a plain file") {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestAnEmptyArchiveChangesNothing(t *testing.T) {
	dir := t.TempDir()
	b := binlogs(t, dir, "b", "./b.000001")
	before := files(t, dir)
	names, err := unpack(packed(t), b, dir)
	if err != nil || names != nil || !maps.Equal(before, files(t, dir)) {
		t.Errorf("%q, %v, %q", names, err, files(t, dir))
	}
}

func TestBinlogsNeedTheirDirectory(t *testing.T) {
	dir := t.TempDir()
	b := Binlog{Name: "gone/b", Path: filepath.Join(dir, "gone/b"), Index: filepath.Join(dir, "b.index")}
	if _, err := unpack(packed(t, tar.Header{Name: "b.000001"}), b, dir); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "binlog directory") {
		t.Errorf("got %v", err)
	}
}

func FuzzUnpackBinlogs(f *testing.F) {
	f.Add(packed(f, tar.Header{Name: "b.000002"}, tar.Header{Name: "b.000003"}))
	f.Add(packed(f, tar.Header{Name: "../b.000002"}))
	f.Add(packed(f, tar.Header{Name: "b.000002", Typeflag: tar.TypeSymlink, Linkname: "/etc"}))
	f.Add(packed(f, tar.Header{Name: "b.000002", Format: tar.FormatPAX, PAXRecords: map[string]string{"comment": "x"}}))
	f.Add(packed(f, tar.Header{Name: strings.Repeat("n", 150) + ".000002", Format: tar.FormatGNU}))
	f.Fuzz(func(t *testing.T, archive []byte) {
		top := t.TempDir()
		dir := filepath.Join(top, "data")
		b := Binlog{Name: "b", Path: dir + "/b", Index: dir + "/b.index"}
		putFile(t, b.Index, "./b.000001\n")
		putFile(t, dir+"/b.000001", "old")
		putFile(t, dir+"/ibdata1", "data")
		before := files(t, dir)
		names, err := unpack(archive, b, dir)
		after := files(t, dir)
		if outside := files(t, top); len(outside) != 1 {
			t.Fatalf("outside: %q", outside)
		}
		if err != nil || len(names) == 0 {
			if !maps.Equal(before, after) {
				t.Fatalf("%v\nbefore %q\nafter  %q", err, before, after)
			}
			return
		}
		if len(after) != len(names)+2 || after["ibdata1"] != "data" {
			t.Fatalf("%q became %q", names, after)
		}
		size := 0
		for _, name := range names {
			size += len(after[name])
		}
		if size > len(archive) {
			t.Fatalf("%d bytes became %d", len(archive), size)
		}
		if lines := strings.Split(strings.TrimSpace(after["b.index"]), "\n"); len(lines) != len(names) {
			t.Fatalf("%d lines for %d files", len(lines), len(names))
		}
	})
}
