package ext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer"
)

// An sst is a donor and a joiner with a directory each, over TCP.
type sst struct {
	t        testing.TB
	src, dst string
	receiver *Receiver
	sender   *Sender
	ln       net.Listener
	serving  sync.WaitGroup
	mu       sync.Mutex
	served   []error // what Serve returned
}

// testTuning make files of a few MiB be cut.
var testTuning = tuning{segment: 1 << 20, from: 2 << 20, window: 2 << 20}

// through, if set, changes the donor's end of each connection.
func newSST(t testing.TB, o Options, so transfer.StoreOptions, through func(net.Conn) net.Conn) *sst {
	t.Helper()
	s := &sst{t: t, src: t.TempDir(), dst: t.TempDir()}
	s.receiver = &Receiver{Stores: []transfer.Store{store(t, s.dst, so)}, Memory: NewMemory(t.TempDir()),
		Log: func(_ transfer.Level, line string) { t.Log("joiner: " + line) }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.ln = ln
	s.serving.Go(s.accept)
	if o.Dial == nil {
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", ln.Addr().String())
			if err == nil && through != nil {
				conn = through(conn)
			}
			return conn, err
		}
	}
	if o.Log == nil {
		o.Log = func(line string) { t.Log("donor: " + line) }
	}
	if o.Memory == nil {
		o.Memory = NewMemory(t.TempDir())
	}
	s.sender = New(o)
	s.sender.tune = testTuning
	t.Cleanup(s.end)
	return s
}

func (s *sst) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.serving.Go(func() {
			err := s.receiver.Serve(context.Background(), conn)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.served = append(s.served, err)
		})
	}
}

// end closes both sides and waits for them.
func (s *sst) end() {
	if s.ln == nil {
		return
	}
	if err := s.sender.Close(); err != nil {
		s.t.Error(err)
	}
	s.ln.Close()
	s.serving.Wait()
	if err := s.receiver.Close(); err != nil {
		s.t.Error(err)
	}
	s.ln = nil
}

func store(t testing.TB, dir string, o transfer.StoreOptions) transfer.Store {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := transfer.NewDirStore(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); root.Close() })
	return s
}

// files lists the regular files of the donor, and makes their directories at the joiner.
func (s *sst) files() []File {
	s.t.Helper()
	var out []File
	err := filepath.WalkDir(s.src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(s.src, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(s.dst, name), 0o755)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		out = append(out, File{Name: name, Size: info.Size(), Mode: uint32(info.Mode().Perm()), UID: uint32(os.Getuid()), GID: uint32(os.Getgid()),
			Open: func() (Source, error) {
				f, err := os.Open(path)
				if err != nil {
					return nil, err
				}
				return FromOS(f), nil
			}})
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// send sends all files and wants them to arrive.
func (s *sst) send() []Result {
	s.t.Helper()
	results, err := s.sender.Send(s.t.(interface{ Context() context.Context }).Context(), s.files())
	if err != nil {
		s.t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil {
			s.t.Fatal(i, r.Err)
		}
	}
	return results
}

// same compares contents, sizes, modes and times.
func (s *sst) same() {
	s.t.Helper()
	for _, f := range s.files() {
		a, err := os.ReadFile(filepath.Join(s.src, f.Name))
		if err != nil {
			s.t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(s.dst, f.Name))
		if err != nil {
			s.t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			s.t.Errorf("%s differs: %d and %d bytes", f.Name, len(a), len(b))
		}
		ai, _ := os.Stat(filepath.Join(s.src, f.Name))
		bi, _ := os.Stat(filepath.Join(s.dst, f.Name))
		if ai.Mode() != bi.Mode() || !ai.ModTime().Equal(bi.ModTime()) {
			s.t.Errorf("%s: %v %v and %v %v", f.Name, ai.Mode(), ai.ModTime(), bi.Mode(), bi.ModTime())
		}
	}
}

func (s *sst) write(name string, content []byte) {
	s.t.Helper()
	path := filepath.Join(s.src, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o640); err != nil {
		s.t.Fatal(err)
	}
}

// content is random, and the same for a seed.
func content(seed uint64, n int) []byte {
	p := make([]byte, n)
	var key [32]byte
	le.PutUint64(key[:], seed)
	rand.NewChaCha8(key).Read(p)
	return p
}

func sum(results []Result) (read, sent int64) {
	for _, r := range results {
		read, sent = read+r.Read, sent+r.Sent
	}
	return read, sent
}

func TestFilesOfAllSizesArrive(t *testing.T) {
	for _, connections := range []int{1, 3} {
		t.Run(fmt.Sprint(connections, " connections"), func(t *testing.T) {
			s := newSST(t, Options{Connections: connections}, transfer.StoreOptions{}, nil)
			sizes := []int{0, 1, 100, blockSize - 1, blockSize, blockSize + 1, maxData - 1, maxData, maxData + 1, 3*maxData + 5, 2<<20 - 1, 2 << 20, 2<<20 + 1, 5<<20 + 12345}
			total := int64(0)
			for i, n := range sizes {
				s.write(fmt.Sprintf("db%d/t%d", i%3, n), content(uint64(n), n))
				total += int64(n)
			}
			results := s.send()
			s.same()
			if read, sent := sum(results); read != total || sent != total {
				t.Errorf("%d read, %d sent of %d", read, sent, total)
			}
			if _, sent := sum(s.send()); sent != 0 {
				t.Errorf("%d bytes sent again of files that have not changed", sent)
			}
			s.same()
		})
	}
}

func TestOnlyBlocksThatChangedAreSent(t *testing.T) {
	s := newSST(t, Options{Connections: 2}, transfer.StoreOptions{}, nil)
	p := content(1, 4<<20+777)
	s.write("t.ibd", p)
	s.send()
	for _, at := range []int{0, 5 * blockSize, 6 * blockSize, 1 << 20, len(p) - 1} {
		p[at] ^= 1
	}
	s.write("t.ibd", p)
	_, sent := sum(s.send())
	if want := int64(4*blockSize + 777); sent != want {
		t.Errorf("%d bytes sent, want %d", sent, want)
	}
	s.same()
}

func TestAFileThatVanishedIsThatFilesErrorOnly(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	s.write("a", content(1, 1000))
	s.write("b", content(2, 1000))
	files := s.files()
	os.Remove(filepath.Join(s.src, "a"))
	results, err := s.sender.Send(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(results[0].Err, fs.ErrNotExist) || results[1].Err != nil {
		t.Errorf("%v, %v", results[0].Err, results[1].Err)
	}
	s.same()
	if _, err := os.Stat(filepath.Join(s.dst, "a")); err == nil {
		t.Error("a file that vanished was made")
	}
}
