package transfer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"wsrep_sst_rsync_tunnel/transfer/filter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// content makes n bytes that depend on the name.
func content(name string, n int) []byte {
	seed := sha256.Sum256([]byte(name))
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b)
	return b
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o640); err != nil {
		t.Fatal(err)
	}
}

// sourceTree is a data directory in small.
func sourceTree(t *testing.T) string {
	dir := t.TempDir()
	for name, n := range map[string]int{
		"ibdata1": 300_000, "ib_logfile0": 70_000, "server.err": 10, "db1/t1.ibd": 1 << 20, "db1/t1.frm": 900,
		"db1/empty.ibd": 0, "db1/odd\xff \n#P#p0.ibd": 33, "db1/sub/deep.ibd": 32768, "db1/sub/x": 32769, "db2/a.ibd": 1,
	} {
		write(t, dir, name, content(name, n))
	}
	for _, d := range []string{"db1/void", "db3", "lost+found"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Symlink("t1.frm", filepath.Join(dir, "db1/link")),
		os.Chmod(filepath.Join(dir, "db1/t1.frm"), 0o440),
		syscall.Mkfifo(filepath.Join(dir, "db1/fifo"), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// snapshot describes a tree: type, permissions, content or target of every file.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		info, err := d.Info()
		if err != nil {
			return err
		}
		s := info.Mode().String()
		switch {
		case info.Mode().IsRegular():
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			s += fmt.Sprintf(" %d %x", len(b), sha256.Sum256(b))
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			s += " -> " + target
		}
		m[rel] = s
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// conns gives the two ends of a TCP connection.
func conns(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

func store(t *testing.T, dir string, o StoreOptions) *DirStore {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := NewDirStore(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func source(t *testing.T, dir string, o *PushOptions) Source {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := NewDirSource(root, DirSourceOptions{
		Rules: o.Rules, Recursive: o.Recursive, Links: o.Links, Specials: o.Specials,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// base are the options of the scripts' sessions.
func base(t *testing.T, rules ...string) PushOptions {
	t.Helper()
	l, err := filter.Parse(rules...)
	if err != nil {
		t.Fatal(err)
	}
	return PushOptions{
		Module: "m", Rules: l, Delete: true, WholeFile: true, Inplace: true, IgnoreTimes: true,
		Owner: true, Group: true, Perms: true, Links: true, Specials: true, Timeout: 20 * time.Second,
	}
}

type outcome struct {
	push    Stats
	pushErr error
	served  Result
	err     error
}

func converse(t *testing.T, src Source, o PushOptions, d *Daemon) outcome {
	t.Helper()
	client, server := conns(t)
	var out outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.served, out.err = d.Serve(t.Context(), server)
		server.Close()
	}()
	out.push, out.pushErr = Push(t.Context(), client, src, o)
	client.Close()
	<-done
	return out
}

var topRules = []string{"- /lost+found", "+ /ibdata*", "+ /*/", "- /*"}

func TestATreeArrivesEqual(t *testing.T) {
	for _, proto := range []int{30, 31, 32} {
		for _, whole := range []bool{true, false} {
			t.Run(fmt.Sprintf("protocol %d whole %v", proto, whole), func(t *testing.T) {
				src, dst := sourceTree(t), t.TempDir()
				write(t, dst, "stale/x.ibd", []byte("stale"))
				write(t, dst, "ibdata9", []byte("stale"))
				write(t, dst, "keep.cnf", []byte("kept"))
				write(t, dst, "db1/gone", []byte("stale"))
				write(t, dst, "db1/t1.ibd", append(content("db1/t1.ibd", 500_000), content("other", 900_000)...))
				write(t, dst, "db1/void", []byte("a file where a directory comes"))
				write(t, dst, "db1/t1.frm/y", []byte("a directory where a file comes"))
				d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
				o := base(t, topRules...)
				o.Dirs, o.Protocol, o.WholeFile = true, proto, whole
				if out := converse(t, source(t, src, &o), o, d); out.pushErr != nil || out.err != nil {
					t.Fatal(out.pushErr, out.err)
				}
				for _, db := range []string{"db1", "db2", "db3"} {
					o := base(t)
					o.Recursive, o.Protocol, o.WholeFile, o.Path = true, proto, whole, "./"+db
					out := converse(t, source(t, filepath.Join(src, db), &o), o, d)
					if out.pushErr != nil || out.err != nil {
						t.Fatal(out.pushErr, out.err)
					}
					if db == "db1" && !whole && out.push.Literal >= out.push.Bytes {
						t.Errorf("all of %d bytes travelled, though half of a file was there", out.push.Bytes)
					}
					if out.push.Bytes != out.served.Bytes || out.push.Literal != out.served.Literal {
						t.Errorf("the sender counts %+v, the receiver %+v", out.push, out.served.Stats)
					}
				}
				want := snapshot(t, src)
				for _, gone := range []string{"ib_logfile0", "server.err", "lost+found"} {
					delete(want, gone)
				}
				got := snapshot(t, dst)
				if _, ok := got["keep.cnf"]; !ok {
					t.Error("a protected file is gone")
				}
				delete(got, "keep.cnf")
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestASingleFileIsSentOnlyWhenItDiffers(t *testing.T) {
	dst := t.TempDir()
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
	o := PushOptions{Module: "m", Recursive: true, Checksum: true, Owner: true, Group: true, Perms: true, Times: true, Links: true, Specials: true, Devices: true}
	for i, text := range []string{"one\n", "one\n", "two\n"} {
		src := NewFileSource("magic", BytesFile([]byte(text), 0o600, time.Unix(1700000000, 5)))
		out := converse(t, src, o, d)
		if out.pushErr != nil || out.err != nil {
			t.Fatal(out.pushErr, out.err)
		}
		if want := []int{1, 0, 1}[i]; out.push.Files != want {
			t.Errorf("run %d sent %d files, want %d", i, out.push.Files, want)
		}
		got, err := os.ReadFile(filepath.Join(dst, "magic"))
		if err != nil || string(got) != text {
			t.Errorf("run %d left %q, %v", i, got, err)
		}
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for n := range snapshot(t, dst) {
			if !yield(n) {
				return
			}
		}
	}); !slices.Equal(names, []string{".", "magic"}) {
		t.Errorf("left behind: %q", names)
	}
}

func TestTheListOfModules(t *testing.T) {
	client, server := conns(t)
	d := &Daemon{Modules: []Module{{Name: "rsync_sst", Comment: "x"}, {Name: "a_module_with_a_long_name-log_dir"}}}
	done := make(chan error, 1)
	go func() {
		_, err := d.Serve(t.Context(), server)
		done <- err
		server.Close()
	}()
	names, err := ListModules(t.Context(), client)
	if err != nil || !slices.Equal(names, []string{"rsync_sst", "a_module_with_a_long_name-log_dir"}) {
		t.Error(names, err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTheReasonReachesTheOtherSide(t *testing.T) {
	src := sourceTree(t)
	t.Run("Begin refuses", func(t *testing.T) {
		dst := t.TempDir()
		d := &Daemon{
			Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}},
			Begin:   func(context.Context, *Session) error { return errors.New("no space: 5 needed, 3 free") },
		}
		o := base(t, topRules...)
		o.Dirs = true
		out := converse(t, source(t, src, &o), o, d)
		var exit *ExitError
		if !errors.As(out.pushErr, &exit) || exit.Code != ExitFile || !strings.Contains(exit.Error(), "5 needed, 3 free") {
			t.Errorf("push: %v", out.pushErr)
		}
		if out.err == nil || !strings.Contains(out.err.Error(), "5 needed") {
			t.Errorf("daemon: %v", out.err)
		}
		if n := len(snapshot(t, dst)); n != 1 {
			t.Errorf("%d files in the destination that was not to be touched", n-1)
		}
	})
	t.Run("unknown module", func(t *testing.T) {
		o := base(t)
		o.Module = "nonesuch"
		out := converse(t, source(t, src, &o), o, &Daemon{})
		var exit *ExitError
		if !errors.As(out.pushErr, &exit) || exit.Code != ExitStart || !strings.Contains(exit.Error(), "Unknown module 'nonesuch'") {
			t.Errorf("push: %v", out.pushErr)
		}
	})
	t.Run("a protected file", func(t *testing.T) {
		dst := t.TempDir()
		write(t, dst, "db1/t1.frm", []byte("mine"))
		protect, err := filter.Parse("- /db1/t1.frm", "- /db1/sub/")
		if err != nil {
			t.Fatal(err)
		}
		d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{}), Protect: protect}}}
		o := base(t)
		o.Recursive, o.Path = true, "./db1"
		out := converse(t, source(t, filepath.Join(src, "db1"), &o), o, d)
		var exit *ExitError
		if !errors.As(out.pushErr, &exit) || exit.Code != ExitPartial || !strings.Contains(exit.Error(), "is protected") {
			t.Errorf("push: %v", out.pushErr)
		}
		got := snapshot(t, dst)
		if b, _ := os.ReadFile(filepath.Join(dst, "db1/t1.frm")); string(b) != "mine" || got["db1/sub"] != "" {
			t.Errorf("protected things changed: %v", got)
		}
	})
}

func TestFilesInTransferHaveForeignNames(t *testing.T) {
	src, dst := sourceTree(t), t.TempDir()
	write(t, dst, "ibdata1", []byte("the old node"))
	write(t, dst, ".new.ibdata9", []byte("from an attempt before"))
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{
		Alias: func(name string) (string, bool) {
			if strings.HasPrefix(name, "ibdata") {
				return ".new." + name, true
			}
			return "", false
		},
		AliasPrefix: ".new.",
		Hidden:      func(n string) bool { return n == "grastate.dat" },
	})}}}
	o := base(t, topRules...)
	o.Dirs = true
	if out := converse(t, source(t, src, &o), o, d); out.pushErr != nil || out.err != nil {
		t.Fatal(out.pushErr, out.err)
	}
	got, err := os.ReadFile(filepath.Join(dst, ".new.ibdata1"))
	if err != nil || !bytes.Equal(got, content("ibdata1", 300_000)) {
		t.Error("the file did not arrive under its foreign name", err)
	}
	if old, _ := os.ReadFile(filepath.Join(dst, "ibdata1")); string(old) != "the old node" {
		t.Error("the old file was touched")
	}
	if _, err := os.Lstat(filepath.Join(dst, ".new.ibdata9")); err == nil {
		t.Error("a file of an earlier attempt that the donor does not have was kept")
	}
}

func TestAFileMayBelongElsewhere(t *testing.T) {
	src, dst, home := sourceTree(t), t.TempDir(), t.TempDir()
	write(t, home, ".new.ibdata9", []byte("from an attempt before"))
	write(t, home, "other", []byte("not of this session"))
	root, err := os.OpenRoot(home)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	system := func(name string) bool { return strings.HasPrefix(name, "ibdata") }
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{
		Alias:       func(name string) (string, bool) { return ".new." + name, system(name) },
		AliasPrefix: ".new.",
		Elsewhere:   []Elsewhere{{root, system}},
	})}}}
	for i := range 2 { // the second time over what the first one made
		o := base(t, topRules...)
		o.Dirs = true
		if out := converse(t, source(t, src, &o), o, d); out.pushErr != nil || out.err != nil {
			t.Fatal(out.pushErr, out.err)
		}
		if names, err := os.ReadDir(home); err != nil || len(names) != 2 {
			t.Errorf("run %d: in the other directory there is %v, want the new file and the one of somebody else; %v", i, names, err)
		}
	}
	got, err := os.ReadFile(filepath.Join(home, ".new.ibdata1"))
	if err != nil || !bytes.Equal(got, content("ibdata1", 300_000)) {
		t.Error("the file is not where it belongs", err)
	}
	if here := snapshot(t, dst); here["ibdata1"] != "" || here[".new.ibdata1"] != "" || here["db1"] == "" {
		t.Errorf("in the directory itself there is %v", here)
	}
}

func TestAFileSetAsideIsWhatTheNewOneStartsFrom(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		src, dst := t.TempDir(), t.TempDir()
		now := content("ibdata1", 64*16384)
		write(t, src, "ibdata1", now)
		before := bytes.Clone(now)
		copy(before[5*16384:], content("an older page", 16384))
		write(t, dst, ".old.ibdata1", before)
		if damaged { // of an attempt that broke off: then this one counts
			write(t, dst, ".new.ibdata1", now[:20*16384])
		}
		d := &Daemon{PageSize: 16384, Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{
			Alias:       func(name string) (string, bool) { return ".new." + name, true },
			AliasPrefix: ".new.",
			Older:       func(name string) (string, bool) { return ".old." + name, true },
			Hidden:      func(n string) bool { return strings.HasPrefix(n, ".old.") },
		})}}}
		o := base(t, topRules...)
		o.Dirs, o.WholeFile = true, false
		out := converse(t, source(t, src, &o), o, d)
		if out.pushErr != nil || out.err != nil {
			t.Fatal(out.pushErr, out.err)
		}
		want := int64(16384)
		if damaged {
			want = 44 * 16384
		}
		if d := out.push.Literal - want; d < 0 || d > 700 { // a short file has short blocks
			t.Errorf("damaged %v: %d bytes travelled, want %d", damaged, out.push.Literal, want)
		}
		if got, _ := os.ReadFile(filepath.Join(dst, ".new.ibdata1")); !bytes.Equal(got, now) {
			t.Errorf("damaged %v: the new file is wrong", damaged)
		}
		if old, _ := os.ReadFile(filepath.Join(dst, ".old.ibdata1")); !bytes.Equal(old, before) {
			t.Errorf("damaged %v: the old file was changed", damaged)
		}
	}
}
