package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// flipConn damages one byte of what is written, at a place in the stream.
type flipConn struct {
	net.Conn
	at    func(p []byte) int // index of the byte to flip, or -1
	count atomic.Int32
}

func (c *flipConn) Write(p []byte) (int, error) {
	if i := c.at(p); i >= 0 {
		c.count.Add(1)
		q := bytes.Clone(p)
		q[i] ^= 0x55
		return c.Conn.Write(q)
	}
	return c.Conn.Write(p)
}

// flip serves a push of sourceTree's db1 with damage, times times.
func flip(t *testing.T, times int32) (outcome, string) {
	src, dst := sourceTree(t), t.TempDir()
	mark := content("db1/t1.ibd", 1<<20)[1000:1032]
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
	client, server := conns(t)
	fc := &flipConn{Conn: client}
	fc.at = func(p []byte) int {
		if i := bytes.Index(p, mark); i >= 0 && fc.count.Load() < times {
			return i
		}
		return -1
	}
	o := base(t)
	o.Recursive, o.Path = true, "./db1"
	var out outcome
	done := make(chan struct{})
	go func() {
		defer close(done)
		out.served, out.err = d.Serve(t.Context(), server)
		server.Close()
	}()
	out.push, out.pushErr = Push(t.Context(), fc, source(t, filepath.Join(src, "db1"), &o), o)
	fc.Close()
	<-done
	if fc.count.Load() == 0 {
		t.Fatal("nothing was damaged")
	}
	return out, dst
}

func TestADamagedFileIsAskedForOnceMore(t *testing.T) {
	out, dst := flip(t, 1)
	if out.pushErr != nil || out.err != nil {
		t.Fatal(out.pushErr, out.err)
	}
	if out.served.Redone != 1 {
		t.Errorf("%d files sent again, want 1", out.served.Redone)
	}
	if b, _ := os.ReadFile(filepath.Join(dst, "db1/t1.ibd")); !bytes.Equal(b, content("db1/t1.ibd", 1<<20)) {
		t.Error("the file is wrong")
	}
}

func TestAFileDamagedTwiceIsReported(t *testing.T) {
	out, _ := flip(t, 2)
	var exit *ExitError
	if !errors.As(out.pushErr, &exit) || exit.Code != ExitPartial || !strings.Contains(exit.Error(), "failed verification") {
		t.Errorf("push: %v", out.pushErr)
	}
	if len(out.served.Failed) != 1 {
		t.Errorf("failed: %q", out.served.Failed)
	}
}

// brokenSource misbehaves for one file.
type brokenSource struct {
	Source
	name string
	open func() (SourceFile, error)
}

func (s brokenSource) Open(name string) (SourceFile, error) {
	if name == s.name {
		return s.open()
	}
	return s.Source.Open(name)
}

type readFails struct{ after int64 }

func (readFails) Size() int64  { return 1 << 20 }
func (readFails) Close() error { return nil }
func (f readFails) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.after {
		return 0, unix.EIO
	}
	return len(p), nil
}

func TestAFileThatCannotBeSent(t *testing.T) {
	for name, c := range map[string]struct {
		open func() (SourceFile, error)
		code int
	}{
		"gone":              {func() (SourceFile, error) { return nil, os.ErrNotExist }, ExitVanished},
		"forbidden":         {func() (SourceFile, error) { return nil, os.ErrPermission }, ExitPartial},
		"a dying disk":      {func() (SourceFile, error) { return readFails{100_000}, nil }, ExitPartial},
		"dead at its first": {func() (SourceFile, error) { return readFails{0}, nil }, ExitPartial},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := sourceTree(t), t.TempDir()
			o := base(t)
			o.Recursive, o.Path = true, "./db1"
			d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
			out := converse(t, brokenSource{source(t, filepath.Join(src, "db1"), &o), "t1.ibd", c.open}, o, d)
			var exit *ExitError
			if !errors.As(out.pushErr, &exit) || exit.Code != c.code {
				t.Errorf("push ends with %v, want code %d", out.pushErr, c.code)
			}
			if b, _ := os.ReadFile(filepath.Join(dst, "db1/sub/x")); !bytes.Equal(b, content("db1/sub/x", 32769)) {
				t.Error("the other files did not arrive")
			}
		})
	}
}

// fullStore has a disk that is full after some bytes.
type fullStore struct {
	Store
	left atomic.Int64
}

type fullFile struct {
	File
	s *fullStore
}

func (s *fullStore) Update(name string, inPlace bool) (File, error) {
	f, err := s.Store.Update(name, inPlace)
	return fullFile{f, s}, err
}

func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	if f.s.left.Add(-int64(len(p))) < 0 {
		return 0, &os.PathError{Op: "write", Path: "x", Err: unix.ENOSPC}
	}
	return f.File.WriteAt(p, off)
}

func TestAFullDiskEndsTheSessionInWords(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for _, n := range []string{"a", "b", "c"} {
		write(t, src, n, content(n, 8<<20))
	}
	full := &fullStore{Store: store(t, dst, StoreOptions{})}
	full.left.Store(10 << 20)
	d := &Daemon{Modules: []Module{{Name: "m", Store: full}}}
	o := base(t)
	o.Recursive = true
	out := converse(t, source(t, src, &o), o, d)
	for side, err := range map[string]error{"push": out.pushErr, "daemon": out.err} {
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != ExitFile || !strings.Contains(err.Error(), "no space left") || side == "daemon" && !strings.Contains(err.Error(), `"b"`) {
			t.Errorf("%s: %v", side, err)
		}
	}
}

func TestASilentPeerIsGivenUp(t *testing.T) {
	src := sourceTree(t)
	t.Run("daemon says nothing", func(t *testing.T) {
		client, server := conns(t)
		defer server.Close()
		o := base(t)
		o.Recursive, o.Timeout = true, 200*time.Millisecond
		_, err := Push(t.Context(), client, source(t, src, &o), o)
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != ExitTimeout {
			t.Error(err)
		}
	})
	t.Run("client says nothing", func(t *testing.T) {
		_, server := conns(t)
		d := &Daemon{Timeout: 200 * time.Millisecond}
		_, err := d.Serve(t.Context(), server)
		var exit *ExitError
		if !errors.As(err, &exit) || exit.Code != ExitTimeout {
			t.Error(err)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		client, server := conns(t)
		defer server.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("mariadbd died")
		o := base(t)
		o.Recursive = true
		time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
		if _, err := Push(ctx, client, source(t, src, &o), o); !errors.Is(err, why) {
			t.Error(err)
		}
	})
}

// slowStore takes its time for a file, longer than the time-out.
type slowStore struct {
	Store
	pause time.Duration
}

func (s slowStore) Update(name string, inPlace bool) (File, error) {
	if strings.HasSuffix(name, "t1.frm") {
		<-time.After(s.pause)
	}
	return s.Store.Update(name, inPlace)
}

func TestASlowDiskIsNoSilence(t *testing.T) {
	const timeout = 2 * time.Second
	for _, proto := range []int{30, 32} {
		t.Run(fmt.Sprintf("protocol %d", proto), func(t *testing.T) {
			t.Parallel()
			src, dst := sourceTree(t), t.TempDir()
			d := &Daemon{
				Timeout: timeout,
				Modules: []Module{{Name: "m", Store: slowStore{store(t, dst, StoreOptions{}), 3 * timeout}}},
			}
			o := base(t)
			o.Recursive, o.Path, o.Timeout, o.Protocol = true, "./db1", timeout, proto
			if out := converse(t, source(t, filepath.Join(src, "db1"), &o), o, d); out.pushErr != nil || out.err != nil {
				t.Error(out.pushErr, out.err)
			}
		})
	}
}

func TestNoPathLeavesTheRoot(t *testing.T) {
	outside, dst := t.TempDir(), t.TempDir()
	write(t, outside, "victim", []byte("safe"))
	for _, err := range []error{
		os.Symlink(outside, filepath.Join(dst, "db1")),
		os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dst, "t.ibd")),
		os.MkdirAll(filepath.Join(dst, "real"), 0o755),
		os.Symlink("real", filepath.Join(dst, "inside")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s := store(t, dst, StoreOptions{})
	for _, name := range []string{"db1/victim", "t.ibd", "inside/x", "../victim", "db1/../../victim"} {
		if f, err := s.Update(name, true); err == nil {
			t.Errorf("%s could be opened for writing", name)
			f.Abandon(-1)
		}
		if f, err := s.Open(name); err == nil {
			t.Errorf("%s could be opened", name)
			f.Close()
		}
	}
	for _, name := range []string{"db1/victim", "inside/x", "../victim"} {
		for what, err := range map[string]error{
			"mkdir": s.Mkdir(name), "symlink": s.Symlink(name, "x"), "mknod": s.Mknod(name, flist.TypeFIFO|0o600),
			"remove": s.Remove(name), "attributes": s.SetAttrs(name, Attrs{SetMode: true, Mode: 0o777}),
		} {
			if err == nil {
				t.Errorf("%s of %s went through", what, name)
			}
		}
	}
	if b, _ := os.ReadFile(filepath.Join(outside, "victim")); string(b) != "safe" {
		t.Error("the victim was changed")
	}
}

func TestADestinationThatIsALinkIsRefusedUnlessItIsTheOwners(t *testing.T) {
	src, dst, elsewhere := sourceTree(t), t.TempDir(), t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(dst, "db1")); err != nil {
		t.Fatal(err)
	}
	o := base(t)
	o.Recursive, o.Path = true, "./db1"
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
	if out := converse(t, source(t, filepath.Join(src, "db1"), &o), o, d); out.pushErr == nil {
		t.Error("a session wrote through a link nobody vouched for")
	}
	root, err := os.OpenRoot(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d = &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{Links: map[string]*os.Root{"db1": root}})}}}
	if out := converse(t, source(t, filepath.Join(src, "db1"), &o), o, d); out.pushErr != nil || out.err != nil {
		t.Fatal(out.pushErr, out.err)
	}
	if b, _ := os.ReadFile(filepath.Join(elsewhere, "sub/x")); !bytes.Equal(b, content("db1/sub/x", 32769)) {
		t.Error("the owner's own link was not written through")
	}
	if target, _ := os.Readlink(filepath.Join(dst, "db1")); target != elsewhere {
		t.Error("the link is gone")
	}
}

func TestHolesStayHoles(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	holes := func(name string, size int64, data ...int64) {
		f, err := os.Create(filepath.Join(src, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, off := range data {
			if _, err := f.WriteAt(content(name, 4096), off); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	holes("new.ibd", 10<<20, 0, 16384, 5<<20)
	holes("over.ibd", 10<<20, 0, 16384, 5<<20)
	holes("redo", 1<<20, 0)
	write(t, dst, "over.ibd", content("old", 12<<20))
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{
		Sparse: func(name string) bool { return strings.HasSuffix(name, ".ibd") },
	})}}}
	o := base(t)
	o.Recursive = true
	if out := converse(t, source(t, src, &o), o, d); out.pushErr != nil || out.err != nil {
		t.Fatal(out.pushErr, out.err)
	}
	blocks := func(dir, name string) int64 {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, name), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks
	}
	for _, name := range []string{"new.ibd", "over.ibd"} {
		if a, b := blocks(src, name), blocks(dst, name); b > a+16 {
			t.Errorf("%s takes %d blocks at the source and %d at the destination", name, a, b)
		}
	}
	if b := blocks(dst, "redo"); b < 1<<20/512 {
		t.Errorf("redo takes %d blocks: its zeros became holes", b)
	}
	for _, name := range []string{"new.ibd", "over.ibd", "redo"} {
		a, _ := os.ReadFile(filepath.Join(src, name))
		b, _ := os.ReadFile(filepath.Join(dst, name))
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
}

// script is a connection that says what the fuzzer wants and swallows the rest.
type script struct{ io.Reader }

func (script) Write(p []byte) (int, error)      { return len(p), nil }
func (script) Close() error                     { return nil }
func (script) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (script) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (script) SetDeadline(time.Time) error      { return nil }
func (script) SetReadDeadline(time.Time) error  { return nil }
func (script) SetWriteDeadline(time.Time) error { return nil }

func captures(f *testing.F, pattern string) {
	names, err := filepath.Glob(filepath.Join("../testdata/captures", pattern))
	if err != nil || len(names) == 0 {
		f.Fatalf("no captures %s: %v", pattern, err)
	}
	for _, n := range names {
		if b, err := os.ReadFile(n); err == nil && len(b) < 40_000 {
			f.Add(b)
		}
	}
}

// FuzzServe lets any bytes be a client: nothing panics, hangs, or leaves the root.
func FuzzServe(f *testing.F) {
	captures(f, "*.c2s")
	f.Fuzz(func(t *testing.T, stream []byte) {
		top := t.TempDir()
		dst := filepath.Join(top, "in")
		if err := os.Mkdir(dst, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dst)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		s, err := NewDirStore(root, StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		d := &Daemon{Modules: []Module{{Name: "rsync_sst", Store: s}, {Name: "rsync_sst-log_dir", Store: s}, {Name: "auth", Store: s}}}
		d.Serve(t.Context(), script{bytes.NewReader(stream)})
		names, err := os.ReadDir(top)
		if err != nil || len(names) != 1 {
			t.Errorf("outside the root there is %v, %v", names, err)
		}
	})
}

// FuzzPush lets any bytes be a daemon.
func FuzzPush(f *testing.F) {
	captures(f, "*.s2c")
	f.Fuzz(func(t *testing.T, stream []byte) {
		src := NewFileSource("a", BytesFile(content("a", 3000), 0o600, time.Unix(1700000000, 0)))
		o := PushOptions{Module: "rsync_sst", Recursive: true, Delete: true, Inplace: true, IgnoreTimes: true}
		Push(t.Context(), script{bytes.NewReader(stream)}, src, o)
	})
}

// oddSource lists one entry that no list can hold.
type oddSource struct{ Source }

func (s oddSource) List(ctx context.Context) ([]*flist.Entry, int32, error) {
	entries, ioError, err := s.Source.List(ctx)
	return append(entries, &flist.Entry{Name: strings.Repeat("x", 5000), Mode: flist.TypeRegular | 0o600}), ioError, err
}

func TestAFileThatCannotBeListedStopsDeletionAndIsReported(t *testing.T) {
	src, dst := sourceTree(t), t.TempDir()
	write(t, dst, "stale", []byte("perhaps this is it"))
	o := base(t)
	o.Recursive = true
	d := &Daemon{Modules: []Module{{Name: "m", Store: store(t, dst, StoreOptions{})}}}
	out := converse(t, oddSource{source(t, filepath.Join(src, "db1"), &o)}, o, d)
	var exit *ExitError
	if !errors.As(out.pushErr, &exit) || exit.Code != ExitPartial {
		t.Errorf("push: %v", out.pushErr)
	}
	got := snapshot(t, dst)
	if got["stale"] == "" || got["t1.ibd"] == "" {
		t.Errorf("want the stale file kept and the others sent, got %v", got)
	}
}
