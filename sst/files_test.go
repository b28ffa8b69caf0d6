package sst

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// names lists a directory, all levels, sorted; directories end in a slash.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if e.IsDir() {
			rel += "/"
		}
		out = append(out, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func TestPresenceComesAndGoes(t *testing.T) {
	for _, c := range []struct {
		name     string
		progress bool
		want     []string
	}{
		{"of a donor", false, []string{pidFile}},
		{"of a joiner", true, []string{progressFile, pidFile}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			p := presence{root: openTestRoot(t, dir), pid: 42, progress: c.progress}
			if err := p.begin(); err != nil {
				t.Fatal(err)
			}
			if got := names(t, dir); !slices.Equal(got, c.want) {
				t.Errorf("there are %q", got)
			}
			if b, err := os.ReadFile(filepath.Join(dir, pidFile)); err != nil || string(b) != "42\n" {
				t.Errorf("%q, %v", b, err)
			}
			if err := p.end(); err != nil {
				t.Fatal(err)
			}
			if got := names(t, dir); len(got) != 0 {
				t.Errorf("left %q", got)
			}
			if err := p.end(); err != nil {
				t.Errorf("the second end: %v", err)
			}
		})
	}
}

func TestPresenceLeavesThePidFileOfSomebodyElse(t *testing.T) {
	dir := t.TempDir()
	p := presence{root: openTestRoot(t, dir), pid: 42, progress: true}
	if err := p.begin(); err != nil {
		t.Fatal(err)
	}
	write(t, dir, pidFile, "43\n")
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); !slices.Equal(got, []string{pidFile}) {
		t.Errorf("left %q", got)
	}
}

// A peer of an earlier session, or a leftover, may have put a link there.
func TestControlFilesAreNotWrittenThroughLinks(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, grastateFile, "precious")
	if err := os.Symlink(grastateFile, filepath.Join(dir, pidFile)); err != nil {
		t.Fatal(err)
	}
	p := presence{root: openTestRoot(t, dir), pid: 42}
	if err := p.begin(); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, grastateFile)); string(b) != "precious" {
		t.Errorf("%s became %q", grastateFile, b)
	}
	if info, err := os.Lstat(filepath.Join(dir, pidFile)); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the pid file is %v, %v", info, err)
	}
	if err := os.Remove(filepath.Join(dir, pidFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(grastateFile, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if text, err := readControl(p.root, "link", 100); err == nil {
		t.Errorf("read %q through a link", text)
	}
}
