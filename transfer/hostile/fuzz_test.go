package hostile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// Recordings whose lists come in one piece, as ours do.
var sets = []string{"[ab]-*", "x-a-*", "x-c-delta-noinc-*", "e-redo*-a-*"}

func allRecordings(t testing.TB) (clients, servers []recording) {
	t.Helper()
	for _, set := range sets {
		c, s, err := recordings(set)
		if err != nil {
			t.Fatal(err)
		}
		clients, servers = append(clients, c...), append(servers, s...)
	}
	if len(clients) < 20 {
		t.Fatalf("only %d recordings", len(clients))
	}
	return clients, servers
}

// tape is a connection on which everything has been said already, but for the pauses: what comes behind one is held back
// until the listener has had its say, or has nothing to say.
type tape struct {
	said   []byte
	pauses []int
	at     int
	first  time.Duration // how long it is waited for a first word
	wrote  chan struct{}
}

func play(s *stream, first time.Duration) *tape {
	return &tape{said: s.Bytes(), pauses: s.pauses, first: first, wrote: make(chan struct{}, 1)}
}

func (c *tape) Read(p []byte) (int, error) {
	end := len(c.said)
	for len(c.pauses) > 0 && c.pauses[0] <= c.at {
		c.pauses = c.pauses[1:]
		for patience := c.first; ; patience = c.first / 4 {
			select {
			case <-c.wrote:
				continue
			case <-time.After(patience):
			}
			break
		}
	}
	if len(c.pauses) > 0 {
		end = min(end, c.pauses[0])
	}
	n := copy(p, c.said[c.at:end])
	c.at += n
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (c *tape) Write(p []byte) (int, error) {
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (*tape) Close() error                     { return nil }
func (*tape) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*tape) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*tape) SetDeadline(time.Time) error      { return nil }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }

// The splitter understands the recordings: put together again they are the same sessions, and our own engine takes them.
func TestRecordingsComeApartAndTogether(t *testing.T) {
	clients, servers := allRecordings(t)
	for i, c := range clients {
		again := splitAgain(t, c, servers[i])
		if len(again) != len(c.fields) {
			t.Errorf("%s: %d fields, %d after a round", c.name, len(c.fields), len(again))
		}
		if !strings.Contains(c.name, "whole") || strings.HasPrefix(c.name, "e-") {
			continue
		}
		w := newWorld(t, false)
		if res, err := w.serve(t, encode(c.fields), 200*time.Millisecond); err != nil || res.Files == 0 {
			t.Errorf("%s: our daemon received %d files: %v", c.name, res.Files, err)
		}
		w.check(t)
	}
}

// splitAgain splits what a client's fields make.
func splitAgain(t *testing.T, c, s recording) []field {
	t.Helper()
	dir := t.TempDir()
	for name, fields := range map[string][]field{"x.c2s": c.fields, "x.s2c": s.fields} {
		if err := os.WriteFile(filepath.Join(dir, name), encode(fields).Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again, _, err := splitFiles(filepath.Join(dir, "x.c2s"), filepath.Join(dir, "x.s2c"))
	if err != nil {
		t.Fatalf("%s: %v", c.name, err)
	}
	return again
}

// A world is the directory of a daemon, what an attack must not reach, and what shows that it did.
type world struct {
	top, in, log string
}

const canary = "nobody changes this\n"

// newWorld makes it; old puts the files there that the delta recordings start from.
func newWorld(t testing.TB, old bool) *world {
	t.Helper()
	top := t.TempDir()
	w := &world{top: top, in: filepath.Join(top, "in"), log: filepath.Join(top, "log")}
	for _, dir := range []string{w.in, w.log, filepath.Join(top, "outside")} {
		must(t, os.Mkdir(dir, 0o755))
	}
	must(t, os.WriteFile(filepath.Join(top, "outside/canary"), []byte(canary), 0o640))
	must(t, os.Symlink("../outside", filepath.Join(w.in, "out")))
	must(t, os.Symlink("../outside/canary", filepath.Join(w.in, "link.ibd")))
	if !old {
		return w
	}
	must(t, os.Mkdir(filepath.Join(w.in, "db1"), 0o755))
	for name, size := range map[string]int{
		"in/ibdata1": 9000, "in/undo001": 1500, "in/db1/t1.frm": 900, "in/db1/t1.ibd": 20037, "in/db1/t2.ibd": 7963,
		"log/ib_logfile0": 2100, "log/aria_log.00000001": 1400,
	} {
		must(t, os.WriteFile(filepath.Join(top, name), make([]byte, size), 0o640))
	}
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// check looks for harm: outside nothing has changed, and inside there is nothing that an SST may not bring.
func (w *world) check(t testing.TB) {
	t.Helper()
	if b, err := os.ReadFile(filepath.Join(w.top, "outside/canary")); err != nil || string(b) != canary {
		t.Errorf("the file outside was changed: %q, %v", b, err)
	}
	if info, err := os.Stat(filepath.Join(w.top, "outside/canary")); err != nil || info.Mode() != 0o640 {
		t.Errorf("the mode of the file outside was changed: %v, %v", info, err)
	}
	for dir, want := range map[string]int{"": 3, "outside": 1} {
		if names, err := os.ReadDir(filepath.Join(w.top, dir)); err != nil || len(names) != want {
			t.Errorf("%s/ has %v, %v", dir, names, err)
		}
	}
	err := filepath.WalkDir(w.in, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice) != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// serve lets our daemon hear a client.
func (w *world) serve(t testing.TB, client *stream, first time.Duration) (transfer.Result, error) {
	t.Helper()
	d := w.daemon(t)
	return d.Serve(t.Context(), play(client, first))
}

func (w *world) daemon(t testing.TB) *transfer.Daemon {
	t.Helper()
	protect, err := filter.Parse("- /protected")
	must(t, err)
	d := &transfer.Daemon{}
	for name, dir := range map[string]string{"rsync_sst": w.in, "rsync_sst-log_dir": w.log} {
		root, err := os.OpenRoot(dir)
		must(t, err)
		store, err := transfer.NewDirStore(root, transfer.StoreOptions{
			ModeMask: 0o6000, Sparse: func(name string) bool { return strings.HasSuffix(name, ".ibd") },
		})
		must(t, errors.Join(err, root.Close()))
		t.Cleanup(func() { store.Close() })
		d.Modules = append(d.Modules, transfer.Module{Name: name, Store: store, Protect: protect})
	}
	return d
}

// listed is a source of files that exist as an idea. It fails the test when a file is opened that it has not listed as one.
type listed struct {
	t testing.TB
}

func (s listed) List(context.Context) ([]*flist.Entry, int32, error) {
	entries := []*flist.Entry{
		{Name: ".", Mode: flist.TypeDir | 0o755}, {Name: "db1", Mode: flist.TypeDir | 0o755},
		{Name: "ibdata1", Mode: flist.TypeRegular | 0o640, Size: 9000}, {Name: "link", Mode: flist.TypeSymlink | 0o777, Link: "/etc/passwd"},
		{Name: "undo001", Mode: flist.TypeRegular | 0o640, Size: 1500}, {Name: "db1/t1.ibd", Mode: flist.TypeRegular | 0o640, Size: 21000},
		{Name: "db1/t2.ibd", Mode: flist.TypeRegular | 0o640, Size: 8000}, {Name: "db1/z.ibd", Mode: flist.TypeRegular | 0o640},
	}
	return entries, 0, nil
}

func (s listed) Open(name string) (transfer.SourceFile, error) {
	entries, _, _ := s.List(context.Background())
	for _, e := range entries {
		if e.Name == name && e.IsRegular() {
			return idea{bytes.NewReader(make([]byte, e.Size))}, nil
		}
	}
	s.t.Errorf("%q was opened", name)
	return nil, fs.ErrNotExist
}

type idea struct{ *bytes.Reader }

func (idea) Close() error { return nil }

// FuzzSession changes recorded sessions, field by field, and plays them to our daemon (an even first byte) or to our client.
// Whatever comes: no panic, no hang, nothing outside the root, no file opened that was not listed, no memory taken that the
// peer has not paid for in bytes.
func FuzzSession(f *testing.F) {
	clients, servers := allRecordings(f)
	for i := range clients {
		f.Add([]byte{byte(2 * i)})
		f.Add([]byte{byte(2*i + 1)})
		for at := byte(0); at < 100; at += 9 {
			f.Add([]byte{byte(2 * i), 0, at, 0, at, 3, at + 40, 0, at})
			f.Add([]byte{byte(2*i + 1), 0, at, 0, at})
		}
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		if len(code) == 0 {
			return
		}
		which := int(code[0] / 2)
		p := &program{code: code[1:]}
		var before, after runtime.MemStats
		if code[0]%2 == 0 {
			c := clients[which%len(clients)]
			stream := encode(p.change(c.fields))
			w := newWorld(t, !strings.Contains(c.name, "whole"))
			runtime.ReadMemStats(&before)
			w.serve(t, stream, time.Millisecond)
			runtime.ReadMemStats(&after)
			w.check(t)
		} else {
			stream := encode(p.change(servers[which%len(servers)].fields))
			o := transfer.PushOptions{
				Module: "rsync_sst", Path: ".", Recursive: which%2 == 0, Dirs: which%2 == 1, Delete: true, Inplace: true, IgnoreTimes: true,
				Owner: true, Group: true, Perms: true, Links: true, Specials: true,
			}
			runtime.ReadMemStats(&before)
			transfer.Push(t.Context(), play(stream, time.Millisecond), listed{t}, o)
			runtime.ReadMemStats(&after)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 48<<20 {
			t.Errorf("one session took %d MiB of memory", took>>20)
		}
	})
}
