package sst

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// binlogs makes a server's binlogs below dir, its data directory. Names are given
// as the index has them.
func binlogs(t *testing.T, dir, name string, files ...string) Binlog {
	t.Helper()
	b := Binlog{Name: name, Path: filepath.Join(dir, name), Index: filepath.Join(dir, name+".index")}
	if filepath.IsAbs(name) {
		b.Path, b.Index = name, name+".index"
	}
	if err := os.MkdirAll(b.Dir(), 0o700); err != nil {
		t.Fatal(err)
	}
	index := ""
	for _, line := range files {
		index += line + "\n"
		file := line
		if !filepath.IsAbs(line) {
			file = filepath.Join(dir, line)
		}
		putFile(t, file, "binlog "+filepath.Base(line))
	}
	putFile(t, b.Index, index)
	return b
}

func putFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// files lists a directory, and what is in each file.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			out[e.Name()+"/"] = ""
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// archiveOf reads a whole virtual archive.
func archiveOf(t *testing.T, a *BinlogTar) []byte {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(a, 0, a.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDonorToJoiner(t *testing.T) {
	donor, joiner := t.TempDir(), t.TempDir()
	a, err := OpenBinlogTar(binlogs(t, donor, "server1_binlog", "./server1_binlog.000001", "./server1_binlog.000002"), donor, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b := binlogs(t, joiner, "server1_binlog", "./server1_binlog.000009")
	names, err := UnpackBinlogs(io.NewSectionReader(a, 0, a.Size()), a.Size(), b, joiner)
	if err != nil || !slices.Equal(names, a.Names) {
		t.Fatalf("%q, %v", names, err)
	}
	if got, want := files(t, joiner), files(t, donor); !maps.Equal(got, want) {
		t.Errorf("donor %q\njoiner %q", want, got)
	}
}
