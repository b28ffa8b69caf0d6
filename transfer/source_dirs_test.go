package transfer

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// A source of some directories looks at nothing else, and does not come without one.
func TestASourceOfSomeDirectories(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/t", "b*/sub/t", "c/t", "b1/t", "file"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	for _, tt := range []struct {
		what  string
		dirs  []string
		rules []string
		want  string // names, or what the error says
		fails bool
	}{
		{"two", []string{"b*", "a"}, []string{`+ /a/`, `+ /b\*/`, "- /*"}, ". a a/t b* b*/sub b*/sub/t", false},
		{"one that is gone", []string{"a", "gone"}, nil, "gone", true},
		{"a file", []string{"a", "file"}, nil, "file", true},
		{"a link", []string{"link"}, nil, "link", true},
		{"one that the rules hide", []string{"a", "c"}, []string{"+ /a/", "- /*"}, "c", true},
	} {
		t.Run(tt.what, func(t *testing.T) {
			rules, err := filter.Parse(tt.rules...)
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewDirSource(root, DirSourceOptions{Rules: rules, Dirs: tt.dirs, Recursive: true, Links: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			entries, _, err := s.List(t.Context())
			if tt.fails {
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("list %q: is gone, or no directory any more", tt.want)) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name)
			}
			slices.Sort(names)
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
		})
	}
}
