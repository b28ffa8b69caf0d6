package ext

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
)

// TestTreesThatChangeArriveEqual mutates random trees between and during rounds; after a round in which nothing
// changes, the joiner has the same to the byte. E2E_LONG=1 tries thousands of seeds; E2E_SEED=N one.
func TestTreesThatChangeArriveEqual(t *testing.T) {
	seeds := uint64(25)
	if os.Getenv("E2E_LONG") != "" {
		seeds = 2000
	}
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		if only := os.Getenv("E2E_SEED"); only != "" && only != fmt.Sprint(seed) {
			continue
		}
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { torture(t, seed) })
	}
}

// A world is a tree of the donor and what happens to it.
type world struct {
	*sst
	rng      *rand.Rand
	mu       sync.Mutex
	mismatch atomic.Int64
}

func torture(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{rng: rng}
	during := false // files change while they are read
	o := Options{
		Connections: 1 + rng.IntN(3), Compress: Compression(rng.IntN(3)), Sums: rng.IntN(2) == 0, Memory: NewMemory(t.TempDir()),
		Pace: func(context.Context, int) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if during && w.rng.IntN(8) == 0 {
				w.mutate()
			}
			return nil
		},
	}
	so := transfer.StoreOptions{Sparse: func(name string) bool { return strings.HasSuffix(name, ".ibd") }}
	so.Older = func(name string) (string, bool) { return "old." + name, !strings.Contains(name, "/") }
	w.sst = newSST(t, o, so, nil)
	w.sender.tune = tuning{segment: 2 * maxData, from: 4 * maxData, window: 2 << 20}
	log := w.receiver.Log
	w.receiver.Log = func(l transfer.Level, line string) {
		if strings.Contains(line, "once more") {
			w.mismatch.Add(1)
		}
		log(l, line)
	}
	o.Memory.limit = int64(rng.IntN(3)) * slotSize // most of it in the temporary file
	w.receiver.Memory.limit = int64(rng.IntN(3)) * slotSize
	for range 5 + rng.IntN(15) {
		w.mutate()
	}
	for range rng.IntN(5) { // what the joiner had before
		name := w.name()
		if rng.IntN(2) == 0 && !strings.Contains(name, "/") {
			name = "old." + name
		}
		p, _ := os.ReadFile(filepath.Join(w.src, strings.TrimPrefix(name, "old.")))
		if len(p) > 0 {
			p = bytes.Clone(p[:1+rng.IntN(len(p))])
			p[rng.IntN(len(p))]++
		}
		os.MkdirAll(filepath.Dir(filepath.Join(w.dst, name)), 0o755)
		if err := os.WriteFile(filepath.Join(w.dst, name), p, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 1 + rng.IntN(3) {
		during = true
		w.round()
		for range rng.IntN(10) {
			w.mutate()
		}
	}
	during = false
	for i, r := range w.round() {
		if r.Err != nil || r.Before != r.After {
			t.Errorf("file %d of a quiet tree: %v, %v and %v", i, r.Err, r.Before, r.After)
		}
	}
	w.same()
	w.holes()
	if n := w.mismatch.Load(); n > 0 {
		t.Errorf("%d files whose digests differed", n)
	}
}

// round lists, removes what is gone as the rsync session would, and sends.
func (w *world) round() []Result {
	w.t.Helper()
	w.mu.Lock()
	files := w.files()
	w.mu.Unlock()
	there := map[string]bool{}
	for _, f := range files {
		there[f.Name] = true
	}
	w.sender.o.Memory.Keep(func(_ uint8, name string) bool { return there[name] })
	filepath.WalkDir(w.dst, func(path string, d os.DirEntry, err error) error {
		name, _ := filepath.Rel(w.dst, path)
		if err == nil && !d.IsDir() && !there[name] && !strings.HasPrefix(name, "old.") {
			return os.Remove(path)
		}
		return err
	})
	results, err := w.sender.Send(context.Background(), files)
	if err != nil {
		w.t.Fatal(err)
	}
	return results
}

func (w *world) name() string {
	return []string{"", "db1/", "db2/x/"}[w.rng.IntN(3)] + "t" + fmt.Sprint(w.rng.IntN(6)) + []string{".ibd", ".frm"}[w.rng.IntN(2)]
}

func (w *world) size() int {
	switch w.rng.IntN(4) {
	case 0:
		return w.rng.IntN(200)
	case 1:
		return w.rng.IntN(20) * blockSize
	case 2:
		return w.rng.IntN(3 << 20)
	}
	return w.rng.IntN(100_000)
}

// mutate changes something.
func (w *world) mutate() {
	name := w.name()
	path := filepath.Join(w.src, name)
	os.MkdirAll(filepath.Dir(path), 0o755)
	info, err := os.Stat(path)
	switch w.rng.IntN(9) {
	case 0:
		os.Remove(path)
	case 1:
		os.Truncate(path, int64(w.size()))
	case 2:
		os.Rename(path, filepath.Join(w.src, w.name()))
	case 3:
		os.Chmod(path, 0o600|os.FileMode(w.rng.IntN(0o100)))
	case 4:
		os.Remove(path)
		os.WriteFile(path, content(w.rng.Uint64(), w.size()), 0o640)
	default:
		f, e := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
		if e != nil {
			return // renamed to a directory's place
		}
		defer f.Close()
		size := int64(1)
		if err == nil {
			size += info.Size()
		}
		p := content(w.rng.Uint64(), w.size())
		if w.rng.IntN(2) == 0 {
			clear(p[len(p)/4 : len(p)/4*3])
		}
		f.WriteAt(p, w.rng.Int64N(size))
	}
}

// holes wants the zero pages of table spaces to take no room.
func (w *world) holes() {
	w.t.Helper()
	for _, f := range w.files() {
		p, err := os.ReadFile(filepath.Join(w.src, f.Name))
		if err != nil {
			w.t.Fatal(err)
		}
		room := int64(64 << 10) // what the file system itself needs
		for ; len(p) > 0; p = p[min(4096, len(p)):] {
			if page := p[:min(4096, len(p))]; len(page) < 4096 || !bytes.Equal(page, zeroBlock[:4096]) {
				room += 4096
			}
		}
		info, err := os.Stat(filepath.Join(w.dst, f.Name))
		if err != nil {
			w.t.Fatal(err)
		}
		if took := info.Sys().(*syscall.Stat_t).Blocks * 512; strings.HasSuffix(f.Name, ".ibd") && took > room {
			w.t.Errorf("%s takes %d bytes, %d are enough", f.Name, took, room)
		}
	}
}

// What somebody else did to the joiner's file is noticed, and the file sent again.
func TestAFileThatSomebodyElseChangedIsSentAgain(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	s.write("t", content(1, 300_000))
	s.send()
	if err := os.Truncate(filepath.Join(s.dst, "t"), 0); err != nil {
		t.Fatal(err)
	}
	if _, sent := sum(s.send()); sent != 300_000 {
		t.Errorf("%d bytes sent, want all", sent)
	}
	s.same()
}

// What the joiner has is not sent, in its place or set aside.
func TestOldDataIsUsed(t *testing.T) {
	for _, where := range []string{"t", "old.t"} {
		t.Run(where, func(t *testing.T) {
			so := transfer.StoreOptions{Older: func(name string) (string, bool) { return "old." + name, true }}
			s := newSST(t, Options{Sums: true, Connections: 2}, so, nil)
			p := content(1, 5<<20+99)
			s.write("t", p)
			old := bytes.Clone(p)
			old[3<<20]++
			if err := os.WriteFile(filepath.Join(s.dst, where), old, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, sent := sum(s.send()); sent != blockSize {
				t.Errorf("%d bytes sent, want a block", sent)
			}
			s.same()
		})
	}
}

// flipper damages one byte of the donor's stream, once.
type flipper struct {
	net.Conn
	at int64
	n  *atomic.Int64
}

func (f *flipper) Write(p []byte) (int, error) {
	before := f.n.Add(int64(len(p))) - int64(len(p))
	if i := f.at - before; i >= 0 && i < int64(len(p)) {
		p = bytes.Clone(p)
		p[i] ^= 0x10
	}
	return f.Conn.Write(p)
}

// Content that is damaged on its way (the memory of a host, since TLS sees the rest) is sent again.
func TestContentDamagedOnItsWayIsSentAgain(t *testing.T) {
	var n atomic.Int64
	s := newSST(t, Options{}, transfer.StoreOptions{}, func(c net.Conn) net.Conn { return &flipper{c, 500_000, &n} })
	s.write("t", content(1, 1<<20))
	s.send()
	s.same()
}

// A file that is damaged where it is written ends the SST with its name, after one more try.
func TestAFileThatIsDamagedTwiceEndsTheSend(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	s.receiver.Memory.limit = 0
	s.write("t", content(1, 9<<20))
	files := s.files()
	s.sender.o.Progress = func(int64, int64) { // the joiner's memory of it is lost, over and over
		s.receiver.Memory.Forget(0, "t")
	}
	_, err := s.sender.Send(t.Context(), files)
	var damaged *DamagedError
	if err == nil || !strings.Contains(err.Error(), `"t"`) {
		t.Fatalf("%v (%T)", err, damaged)
	}
}

// A joiner that says nothing any more does not hold the donor for ever.
func TestASilentJoinerIsGivenUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := New(Options{Timeout: 20 * time.Millisecond, Dial: func(ctx context.Context) (net.Conn, error) {
		return net.Dial("tcp", ln.Addr().String()) // accepted by the kernel, and by nobody else
	}})
	defer s.Close()
	_, err = s.Send(t.Context(), []File{{Name: "t", Open: func() (Source, error) {
		f, err := os.Open(os.Args[0])
		return FromOS(f), err
	}}})
	if err == nil || !strings.Contains(err.Error(), "acknowledged nothing in time") {
		t.Fatal(err)
	}
}
