package sst

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsrep_sst_rsync_tunnel/sst/report"
)

const testUUID = "3098c6fd-e766-11f1-a4b4-477c3b5b7c8d"

func TestPosition(t *testing.T) {
	for _, c := range []struct{ name, line, want string }{
		{"with a domain", testUUID + ":2 0", testUUID + ":2 0"},
		{"of a server that tells no domain", testUUID + ":2", testUUID + ":2"},
		{"with a domain of four bytes", testUUID + ":9223372036854775807 4294967295", testUUID + ":9223372036854775807 4294967295"},
		{"with blanks around", "  " + testUUID + ":2   7\r\n", testUUID + ":2 7"},
		{"in capitals", strings.ToUpper(testUUID) + ":0 0", strings.ToUpper(testUUID) + ":0 0"},
		{"of no cluster", zeroUUID + ":-1 0", ""},
		{"of no cluster, with a number", zeroUUID + ":5 0", ""},
		{"undefined", testUUID + ":-1 0", ""},
		{"without a number", testUUID + ": 0", ""},
		{"without a colon", testUUID, ""},
		{"with a domain that is no number", testUUID + ":2 x", ""},
		{"with more than a domain", testUUID + ":2 0 0", ""},
		{"with a number too large", testUUID + ":9223372036854775808", ""},
		{"with a short uuid", testUUID[1:] + ":2 0", ""},
		{"with a letter too many", "g" + testUUID[1:] + ":2 0", ""},
		{"empty", "", ""},
		{"of a thousand digits", testUUID + ":" + strings.Repeat("1", 1000), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := parsePosition(c.line)
			if c.want == "" {
				if err == nil {
					t.Fatalf("taken as %v", p)
				}
				return
			}
			if err != nil || p.String() != c.want {
				t.Fatalf("%v, %v", p, err)
			}
		})
	}
}

func FuzzPosition(f *testing.F) {
	f.Add(testUUID + ":2 0")
	f.Add(zeroUUID + ":-1")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := parsePosition(line)
		if err != nil {
			return
		}
		if len(p.String()) > maxPosition || strings.ContainsAny(p.String(), "\n\r") {
			t.Errorf("%q cannot be printed as one line", p)
		}
		if again, err := parsePosition(p.String()); err != nil || again != p {
			t.Errorf("%q became %v, %v", line, again, err)
		}
	})
}

func openTestRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFlushWait(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []string // content of tables_flushed, one a second; "" = not there
		want  string
		after time.Duration
	}{
		{"is there at once", []string{testUUID + ":2 0\n"}, testUUID + ":2 0", 0},
		{"comes after a while", []string{"", "", testUUID + ":2 0\n"}, testUUID + ":2 0", 2 * time.Second},
		{"is first empty", []string{"", "\n", testUUID + ":2 0\n"}, testUUID + ":2 0", 2 * time.Second},
		{"begins with an empty line", []string{"\n" + testUUID + ":2 0\n"}, testUUID + ":2 0", 0},
		{"is read while it is written", []string{testUUID + ":", testUUID + ":2 0\n"}, testUUID + ":2 0", time.Second},
		{"is written twice", []string{testUUID + ":2 0\n", testUUID + ":2 0\n"}, testUUID + ":2 0", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			root := openTestRoot(t, dir)
			synctest.Test(t, func(t *testing.T) {
				done := make(chan struct{})
				go func() {
					defer close(done)
					for i, s := range c.steps {
						if i > 0 {
							time.Sleep(time.Second)
						}
						if s != "" {
							write(t, dir, flushedFile+".tmp", s)
							if err := os.Rename(filepath.Join(dir, flushedFile+".tmp"), filepath.Join(dir, flushedFile)); err != nil {
								t.Error(err)
							}
						}
					}
				}()
				synctest.Wait()
				began := time.Now()
				p, at, err := newFlushWait(func(s string) { t.Log(s) }).wait(t.Context(), root)
				took := time.Since(began)
				<-done
				if err != nil || p.String() != c.want {
					t.Fatalf("%v, %v", p, err)
				}
				if info, err := os.Lstat(filepath.Join(dir, flushedFile)); err != nil || at.After(info.ModTime()) || at.Before(info.ModTime().Add(-time.Minute)) {
					t.Errorf("flushed at %v, the file is of %v, %v", at, info.ModTime(), err)
				}
				if took < c.after || took > c.after+100*time.Millisecond {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestFlushWaitFailures(t *testing.T) {
	t.Run("mariadbd could not lock", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, failedFile, "")
		_, _, err := newFlushWait(nil).wait(t.Context(), openTestRoot(t, dir))
		if statusOf(err) != exitOther || report.Hint(err) == "" {
			t.Fatalf("status %d, hint %q: %v", statusOf(err), report.Hint(err), err)
		}
	})
	t.Run("what it wrote is no position", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, flushedFile, zeroUUID+":-1 0\n")
		if p, _, err := newFlushWait(nil).wait(t.Context(), openTestRoot(t, dir)); err == nil {
			t.Fatalf("taken as %v", p)
		}
	})
	t.Run("it is a link", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, "other", testUUID+":2 0\n")
		if err := os.Symlink("other", filepath.Join(dir, flushedFile)); err != nil {
			t.Fatal(err)
		}
		if p, _, err := newFlushWait(nil).wait(t.Context(), openTestRoot(t, dir)); err == nil {
			t.Fatalf("taken as %v", p)
		}
	})
}

func TestFlushWaitSaysThatItWaits(t *testing.T) {
	dir := t.TempDir()
	root := openTestRoot(t, dir)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		said := 0
		w := newFlushWait(func(s string) {
			if said++; said == 3 {
				cancel(errServerGone)
			}
		})
		began := time.Now()
		if _, _, err := w.wait(ctx, root); !errors.Is(err, errServerGone) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("said three times within %v", took)
		}
	})
}
