package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// writes records every Write to the connection by itself.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

func TestOneWriteCarriesManyFrames(t *testing.T) {
	var conn writes
	w := NewWriter(&conn)
	defer w.Release()
	w.StartMux(32)
	literal := pattern(4+32<<10, 1)
	for range maxFrames + 1 {
		w.Commit(copy(w.Reserve(len(literal)), literal))
	}
	if len(conn) != 1 {
		t.Fatalf("%d writes before Flush, want 1", len(conn))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	want := frame(TagData, literal)
	for i, frames := range []int{maxFrames, 1} {
		if !bytes.Equal(conn[i], bytes.Repeat(want, frames)) {
			t.Errorf("write %d has %d bytes, want %d frames of %d", i, len(conn[i]), frames, len(want))
		}
	}
}

func TestSmallItemsShareAFrame(t *testing.T) {
	var conn writes
	w := NewWriter(&conn)
	defer w.Release()
	w.Int(7) // the seed: before the frames
	w.StartMux(31)
	w.Byte(1)
	w.Short(0x302)
	w.NDX(-1)
	w.Flush()
	w.Flush()
	want := writes{{7, 0, 0, 0}, {4, 0, 0, 7, 1, 2, 3, 0}}
	if !slices.EqualFunc(conn, want, bytes.Equal) {
		t.Errorf("% x, want % x", conn, want)
	}
}

// A frame that nothing was committed to would be a keep-alive, which protocol 30 peers do not expect.
func TestReservedButNotCommitted(t *testing.T) {
	var conn writes
	w := NewWriter(&conn)
	defer w.Release()
	w.StartMux(30)
	w.Reserve(100)
	w.Commit(0)
	if w.Flush(); len(conn) != 0 {
		t.Errorf("% x", conn)
	}
}

func TestFrameIsFilledToItsLimit(t *testing.T) {
	var conn writes
	w := NewWriter(&conn)
	defer w.Release()
	w.StartMux(31)
	w.Bytes(make([]byte, MaxFrame+1))
	w.Flush()
	if got := len(conn[0]); got != headerLen+MaxFrame+headerLen+1 {
		t.Errorf("%d bytes", got)
	}
	if h := le32(conn[0]); h != 7<<24|MaxFrame {
		t.Errorf("first header %#x", h)
	}
}

func TestMessagesAndKeepAlives(t *testing.T) {
	tests := []struct {
		name  string
		proto int
		send  func(*Writer) error
		want  string
	}{
		{"text", 30, func(w *Writer) error { return w.Message(ErrorXfer, []byte("no\n")) }, "03 00 00 08 6e 6f 0a"},
		{"number", 30, func(w *Writer) error { return w.MessageInt(NoSend, 258) }, "04 00 00 6d 02 01 00 00"},
		{"exit code", 31, func(w *Writer) error { return w.MessageInt(ErrorExit, 12) }, "04 00 00 5d 0c 00 00 00"},
		{"acknowledgement", 31, func(w *Writer) error { return w.Message(ErrorExit, nil) }, "00 00 00 5d"},
		{"time-out", 32, func(w *Writer) error { return w.MessageInt(IOTimeout, 300) }, "04 00 00 28 2c 01 00 00"},
		{"keep-alive of protocol 30", 30, (*Writer).KeepAlive, "00 00 00 31"},
		{"keep-alive of protocol 31", 31, (*Writer).KeepAlive, "00 00 00 07"},
		{"keep-alive before the frames", 0, (*Writer).KeepAlive, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var conn bytes.Buffer
			w := NewWriter(&conn)
			defer w.Release()
			if tt.proto > 0 {
				w.StartMux(tt.proto)
				w.Byte(1) // stays in the buffer: a message overtakes it
			}
			if err := tt.send(w); err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, tt.want); !bytes.Equal(conn.Bytes(), want) {
				t.Errorf("% x, want % x", conn.Bytes(), want)
			}
		})
	}
}

func TestLongTextIsCut(t *testing.T) {
	var conn bytes.Buffer
	w := NewWriter(&conn)
	defer w.Release()
	w.StartMux(32)
	if err := w.Message(Error, bytes.Repeat([]byte{'x'}, 10*MaxMessage)); err != nil {
		t.Fatal(err)
	}
	want := frame(Error, []byte(strings.Repeat("x", MaxText-1)+"\n"))
	if !bytes.Equal(conn.Bytes(), want) {
		t.Errorf("%d bytes: %.20q", conn.Len(), conn.Bytes())
	}
}

// What the peer would die of is refused here, and the session goes on.
func TestMessagesNotSent(t *testing.T) {
	var conn bytes.Buffer
	w := NewWriter(&conn)
	defer w.Release()
	if err := w.Message(Info, []byte("x")); err == nil {
		t.Error("a message in the middle of the handshake")
	}
	w.StartMux(30)
	for name, err := range map[string]error{
		"exit code in protocol 30": w.MessageInt(ErrorExit, 1),
		"time-out in protocol 30":  w.MessageInt(IOTimeout, 1),
		"number of three bytes":    w.Message(IOError, []byte("abc")),
		"unknown tag":              w.Message(9, []byte("abcd")),
		"stream data":              w.Message(TagData, []byte("abcd")),
	} {
		if err == nil {
			t.Error(name, "was sent")
		}
	}
	if err := w.Flush(); err != nil || conn.Len() != 0 {
		t.Errorf("%v, % x", err, conn.Bytes())
	}
}

// A peer could not read these, so they end the writing; nothing of them is sent.
func TestItemsThatCannotBeWritten(t *testing.T) {
	for name, write := range map[string]func(*Writer){
		"line that is too long":     func(w *Writer) { w.Line(strings.Repeat("x", MaxLineWrite+1)) },
		"line with a line end":      func(w *Writer) { w.Line("a\nb") },
		"line with a NUL":           func(w *Writer) { w.Line("a\x00b") },
		"argument that is empty":    func(w *Writer) { w.Args([]string{"a", "", "b"}) },
		"argument with a NUL":       func(w *Writer) { w.Args([]string{"a\x00b"}) },
		"argument that is too long": func(w *Writer) { w.Args([]string{strings.Repeat("x", MaxArg+1)}) },
		"string that is too long":   func(w *Writer) { w.VString(strings.Repeat("x", MaxVString+1)) },
		"string with a NUL":         func(w *Writer) { w.VString("a\x00b") },
		"index of the smallest int": func(w *Writer) { w.NDX(-1 << 31) },
	} {
		t.Run(name, func(t *testing.T) {
			var conn bytes.Buffer
			w := NewWriter(&conn)
			defer w.Release()
			write(w)
			if err := w.Flush(); err == nil || conn.Len() > 0 {
				t.Errorf("%v, %q", err, conn.Bytes())
			}
		})
	}
}

func TestMisuseOfReserve(t *testing.T) {
	for name, misuse := range map[string]func(*Writer){
		"too much":                     func(w *Writer) { w.Reserve(MaxReserve + 1) },
		"commit of more than the rest": func(w *Writer) { w.StartMux(31); w.Reserve(1); w.Commit(MaxFrame + 1) },
		"commit of less than nothing":  func(w *Writer) { w.Reserve(1); w.Commit(-1) },
		"after Release":                func(w *Writer) { w.Release(); w.Byte(1) },
	} {
		t.Run(name, func(t *testing.T) {
			w := NewWriter(io.Discard)
			defer w.Release()
			defer func() {
				if recover() == nil {
					t.Error("went unnoticed")
				}
			}()
			misuse(w)
		})
	}
}

// failing takes some bytes and then fails, or lies about having taken all.
type failing struct {
	room int
	err  error
}

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestFailureIsFinal(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name      string
		err, want error
	}{{"error of the connection", broken, broken}, {"write cut short", nil, io.ErrShortWrite}} {
		t.Run(tt.name, func(t *testing.T) {
			conn := &failing{room: 10, err: tt.err}
			w := NewWriter(conn)
			defer w.Release()
			w.StartMux(31)
			w.Bytes(make([]byte, 2*bufferLen)) // fails on the way, is dropped, and does not panic
			conn.room = 1 << 20
			for i, err := range []error{w.Err(), w.Flush(), w.Message(Info, nil), w.KeepAlive(), w.Flush()} {
				if err != tt.want {
					t.Errorf("call %d: %v, want %v", i, err, tt.want)
				}
			}
			if conn.room != 1<<20 || w.Count() != 10 {
				t.Errorf("something was written after the failure; Count %d", w.Count())
			}
		})
	}
}

func TestIdleCountsFromTheLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWriter(io.Discard)
		defer w.Release()
		w.StartMux(31)
		for _, act := range []struct {
			name string
			do   func()
			want time.Duration
		}{
			{"nothing yet", func() {}, 3 * time.Second},
			{"buffered", func() { w.Byte(1) }, 6 * time.Second},
			{"flushed", func() { w.Flush() }, 0},
			{"nothing to flush", func() { w.Flush() }, 3 * time.Second},
			{"kept alive", func() { w.KeepAlive() }, 0},
		} {
			time.Sleep(3 * time.Second) // of the bubble's clock
			if act.do(); w.Idle() != act.want {
				t.Errorf("%s: %v, want %v", act.name, w.Idle(), act.want)
			}
		}
	})
}

// A watchdog must be able to ask and to act while the stream is stuck in the connection.
func TestNothingWaitsForAStuckStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		w := NewWriter(here)
		w.StartMux(31)
		done := make(chan error)
		go func() {
			w.Byte(1)
			done <- w.Flush()
		}()
		synctest.Wait() // Flush is inside the connection's Write
		if err := w.KeepAlive(); err != nil {
			t.Error(err)
		}
		if w.Err() != nil || w.Count() != 0 {
			t.Errorf("%v, %d", w.Err(), w.Count())
		}
		there.Close()
		if err := <-done; !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		w.Release()
	})
}

// One goroutine fills the stream while others send messages and keep-alives; a fourth reads. Every frame arrives whole, the
// stream in order, each sender's messages in order.
func TestMessagesBetweenTheFramesOfAStream(t *testing.T) {
	const messages, numbers, senders = 300, 100_000, 3
	here, there := net.Pipe()
	w, r := NewWriter(here), NewReader(there)
	defer w.Release()
	defer r.Release()
	w.StartMux(31)

	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range messages {
				if err := w.Message(Info, fmt.Appendf(nil, "%d %d", s, i)); err != nil {
					t.Error(err)
				}
				if err := w.KeepAlive(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for i := range int32(numbers) {
			if i%1000 == 0 {
				w.Flush()
			}
			if i%3 == 0 {
				w.Int(i)
			} else {
				binary.LittleEndian.PutUint32(w.Reserve(10), uint32(i))
				w.Commit(4)
			}
		}
		if err := w.Flush(); err != nil {
			t.Error(err)
		}
	})
	closed := make(chan struct{})
	go func() {
		wg.Wait()
		here.Close()
		close(closed)
	}()
	defer func() { there.Close(); <-closed }()

	var next [senders]int
	r.StartMux(31, func(m Message) error {
		var s, i int
		if _, err := fmt.Sscan(string(m.Data), &s, &i); err != nil || i != next[s] {
			return fmt.Errorf("message %q of sender %d, want number %d", m.Data, s, next[s])
		}
		next[s]++
		return nil
	})
	for i := range int32(numbers) {
		if v, err := r.Int(); err != nil || v != i {
			t.Fatalf("number %d is %d, %v", i, v, err)
		}
	}
	if _, err := r.Byte(); err != io.EOF {
		t.Errorf("after the stream: %v", err)
	}
	if next != [senders]int{messages, messages, messages} {
		t.Errorf("messages read: %v", next)
	}
	if r.Count() != w.Count() {
		t.Errorf("%d read, %d written", r.Count(), w.Count())
	}
}
