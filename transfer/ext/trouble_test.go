package ext

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer"
)

// A fullStore has room for so many bytes.
type fullStore struct {
	transfer.Store
	room *atomic.Int64
}

func (s fullStore) Update(name string, inPlace bool) (transfer.File, error) {
	f, err := s.Store.Update(name, inPlace)
	return fullFile{f, s.room}, err
}

type fullFile struct {
	transfer.File
	room *atomic.Int64
}

func (f fullFile) WriteAt(p []byte, off int64) (int, error) {
	if f.room.Add(-int64(len(p))) < 0 {
		return 0, &fs.PathError{Op: "write", Path: "t", Err: unix.ENOSPC}
	}
	return f.File.WriteAt(p, off)
}

func TestAFullDiskEndsTheSSTInWords(t *testing.T) {
	s := newSST(t, Options{Connections: 3}, transfer.StoreOptions{}, nil)
	room := new(atomic.Int64)
	room.Store(5 << 20)
	s.receiver.Stores[0] = fullStore{s.receiver.Stores[0], room}
	s.write("db/big", content(1, 20<<20))
	_, err := s.sender.Send(t.Context(), s.files())
	var gaveUp *GaveUpError
	if !errors.As(err, &gaveUp) || !strings.Contains(gaveUp.Reason, `write "db/big"`) || !strings.Contains(gaveUp.Reason, "no space left") {
		t.Fatal(err)
	}
	// A connection that comes later hears it too.
	if _, err := s.sender.Send(t.Context(), s.files()); !errors.As(err, &gaveUp) {
		t.Fatal(err)
	}
}

func TestAFileTheJoinerCannotTakeIsThatFilesErrorOnly(t *testing.T) {
	s := newSST(t, Options{Connections: 2}, transfer.StoreOptions{}, nil)
	for _, name := range []string{"a/t", "gone/small", "gone/big", "z/t"} {
		s.write(name, content(1, 10_000))
	}
	s.write("gone/big", content(1, 5<<20))
	files := s.files()
	if err := os.Remove(filepath.Join(s.dst, "gone")); err != nil {
		t.Fatal(err)
	}
	for range 2 { // nothing of it is remembered as sent
		results, err := s.sender.Send(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			var refused *RefusedError
			if in := strings.HasPrefix(f.Name, "gone/"); in != errors.As(results[i].Err, &refused) {
				t.Errorf("%s: %v", f.Name, results[i].Err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(s.dst, "gone"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.send()
	s.same()
}

// A brokenSource cannot be read from some byte on.
type brokenSource struct {
	Source
	from int64
}

func (b brokenSource) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, &fs.PathError{Op: "read", Path: "t", Err: unix.EIO}
	}
	return b.Source.ReadAt(p, off)
}

func TestAFileThatCannotBeReadIsThatFilesErrorOnly(t *testing.T) {
	for _, size := range []int{1 << 20, 5 << 20} { // as one, and cut
		s := newSST(t, Options{Connections: 2}, transfer.StoreOptions{}, nil)
		s.write("a", content(1, size))
		s.write("b", content(2, size))
		files := s.files()
		open := files[0].Open
		files[0].Open = func() (Source, error) {
			src, err := open()
			return brokenSource{src, int64(size / 2)}, err
		}
		results, err := s.sender.Send(t.Context(), files)
		if err != nil || !errors.Is(results[0].Err, unix.EIO) || results[1].Err != nil {
			t.Fatal(err, results[0].Err, results[1].Err)
		}
		if n := s.receiver.open; n != 0 {
			t.Errorf("the joiner has %d files open", n)
		}
		if _, sent := sum(s.send()); sent >= int64(size) || sent == 0 {
			t.Errorf("%d bytes sent: what had arrived of it is to be kept", sent)
		}
		s.same()
		s.end()
	}
}

func TestAFileIsSentToTheLengthItHadOrToItsEnd(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	s.write("grows", content(1, 700_000))
	s.write("shrinks", content(2, 700_000))
	files := s.files()
	s.sender.o.Progress = func(int64, int64) {
		os.Truncate(filepath.Join(s.src, "shrinks"), 300_001)
		f, err := os.OpenFile(filepath.Join(s.src, "grows"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Error(err)
			return
		}
		f.Write(content(3, 1000))
		f.Close()
	}
	results, err := s.sender.Send(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{700_000, 300_001} {
		info, err := os.Stat(filepath.Join(s.dst, files[i].Name))
		if err != nil || info.Size() != want {
			t.Errorf("%s: %v, %v", files[i].Name, info, err)
		}
		if results[i].Before == results[i].After && i == 0 {
			t.Errorf("%s: the stamps do not tell", files[i].Name)
		}
	}
	s.sender.o.Progress = nil
	s.send()
	s.same()
}

func TestTheContextEndsBothSides(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	s.write("t", content(1, 20<<20))
	why := errors.New("the server went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	s.sender.o.Pace = func(context.Context, int) error {
		cancel(why)
		return nil
	}
	if _, err := s.sender.Send(ctx, s.files()); !errors.Is(err, why) {
		t.Error(err)
	}
	a, b := net.Pipe()
	defer a.Close()
	if err := s.receiver.Serve(ctx, b); !errors.Is(err, why) {
		t.Error(err)
	}
	s.sender.o.Pace = nil
	s.send() // and it may be called again
	s.same()
}

func TestADialThatGivesUpEndsTheSend(t *testing.T) {
	why := errors.New("the joiner is gone")
	s := New(Options{Connections: 3, Dial: func(context.Context) (net.Conn, error) { return nil, why }})
	defer s.Close()
	_, err := s.Send(t.Context(), []File{{Name: "t", Open: func() (Source, error) { return nil, io.ErrUnexpectedEOF }}})
	if err != why {
		t.Error(err)
	}
}

func TestNamesAreCheckedOnBothSides(t *testing.T) {
	s := newSST(t, Options{}, transfer.StoreOptions{}, nil)
	for _, name := range []string{"", ".", "/t", "../t", "a//t", "a/./t", "t\x00"} {
		if _, err := s.sender.Send(t.Context(), []File{{Name: name}}); err == nil {
			t.Errorf("%q is sent", name)
		}
		f, _, err := nextFrame(appendFile(nil, 1, &File{Name: name}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseFile(f); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
	if _, err := s.sender.Send(t.Context(), []File{{Name: "t"}, {Name: "t"}}); err == nil {
		t.Error("the same file twice")
	}
}
