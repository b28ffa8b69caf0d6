package delta

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// The recordings are those of testdata/captures, whose README says how they were made and what the files held. Here the
// data half of the uncompressed ones is held against this package; the whole of all of them is read in captest.
var recordings = []struct {
	pattern string
	files   []string // in the order of the requests
}{
	{"a-delta-*", []string{"ib_lru_dump", "ibdata1", "undo001", "wsrep_sst_binlog.tar"}},
	{"x-a-delta-*", []string{"ib_lru_dump", "ibdata1", "undo001", "wsrep_sst_binlog.tar"}},
	{"b-delta-*", []string{"aria_log.00000001", "ib_logfile0", "ib_logfile1"}},
	{"x-d-delta-*", []string{"rsync_sst_complete"}},
	{"x-c-delta-noinc-*", schema},
	{"x-c-delta-md5", schema},
	{"x-c-delta-xx*", schema},
	{"x-c-delta-srv*", schema},
	{"x-c-delta-cli*", schema},
	{"e-redo-c-delta-p32", schema},
}

var schema = []string{"ib_logfile9", "odd", "t1.frm", "t1.ibd", "t2.ibd", "deep.ibd", "zero.ibd"}

// files returns what a file held at the sender, and before at the receiver.
func files(name string) (src, dst []byte) {
	size := map[string]int{
		"ib_lru_dump": 300, "ibdata1": 9000, "undo001": 1500, "wsrep_sst_binlog.tar": 64, "aria_log.00000001": 1400,
		"ib_logfile0": 2100, "ib_logfile1": 701, "odd": 10, "t1.frm": 900, "t1.ibd": 21000, "t2.ibd": 8000, "deep.ibd": 100,
	}
	src = gen(name, size[name])
	switch name {
	case "ib_logfile9":
		src = []byte("NOT excluded by */ib_logfile* (top of transfer)\n")
	case "rsync_sst_complete":
		id := "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee:"
		src, dst = []byte(id+"42 0-1-42\n"), []byte(id+"41 0-1-41\n")
	case "ibdata1":
		dst = slices.Concat(src[:2000], gen("patch", 100), src[2100:])
	case "undo001", "t1.frm", "aria_log.00000001":
		dst = src
	case "t1.ibd":
		dst = slices.Concat(src[:5000], gen("ins", 37), src[5000:20000])
	case "t2.ibd":
		dst = slices.Concat(src[:3000], src[3037:])
	case "deep.ibd":
		dst = src[:50]
	case "ib_logfile0":
		dst = slices.Concat(src[:1400], gen("p2", 700))
	}
	return src, dst
}

func TestRecordedSessions(t *testing.T) {
	for _, set := range recordings {
		names, err := filepath.Glob("../../testdata/captures/" + set.pattern + ".c2s")
		if err != nil || len(names) == 0 {
			t.Fatalf("no recordings %s: %v", set.pattern, err)
		}
		for _, name := range names {
			path := strings.TrimSuffix(name, ".c2s")
			t.Run(filepath.Base(path), func(t *testing.T) { replay(t, path, set.files) })
		}
	}
}

// replay holds requests and replies of a session against the files, with dst as the receiver's disk. A second request for
// a file is a redo.
func replay(t *testing.T, path string, names []string) {
	a, requests, replies := recorded(t, path)
	src, dst := map[int32][]byte{}, map[int32][]byte{}
	for _, q := range requests {
		_, redo := src[q.ndx]
		if !redo {
			if len(names) == 0 {
				t.Fatalf("more requests than files: %d", q.ndx)
			}
			src[q.ndx], dst[q.ndx] = files(names[0])
			names = names[1:]
		}
		old, new := dst[q.ndx], src[q.ndx]
		if plan := Plan(int64(len(old)), a.Size(), redo); plan != q.head {
			t.Errorf("file %d: the plan is %+v, rsync's was %+v", q.ndx, plan, q.head)
		}
		if sums := writeSums(t, a, bytes.NewReader(old), q.head, nil); !bytes.Equal(sums, q.raw) {
			t.Errorf("file %d: the sums are not rsync's", q.ndx)
		}
		if got := nextTransfer(t, replies, a); got.ndx != q.ndx || got.head != q.head {
			t.Fatalf("the reply is for file %d, %+v, not %d, %+v", got.ndx, got.head, q.ndx, q.head)
		}
		sink := newInPlace(old, q.head)
		n, ok, err := Receive(replies, q.head, a, sink)
		if err != nil || sink.broken {
			t.Fatalf("file %d: %v, in-place rule broken: %v", q.ndx, err, sink.broken)
		}
		dst[q.ndx] = sink.result()
		if right := bytes.Equal(sink.result(), new); ok != right || n != int64(len(sink.result())) {
			t.Errorf("file %d: received %d bytes, digest right: %v, contents right: %v", q.ndx, n, ok, right)
		}
		if ours, err := receiveMatch(t, a, must(readSums(q.raw, q.head, plenty)), old, new); err != nil {
			t.Errorf("file %d: our own reply: %v", q.ndx, err)
		} else if sum(ours.literals) > sum(sink.literals) {
			t.Errorf("file %d: we send %d bytes of data, rsync sent %d", q.ndx, sum(ours.literals), sum(sink.literals))
		}
	}
	if len(names) > 0 {
		t.Errorf("never asked for %q", names)
	}
	for ndx := range src {
		if !bytes.Equal(src[ndx], dst[ndx]) {
			t.Errorf("file %d did not become what it should", ndx)
		}
	}
}

// transfer is a request for a file, or the beginning of the reply to one (rsync-wire.md §10.1).
type transfer struct {
	ndx  int32
	head SumHead
	raw  []byte // the sums of a request
}

// recorded returns what both ends agreed on, what the receiver asked for, and the stream of replies.
func recorded(t *testing.T, path string) (a *Algorithm, requests []transfer, replies *wire.Reader) {
	c, s := reader(must(os.ReadFile(path+".c2s"))), reader(must(os.ReadFile(path+".s2c")))
	client := must(wire.ParseGreeting(must(c.Line(wire.MaxLine))))
	server := must(wire.ParseGreeting(must(s.Line(wire.MaxLine))))
	must(c.Line(wire.MaxLine)) // module
	for must(s.Line(wire.MaxLine)) != "@RSYNCD: OK" {
	}
	args := strings.Join(must(c.Args()), " ") + " "
	flags := uint32(must(s.Varint()))
	name := "md5"
	if _, choice, ok := strings.Cut(args, "--checksum-choice="); ok {
		name, _, _ = strings.Cut(choice, " ")
	} else if flags&wire.CompatVarintFlistFlags != 0 {
		theirs := strings.Fields(must(s.VString(wire.MaxNegotiation)))
		name = must(wire.ChooseName(Canonical(), strings.Fields(must(c.VString(wire.MaxNegotiation))), theirs))
	}
	a = lookup(t, name, must(s.Int()), flags&wire.CompatChksumSeedFix != 0)
	proto := min(client.Proto, server.Proto)
	c.StartMux(proto, nil)
	s.StartMux(proto, nil)
	for {
		q, ok := readTransfer(t, s, a)
		if !ok {
			break
		}
		q.raw = make([]byte, int(q.head.Count)*(4+int(q.head.S2Len)))
		if err := s.Full(q.raw); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, q)
	}
	// The file list before the first reply is not for this package. The reply is found by what it repeats of the request:
	// item flags and sum head, behind an index of one byte.
	stream, err := io.ReadAll(readerFunc(func(p []byte) (int, error) {
		b, err := c.Next(len(p))
		return copy(p, b), err
	}))
	head := written(requests[0].head.Write)
	at := bytes.Index(stream, head)
	if err != nil || at < 3 {
		t.Fatalf("no reply in the stream: %v", err)
	}
	return a, requests, reader(stream[at-3:])
}

func reader(b []byte) *wire.Reader { return wire.NewReader(bytes.NewReader(b)) }

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// readTransfer reads up to the next item with a sum head. There is none at the end.
func readTransfer(t *testing.T, r *wire.Reader, a *Algorithm) (transfer, bool) {
	for {
		ndx, err := r.NDX()
		switch {
		case err == io.EOF:
			return transfer{}, false
		case err != nil:
			t.Fatal(err)
		case ndx == -3: // statistics of deletion
			for range 5 {
				must(r.Varint())
			}
		case ndx >= 0 && must(r.Short())&0x8000 != 0:
			return transfer{ndx: ndx, head: must(ReadSumHead(r, a.Size()))}, true
		}
	}
}

func nextTransfer(t *testing.T, r *wire.Reader, a *Algorithm) transfer {
	q, ok := readTransfer(t, r, a)
	if !ok {
		t.Fatal("the replies end too early")
	}
	return q
}

// must is for recordings, which are known to be good.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
