package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bundled is a plan before and after Bundle.
func bundled(t *testing.T, p Places) (single, bundles *Plan) {
	t.Helper()
	single, bundles = makePlan(t, p, tunnelScript), makePlan(t, p, tunnelScript)
	bundles.Bundle()
	return single, bundles
}

// alike checks that a bundled plan is as good as the other: the same files arrive, the
// same ones go, everything is counted, and the top level comes first.
func alike(t *testing.T, single, bundles *Plan, joiner string) {
	t.Helper()
	expect(t, "sent", sent(t, bundles), sent(t, single))
	expect(t, "deleted", deleted(t, bundles, joiner), deleted(t, single, joiner))
	var sum Total
	var databases []string
	for i, s := range bundles.Sessions {
		sum.add(s.Total)
		databases = append(databases, s.Databases...)
		if i == 0 && (s.Recursive || s.Path != "") {
			t.Errorf("the first session is %+v", s)
		}
		if len(s.Rules) > maxBundled+1 && s.Recursive {
			t.Errorf("a session of %d rules", len(s.Rules))
		}
		if s.Recursive && i > 0 && bundles.Sessions[i-1].Recursive && bundles.Sessions[i-1].cost() < s.cost() {
			t.Errorf("session %d costs more than the one before", i)
		}
	}
	if sum != single.Total || bundles.Total != single.Total {
		t.Errorf("%+v in sessions of %+v, want %+v", sum, bundles.Total, single.Total)
	}
	var want []string
	for _, s := range single.Sessions {
		want = append(want, s.Databases...)
	}
	slices.Sort(want)
	slices.Sort(databases)
	if !slices.Equal(databases, want) {
		t.Errorf("databases %q, want %q", databases, want)
	}
}

func TestManySmallDatabasesShareFewSessions(t *testing.T) {
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("s%03d/db.opt", i), fmt.Sprintf("s%03d/sub/t.ibd", i))
	}
	dir := datadir(t, names...)
	stale := filepath.Join(t.TempDir(), "joiner")
	grow(t, stale, "s007/stale.ibd", "s007/sub/stale.ibd", "s299/x/", "dropped/t.ibd", "ibdata1", "notes", "lost+found/x", ".ssh/id")
	single, bundles := bundled(t, Places{Datadir: dir})
	alike(t, single, bundles, stale)
	if n := len(bundles.Sessions) - len(single.Sessions) + 300; n > 6 {
		t.Errorf("%d sessions for 300 databases", n)
	}
}

func TestALargeDatabaseKeepsItsSession(t *testing.T) {
	dir := datadir(t, "a/t.ibd", "big/t.ibd", "c/t.ibd", "d/t.ibd", "large/t.ibd")
	for _, name := range []string{"big", "large"} {
		if err := os.WriteFile(filepath.Join(dir, name, "t.ibd"), make([]byte, minBundle), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	single, bundles := bundled(t, Places{Datadir: dir})
	alike(t, single, bundles, t.TempDir())
	var got []string
	for _, s := range bundles.Sessions[2:] {
		got = append(got, s.Path+"="+strings.Join(s.Databases, "+"))
	}
	if want := []string{"./big/=big", "./large/=large", "=a+c+d"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The last sessions must not be so large that the other workers wait for them, nor the
// sessions so many that their connections are what takes the time.
func TestBundlesAreBoundedByWhatTheyCost(t *testing.T) {
	for _, tt := range []struct {
		what       string
		databases  int
		size       int64
		files      int64
		min, max   int
		mostOfCost int64 // that one session may have
	}{
		{"empty ones", 10000, 0, 1, 157, 157, minBundle},
		{"of one page and many files", 500, 1 << 20, 200, 270, 500, minBundle},
		{"of 40 MiB, a terabyte in all", 25000, 40 << 20, 10, 256, 25000/maxBundled + 512, 2 << 42 / bundleShare},
		{"of 1 GiB", 20, 1 << 30, 10, 20, 20, 2 << 30},
		{"few and tiny", 3, 1 << 12, 2, 1, 1, minBundle},
		{"one", 1, 1 << 12, 2, 1, 1, minBundle},
		{"none", 0, 0, 0, 0, 0, 0},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := &Plan{Sessions: []Session{{Module: base, Dir: "/data"}}}
			for i := range tt.databases {
				s := Session{Module: base, Path: "./x/", Databases: []string{fmt.Sprint(i)}, Recursive: true,
					Total: Total{Files: tt.files, Size: tt.size, Allocated: tt.size}}
				p.Sessions = append(p.Sessions, s)
				p.Total.add(s.Total)
			}
			p.Bundle()
			n, databases := len(p.Sessions)-1, 0
			for _, s := range p.Sessions {
				databases += len(s.Databases)
				if s.cost() > tt.mostOfCost {
					t.Fatalf("a session of %d bytes in %d files for %d databases", s.Allocated, s.Files, len(s.Databases))
				}
			}
			if n < tt.min || n > tt.max || databases != tt.databases {
				t.Errorf("%d sessions for %d databases, want %d to %d", n, databases, tt.min, tt.max)
			}
		})
	}
}

// Where the joiner has a link too, rsync writes through it only if it is the
// destination of the session.
func TestALinkedDatabaseKeepsItsSession(t *testing.T) {
	dir := datadir(t, "a/t.ibd", "b/t.ibd", "../elsewhere/t.ibd", "linked -> ../elsewhere")
	single, bundles := bundled(t, Places{Datadir: dir})
	alike(t, single, bundles, t.TempDir())
	for _, s := range bundles.Sessions {
		if slices.Contains(s.Databases, "linked") && (s.IsBundle() || s.Path != "./linked/") {
			t.Errorf("%+v", s)
		}
	}
}

// What is cut out of a database is cut out by rules of its session.
func TestADatabaseWithACutKeepsItsSession(t *testing.T) {
	dir := datadir(t, "a/t.ibd", "b/t.ibd", "keys/t.ibd", "keys/private/node.key", "undo/t.ibd", "undo/undo001")
	p := Places{Datadir: dir, UndoDir: filepath.Join(dir, "undo"), NotData: []NotData{{Key: "tkey", Path: filepath.Join(dir, "keys/private/node.key")}}}
	single, bundles := makePlan(t, p, nil), makePlan(t, p, nil)
	bundles.Bundle()
	joiner := filepath.Join(t.TempDir(), "joiner")
	grow(t, joiner, "keys/private/own.key", "keys/stale.ibd", "undo/undo009", "undo/stale.ibd", "a/stale.ibd")
	alike(t, single, bundles, joiner)
	for _, name := range sent(t, bundles) {
		if strings.Contains(name, "private") {
			t.Errorf("%s is sent", name)
		}
	}
}

func TestBundlesOfOddNames(t *testing.T) {
	names := []string{"a*", "a[b]", "a\nb", "ab", "aXb", "back\\sla?h", "back\\slXh", "-rf", " lead", "trail ", "d\xfe", "#mysql50#x", ".hidden", "+ ", "!"}
	var files, stale []string
	for _, n := range names {
		files = append(files, n+"/t.ibd")
		stale = append(stale, n+"/stale.ibd")
	}
	dir := datadir(t, files...)
	joiner := filepath.Join(t.TempDir(), "joiner")
	grow(t, joiner, append(stale, "a\\*/x", "aY/x", "notes", "ibdata1")...)
	single, bundles := bundled(t, Places{Datadir: dir})
	alike(t, single, bundles, joiner)
	if n := len(bundles.Sessions) - len(single.Sessions) + len(names); n != 1 {
		t.Errorf("%d sessions for %d databases", n, len(names))
	}
}
