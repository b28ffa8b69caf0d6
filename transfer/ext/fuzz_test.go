package ext

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A script is a connection that says what it was told, and hears nothing.
type script struct {
	in     io.Reader
	begin  chan struct{} // closed by the first Write; Read waits for it. nil: it does not
	once   sync.Once
	closed chan struct{}
}

func (s *script) Read(p []byte) (int, error) {
	if s.begin != nil {
		select {
		case <-s.begin:
		case <-s.closed:
			return 0, net.ErrClosed
		}
	}
	return s.in.Read(p)
}

func (s *script) Write(p []byte) (int, error) {
	if s.begin != nil {
		s.once.Do(func() { close(s.begin) })
	}
	return len(p), nil
}

func (s *script) Close() error { return nil }
func (s *script) SetDeadline(t time.Time) error {
	if s.closed != nil && !t.IsZero() && t.Before(time.Now()) {
		close(s.closed)
	}
	return nil
}
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }
func (s *script) LocalAddr() net.Addr              { return nil }
func (s *script) RemoteAddr() net.Addr             { return nil }

// A voidStore takes everything and keeps nothing, except the rule about names.
type voidStore struct {
	transfer.Store
	t *testing.T
}

func (s voidStore) Update(name string, inPlace bool) (transfer.File, error) {
	if !inPlace || !filepath.IsLocal(name) || path.Clean(name) != name || name == "." || strings.Contains(name, "\x00") {
		s.t.Errorf("update %q", name)
	}
	if strings.HasPrefix(name, "no") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return &voidFile{t: s.t}, nil
}

func (s voidStore) Lstat(string) (transfer.Stat, error) { return transfer.Stat{}, fs.ErrNotExist }

type voidFile struct {
	t      *testing.T
	closed bool
}

func (f *voidFile) use(off, n int64) {
	if f.closed || off < 0 || n < 1 || off > maxSize || n > maxRange {
		f.t.Errorf("%d bytes at %d, closed: %v", n, off, f.closed)
	}
}

func (f *voidFile) ReadAt(p []byte, off int64) (int, error) {
	f.use(off, int64(len(p)))
	return 0, io.EOF
}

func (f *voidFile) WriteAt(p []byte, off int64) (int, error) {
	f.use(off, int64(len(p)))
	return len(p), nil
}

func (f *voidFile) Zero(off, n int64) error {
	f.use(off, n)
	return nil
}

func (f *voidFile) Opened() transfer.Stat { return transfer.Stat{} }

func (f *voidFile) Commit(size int64, _ transfer.Attrs) error {
	if f.closed || size < 0 {
		f.t.Errorf("commit of %d bytes, closed: %v", size, f.closed)
	}
	f.closed = true
	return nil
}

func (f *voidFile) Abandon(int64) error {
	if f.closed {
		f.t.Error("closed twice")
	}
	f.closed = true
	return nil
}

func inBatchOf(flags byte, frames ...[]byte) []byte {
	body := bytes.Join(frames, nil)
	b := make([]byte, headSize, headSize+len(body))
	putBatchHead(b, len(body), flags)
	return append(b, body...)
}

func dataOf(h hasher, handle uint32, off int64, p []byte) []byte {
	b := make([]byte, dataHead+len(p))
	copy(b[dataHead:], p)
	var d [maxBlocks]digest
	n, _ := h.blocks(p, &d)
	putData(b, 0, handle, off, len(p), len(p), h.of(d[:n]))
	return b
}

// FuzzReceiver is a joiner whose donor says what the fuzzer likes.
func FuzzReceiver(f *testing.F) {
	h := newHasher(5)
	begin := open{version: version, sender: 1, seed: 5, slot: 0}.append(nil)
	p := content(1, 20_000)
	var d [maxBlocks]digest
	n, _ := h.blocks(p, &d)
	file := appendFile(nil, 1, &File{Name: "db/t", Mode: 0o640, User: "mysql", Group: "mysql"})
	commit := commitFrame{handle: 1, size: 20_000, digest: h.of(d[:n])}.append(nil)
	f.Add(inBatchOf(flagAckNow, begin, file, dataOf(h, 1, 0, p), commit))
	f.Add(bytes.Join([][]byte{inBatchOf(0, begin), inBatchOf(0, file, appendRange(nil, frameZero, 1, 0, 16384)), inBatchOf(1, commit)}, nil))
	f.Add(inBatchOf(0, begin, file, appendRange(nil, frameSums, 1, 0, 1<<20), appendRelease(nil, 1, flagAbandon)))
	f.Add(inBatchOf(0, begin, appendFile(nil, 9, &File{Name: "no"}), dataOf(h, 9, 16384, p[:5]), commit))
	f.Add(inBatchOf(0, begin, appendFile(nil, 9, &File{Name: "../x", Root: 3})))
	f.Fuzz(func(t *testing.T, input []byte) {
		r := &Receiver{Stores: []transfer.Store{voidStore{t: t}, nil}}
		_ = r.Serve(t.Context(), &script{in: bytes.NewReader(input)})
		for _, s := range r.slots {
			if s != nil {
				t.Error("a session is left")
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

type bytesSource struct{ *bytes.Reader }

func (bytesSource) Close() error           { return nil }
func (s bytesSource) Stat() (Stamp, error) { return Stamp{Size: s.Size()}, nil }

// FuzzSender is a donor whose joiner says what the fuzzer likes.
func FuzzSender(f *testing.F) {
	ack := func(n uint64) []byte { return le.AppendUint64(appendHead(nil, frameAck, 0, 8), n) }
	blocks := append(le.AppendUint32(le.AppendUint32(appendHead(nil, frameBlocks, flagLast, 24), 1), 0), make([]byte, 16)...)
	f.Add(false, append(ack(1), ack(2)...))
	f.Add(true, bytes.Join([][]byte{blocks, ack(1), le.AppendUint32(appendHead(nil, frameMismatch, 0, 4), 1), ack(2), ack(3)}, nil))
	f.Add(true, append(le.AppendUint32(appendHead(nil, frameRefused, 0, 4+2), 2), "no"...))
	f.Add(false, append(appendHead(nil, frameFail, 0, 4), "full"...))
	over := errors.New("no more connections")
	p := content(1, 20_000)
	f.Fuzz(func(t *testing.T, sums bool, input []byte) {
		dialled := false
		s := New(Options{Sums: sums, Timeout: 100 * time.Millisecond, Dial: func(context.Context) (net.Conn, error) {
			if dialled {
				return nil, over
			}
			dialled = true
			return &script{in: bytes.NewReader(input), begin: make(chan struct{}), closed: make(chan struct{})}, nil
		}})
		defer s.Close()
		file := func(name string) File {
			return File{Name: name, Size: 20_000, Open: func() (Source, error) { return bytesSource{bytes.NewReader(p)}, nil }}
		}
		results, err := s.Send(t.Context(), []File{file("a"), file("b")})
		if err == nil && len(results) != 2 {
			t.Errorf("%d results", len(results))
		}
	})
}

// FuzzFrames takes a batch apart; what is accepted comes out again as it was.
func FuzzFrames(f *testing.F) {
	f.Add(appendFile(nil, 1, &File{Name: "db/t", User: "u", Group: "g", Mode: 0o640, UID: 1, GID: 2}))
	f.Add(commitFrame{handle: 1, size: 5, mtime: 7, nsec: 8}.append(appendRange(nil, frameZero, 1, 16384, 5)))
	f.Add(dataOf(newHasher(1), 1, 0, []byte("x")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			fr, rest, err := nextFrame(b)
			if err != nil {
				return
			}
			whole := b[:len(b)-len(rest)]
			b = rest
			var again []byte
			switch fr.kind {
			case frameFile:
				p, err := parseFile(fr)
				if err != nil {
					continue
				}
				again = appendFile(nil, p.handle, &File{Root: p.root, Mode: p.mode, UID: p.uid, GID: p.gid, Name: string(p.name), User: string(p.user), Group: string(p.group)})
			case frameZero, frameSums:
				p, err := parseRange(fr)
				if err != nil {
					continue
				}
				again = appendRange(nil, fr.kind, p.handle, p.off, p.n)
			case frameCommit:
				p, err := parseCommit(fr)
				if err != nil {
					continue
				}
				again = p.append(nil)
			case frameData:
				p, err := parseData(fr)
				if err != nil || p.zstd {
					continue
				}
				again = make([]byte, dataHead+len(p.payload))
				copy(again[dataHead:], p.payload)
				putData(again, 0, p.handle, p.off, p.raw, len(p.payload), p.digest)
			default:
				continue
			}
			if !bytes.Equal(again, whole) {
				t.Errorf("%x became %x", whole, again)
			}
		}
	})
}

// FuzzExpand is content that claims to be compressed.
func FuzzExpand(f *testing.F) {
	z := zipper{how: Zstd}
	f.Add(bytes.Clone(z.compress(make([]byte, maxData))), maxData)
	f.Add(bytes.Clone(z.compress(make([]byte, 1000))), 999)
	f.Fuzz(func(t *testing.T, p []byte, n int) {
		var u unzipper
		defer u.close()
		if out, err := u.expand(p, n); err == nil && (len(out) != n || cap(u.buf) > 2*maxData) {
			t.Errorf("%d bytes, asked for %d", len(out), n)
		}
	})
}
