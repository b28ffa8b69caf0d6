package delta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// reply writes tokens by hand: a positive number is a literal of that length taken from gen("lit"), another one is itself.
// The digest is that of want.
func reply(a *Algorithm, want []byte, tokens ...int32) []byte {
	return written(func(w *wire.Writer) {
		for _, n := range tokens {
			w.Int(n)
			if n > 0 {
				w.Bytes(gen("lit", int(n)))
			}
		}
		h := a.NewFile()
		h.Write(want)
		w.Bytes(h.Sum(nil))
	})
}

func TestReceiveAppliesTokens(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	old := gen("old", 1700)
	h := Plan(1700, 16, false) // 700 700 300
	join := func(p ...[]byte) []byte { return bytes.Join(p, nil) }
	lit := func(n int) []byte { return gen("lit", n) }
	for _, c := range []struct {
		name   string
		tokens []int32
		want   []byte
	}{
		{"nothing", []int32{0}, nil},
		{"a literal", []int32{5, 0}, lit(5)},
		{"a literal above our own limit", []int32{100_000, 0}, lit(100_000)},
		{"blocks in their order", []int32{-1, -2, -3, 0}, old},
		{"a block several times, and the short one first", []int32{-3, -3, -2, 0}, join(old[1400:], old[1400:1700], old[700:1400])},
		{"both", []int32{7, -2, 1, -3, 0}, join(lit(7), old[700:1400], lit(1), old[1400:])},
	} {
		sink := &fromOld{head: h, old: old}
		n, ok, err := receive(t, reply(a, c.want, c.tokens...), h, a, sink)
		if n != int64(len(c.want)) || !ok || err != nil || !bytes.Equal(sink.out, c.want) {
			t.Errorf("%s: got %d bytes, %v, %v", c.name, n, ok, err)
		}
		n, ok, err = receive(t, reply(a, c.want, c.tokens...), h, a, nil)
		if n != int64(len(c.want)) || ok || err != nil {
			t.Errorf("%s, dropped: got %d bytes, %v, %v", c.name, n, ok, err)
		}
		n, ok, err = receive(t, reply(a, append(c.want, 'x'), c.tokens...), h, a, &fromOld{head: h, old: old})
		if n != int64(len(c.want)) || ok || err != nil {
			t.Errorf("%s, with a wrong digest: got %d bytes, %v, %v", c.name, n, ok, err)
		}
	}
}

// fromOld copies from an old file that stays as it is. With missing set it has no block to give.
type fromOld struct {
	head    SumHead
	old     []byte
	out     []byte
	missing bool
	fail    error
	cut     int
}

func (s *fromOld) Literal(p []byte) error {
	s.out = append(s.out, p...)
	return s.fail
}

func (s *fromOld) Copy(block int32) ([]byte, error) {
	if s.missing {
		return nil, s.fail
	}
	off, n := s.head.Block(block)
	p := s.old[off : off+int64(n)-int64(s.cut)]
	s.out = append(s.out, p...)
	return p, s.fail
}

func TestReceiveRefusesReferencesToBlocksThatAreNot(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	h := Plan(1700, 16, false)
	for _, c := range []struct {
		name  string
		head  SumHead
		token int32
	}{
		{"the block behind the last", h, -4},
		{"the highest number", h, -1 << 31},
		{"a block where there is no basis", SumHead{}, -1},
		{"a block of a plan without blocks", SumHead{BlockLen: 700}, -1},
	} {
		for _, sink := range []Sink{&fromOld{head: h, old: gen("old", 1700)}, nil} {
			r := wire.NewReader(bytes.NewReader(reply(a, nil, 3, c.token, 0)))
			n, ok, err := Receive(r, c.head, a, sink)
			r.Release()
			var protocol *wire.ProtocolError
			if n != 3 || ok || !errors.As(err, &protocol) {
				t.Errorf("%s: got %d, %v, %v", c.name, n, ok, err)
			}
		}
	}
}

func TestAReplyThatEndsEarlyIsAnError(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	full := reply(a, gen("lit", 9), 9, 0)
	for n := range full {
		if _, ok, err := receive(t, full[:n], SumHead{}, a, &fromOld{}); ok || err != io.ErrUnexpectedEOF {
			t.Errorf("%d of %d bytes: got %v, %v", n, len(full), ok, err)
		}
	}
	// The announced length of a literal is nothing to rely on, and nothing to allocate.
	huge := []byte{0xff, 0xff, 0xff, 0x7f, 'x'}
	if n := testing.AllocsPerRun(5, func() { receive(t, huge, SumHead{}, a, &fromOld{}) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

func TestASinkDecidesWhatAnErrorMeans(t *testing.T) {
	a := lookup(t, "xxh128", 0, true)
	old := gen("old", 1700)
	h := Plan(1700, 16, false)
	full := errors.New("no space left on device")
	body := reply(a, append(gen("lit", 9), old[:700]...), 9, -1, 0)
	var refused *SinkError
	if _, ok, err := receive(t, body, h, a, &fromOld{head: h, old: old, fail: full}); ok || !errors.As(err, &refused) || !errors.Is(err, full) {
		t.Errorf("an error of the sink: got %v, %v", ok, err)
	}
	if _, ok, err := receive(t, reply(a, old[:700], -1, 0), h, a, &fromOld{head: h, old: old, fail: full}); ok || !errors.As(err, &refused) {
		t.Errorf("an error of the sink with a block: got %v, %v", ok, err)
	}
	if n, ok, err := receive(t, body, h, a, &fromOld{head: h, old: old, missing: true}); n != 709 || ok || err != nil {
		t.Errorf("a block that the sink does not have: got %d, %v, %v", n, ok, err)
	}
	// Not even with the digest of what the sink has got.
	if n, ok, err := receive(t, reply(a, gen("lit", 9), 9, -1, 0), h, a, &fromOld{head: h, old: old, missing: true}); n != 709 || ok || err != nil {
		t.Errorf("a block that the sink does not have, and the sender neither: got %d, %v, %v", n, ok, err)
	}
	if _, ok, err := receive(t, body, h, a, &fromOld{head: h, old: old, cut: 1}); ok || !errors.As(err, &refused) {
		t.Errorf("a block that is too short: got %v, %v", ok, err)
	}
}

func TestAReceiverTellsHowMuchCameFromTheBasis(t *testing.T) {
	a := lookup(t, "xxh3", 0, true)
	h := Plan(1700, 8, false)
	v := NewReceiver(a)
	for range 2 {
		r := wire.NewReader(bytes.NewReader(reply(a, nil, 50, -1, -3, 0)))
		n, _, err := v.Receive(r, h, nil)
		r.Release()
		if n != 1050 || v.Matched() != 1000 || err != nil {
			t.Errorf("got %d bytes, %d of them matched, %v", n, v.Matched(), err)
		}
	}
}

func FuzzReceive(f *testing.F) {
	a := lookup(f, "xxh128", 0, true)
	old := gen("old", 1700)
	h := Plan(1700, 16, false)
	f.Add(reply(a, old, -1, -2, -3, 0))
	f.Add(reply(a, nil, 5, -2, 300, -3, -1<<31, 0))
	f.Add(reply(a, nil, 70))
	f.Fuzz(func(t *testing.T, stream []byte) {
		want, wantOK, wantErr := plainReceive(stream, h, a, old)
		for _, sink := range []*fromOld{{head: h, old: old}, nil} {
			r := wire.NewReader(bytes.NewReader(stream))
			var n int64
			var ok bool
			var err error
			if sink != nil {
				n, ok, err = Receive(r, h, a, sink)
			} else {
				n, ok, err = Receive(r, h, a, nil)
			}
			r.Release()
			if (err != nil) != wantErr || (err == nil && n != int64(len(want))) || ok != (wantOK && sink != nil) {
				t.Errorf("dropped %v: got %d bytes, %v, %v, want %d, %v, error %v", sink == nil, n, ok, err, len(want), wantOK, wantErr)
			}
			if sink != nil && !bytes.HasPrefix(sink.out, want) {
				t.Error("the contents differ")
			}
		}
	})
}

// plainReceive is Receive without any care for memory. The algorithm has no seed, so that its block digest is that of a file.
func plainReceive(p []byte, h SumHead, a *Algorithm, old []byte) (out []byte, ok, failed bool) {
	for len(p) >= 4 {
		n := int64(int32(binary.LittleEndian.Uint32(p)))
		p = p[4:]
		switch {
		case n > int64(len(p)), n < 0 && -n > int64(h.Count):
			return out, false, true
		case n > 0:
			out, p = append(out, p[:n]...), p[n:]
		case n < 0:
			off, size := h.Block(int32(-n - 1))
			out = append(out, old[off:][:size]...)
		default:
			return out, len(p) >= a.Size() && bytes.HasPrefix(p, a.Block(out, nil)), len(p) < a.Size()
		}
	}
	return out, false, true
}
