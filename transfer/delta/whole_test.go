package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// whole returns the reply of Whole.
func whole(t testing.TB, a *Algorithm, f io.ReaderAt, size int64) (reply []byte, sent Sent, err error) {
	s := NewFileSender(a)
	reply = written(func(w *wire.Writer) { err = s.Whole(context.Background(), w, f, size) })
	return reply, s.Sent(), err
}

func TestAWholeFileArrives(t *testing.T) {
	for _, name := range append(Canonical(), "none") {
		a := lookup(t, name, -7, true)
		for _, n := range []int{0, 1, MaxLiteral - 1, MaxLiteral, MaxLiteral + 1, 3*MaxLiteral + 5, 2_000_000} {
			data := gen("whole", n)
			reply, sent, err := whole(t, a, bytes.NewReader(data), int64(n))
			if err != nil || sent != (Sent{Literal: int64(n)}) {
				t.Fatalf("%s, %d bytes: sent %+v, %v", name, n, sent, err)
			}
			sink := newInPlace(nil, SumHead{})
			got, ok, err := receive(t, reply, SumHead{}, a, sink)
			if got != int64(n) || !ok || err != nil || !bytes.Equal(sink.result(), data) {
				t.Errorf("%s, %d bytes: received %d, %v, %v", name, n, got, ok, err)
			}
		}
	}
}

func TestAnEmptyFileIsAnEndAndTheDigestOfNothing(t *testing.T) {
	a := lookup(t, "md5", 1, true)
	reply, _, err := whole(t, a, bytes.NewReader(nil), 0)
	want := append([]byte{0, 0, 0, 0}, a.NewFile().Sum(nil)...)
	if err != nil || !bytes.Equal(reply, want) {
		t.Errorf("got % x, %v, want % x", reply, err, want)
	}
}

func TestNoLiteralIsLongerThanOldReceiversBear(t *testing.T) {
	reply, _, _ := whole(t, lookup(t, "none", 0, true), bytes.NewReader(gen("x", 100_000)), 100_000)
	var lengths []int32
	for p := reply; ; {
		n := int32(binary.LittleEndian.Uint32(p))
		if n == 0 {
			break
		}
		lengths = append(lengths, n)
		p = p[4+n:]
	}
	if want := []int32{32768, 32768, 32768, 1696}; !slices.Equal(lengths, want) {
		t.Errorf("got literals of %v, want %v", lengths, want)
	}
}

func TestAFileThatChangesItsLengthIsSentAsItIs(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	data := gen("grown", 100_000)
	for _, c := range []struct {
		name      string
		announced int64
		want      int
	}{
		{"one that has grown is sent up to the announced length", 70_000, 70_000},
		{"one that has shrunk is sent as far as it goes", 200_000, 100_000},
		{"one that has shrunk to a whole number of tokens", 3 * MaxLiteral, 3 * MaxLiteral},
	} {
		reply, sent, err := whole(t, a, bytes.NewReader(data[:min(100_000, max(c.want, 70_001))]), c.announced)
		sink := newInPlace(nil, SumHead{})
		_, ok, rerr := receive(t, reply, SumHead{}, a, sink)
		if err != nil || rerr != nil || !ok || sent.Size() != int64(c.want) || !bytes.Equal(sink.result(), data[:c.want]) {
			t.Errorf("%s: sent %d, %v; received %d bytes, %v, %v", c.name, sent.Size(), err, len(sink.result()), ok, rerr)
		}
	}
}

func TestAReaderThatDeliversLittleAtATimeIsEnough(t *testing.T) {
	a := lookup(t, "xxh3", 0, true)
	data := gen("slow", 70_000)
	reply, _, err := whole(t, a, slowFile{data}, 70_000)
	sink := newInPlace(nil, SumHead{})
	if _, ok, rerr := receive(t, reply, SumHead{}, a, sink); err != nil || rerr != nil || !ok || !bytes.Equal(sink.result(), data) {
		t.Errorf("sent %v, received %v, %v", err, ok, rerr)
	}
}

func TestAReadErrorCompletesTheStreamSoThatTheReceiverRejectsIt(t *testing.T) {
	data := gen("broken", 100_000)
	for _, name := range append(Canonical(), "none") {
		a := lookup(t, name, 0, true)
		for _, good := range []int{0, 1, 40_000, 99_999} {
			reply, sent, err := whole(t, a, brokenFile{data, good, errDisk}, 100_000)
			var read *ReadError
			if !errors.As(err, &read) || !errors.Is(err, errDisk) || read.Offset != int64(good) {
				t.Fatalf("%s, %d: got error %v", name, good, err)
			}
			sink := newInPlace(nil, SumHead{})
			n, ok, err := receive(t, reply, SumHead{}, a, sink)
			want := append(bytes.Clone(data[:good]), make([]byte, 100_000-good)...)
			if n != 100_000 || n != sent.Size() || ok || err != nil || !bytes.Equal(sink.result(), want) {
				t.Errorf("%s, %d: received %d bytes, %v, %v", name, good, n, ok, err)
			}
		}
	}
}

func TestSendingEndsWithTheContext(t *testing.T) {
	cause := errors.New("the joiner is gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	data := gen("endless", 8<<20)
	a := lookup(t, "xxh128", 0, true)
	old := describe(t, a, data[:1<<20], Plan(1<<20, 16, false))
	w := wire.NewWriter(io.Discard)
	defer w.Release()
	f := cancelAt{bytes.NewReader(data), 3 << 20, func() { cancel(cause) }}
	s := NewFileSender(a)
	if err := s.Whole(ctx, w, f, 8<<20); !errors.Is(err, cause) || s.Sent().Size() > 5<<20 {
		t.Errorf("whole: got %v after %d bytes", err, s.Sent().Size())
	}
	if err := s.Match(ctx, w, f, 8<<20, old); !errors.Is(err, cause) || s.Sent().Size() != 0 {
		t.Errorf("match: got %v after %d bytes", err, s.Sent().Size())
	}
	if err := WriteSums(ctx, w, Plan(8<<20, 16, false), a, f); !errors.Is(err, cause) {
		t.Errorf("sums: got %v", err)
	}
}

// cancelAt calls f when a place in the file is read.
type cancelAt struct {
	io.ReaderAt
	at int64
	f  func()
}

func (c cancelAt) ReadAt(p []byte, off int64) (int, error) {
	if off <= c.at && c.at < off+int64(len(p)) {
		c.f()
	}
	return c.ReaderAt.ReadAt(p, off)
}

func TestSendingEndsWithTheConnection(t *testing.T) {
	data := gen("endless", 8<<20)
	a := lookup(t, "xxh128", 0, true)
	old := describe(t, a, gen("other", 1<<20), Plan(1<<20, 16, false))
	for name, send := range map[string]func(w *wire.Writer, f io.ReaderAt) error{
		"whole": func(w *wire.Writer, f io.ReaderAt) error { return NewFileSender(a).Whole(t.Context(), w, f, 8<<20) },
		"match": func(w *wire.Writer, f io.ReaderAt) error {
			return NewFileSender(a).Match(t.Context(), w, f, 8<<20, old)
		},
		"sums": func(w *wire.Writer, f io.ReaderAt) error {
			return WriteSums(t.Context(), w, SumHead{Count: 8 << 20 / 32, BlockLen: 32, S2Len: 16}, a, f)
		},
	} {
		w := wire.NewWriter(fullPipe{})
		last := int64(0)
		f := readAtFunc(func(p []byte, off int64) (int, error) {
			last = off
			return bytes.NewReader(data).ReadAt(p, off)
		})
		if err := send(w, f); !errors.Is(err, io.ErrClosedPipe) || last > 4<<20 {
			t.Errorf("%s: got %v after reading at %d", name, err, last)
		}
		w.Release()
	}
}

type fullPipe struct{}

func (fullPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

type readAtFunc func(p []byte, off int64) (int, error)

func (f readAtFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }
