package plan

import (
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/filter"
)

const base = "rsync_tunnel_sst"

// tunnelScript are the modules of the original script.
var tunnelScript = []string{base, base + "-log_dir"}

// inno are the files without which there is no plan.
var inno = []string{"ibdata1", "ib_logfile0"}

// grow makes files, directories ("x/") and links ("x -> target") below dir.
func grow(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		var err error
		link, target, isLink := strings.Cut(name, " -> ")
		file := filepath.Join(dir, link)
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		switch {
		case isLink:
			err = os.Symlink(strings.ReplaceAll(target, "DIR", dir), file)
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(file, 0o700)
		default:
			err = os.WriteFile(file, []byte("content of "+name), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// datadir makes a data directory with InnoDB's files and more.
func datadir(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	grow(t, dir, append(slices.Clone(inno), names...)...)
	return dir
}

// donor makes a plan that must succeed.
func makePlan(t *testing.T, p Places, modules []string) *Plan {
	t.Helper()
	plan, err := Donor(t.Context(), p, base, modules)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func rules(t *testing.T, text []string) *filter.List {
	t.Helper()
	l, err := filter.Parse(text...)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// sent lists what an rsync client would put into the file lists of all sessions, as
// "-suffix:path/below/the/module", with a slash after directories. The session of a
// database does not list its own root.
func sent(t *testing.T, p *Plan) []string {
	t.Helper()
	out := map[string]bool{}
	for _, s := range p.Sessions {
		for name, dir := range listed(t, s) {
			name = strings.TrimPrefix(s.Module, base) + ":" + path.Join(s.Path, name)
			if dir {
				name += "/"
			}
			if out[name] && !dir {
				t.Errorf("%s is sent twice", name)
			}
			out[name] = true
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// listed is the file list of one session.
func listed(t *testing.T, s Session) map[string]bool {
	t.Helper()
	l := rules(t, s.Rules)
	out := map[string]bool{}
	root, err := filepath.EvalSymlinks(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
		if err != nil || file == root {
			return err
		}
		name := strings.TrimPrefix(file, root+"/")
		if l.Excluded(filter.Sender, name, e.IsDir()) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		out[name] = e.IsDir()
		if e.IsDir() && !s.Recursive {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// deleted lists what the sessions would remove from a joiner's directory, which all
// modules share: what a session selects and does not send.
func deleted(t *testing.T, p *Plan, joiner string) []string {
	t.Helper()
	var out []string
	for _, s := range p.Sessions {
		l, have := rules(t, s.Rules), listed(t, s)
		root := filepath.Join(joiner, s.Path)
		err := filepath.WalkDir(root, func(file string, e fs.DirEntry, err error) error {
			if err != nil || file == root {
				return nil
			}
			name := strings.TrimPrefix(file, root+"/")
			_, there := have[name]
			if !there && !l.Excluded(filter.Receiver, name, e.IsDir()) {
				out = append(out, path.Join(s.Path, name))
			}
			if e.IsDir() && (!s.Recursive || !there) {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s\ngot  %q\nwant %q", what, got, want)
	}
}

// refused is the text of a plan that must fail, and have advice.
func refused(t *testing.T, p Places, modules []string) string {
	t.Helper()
	_, err := Donor(t.Context(), p, base, modules)
	h, ok := err.(interface{ Hint() string })
	if err == nil || !ok || h.Hint() == "" {
		t.Fatalf("no refusal with a hint: %v", err)
	}
	return err.Error()
}
