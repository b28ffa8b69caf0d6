package hostile

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// A fiend is a joiner that means harm, behind the handshake of a real one.
type fiend struct {
	t       *testing.T
	conn    *net.TCPConn
	r       *wire.Reader
	w       *wire.Writer
	list    *flist.List
	dir     string // of the donor
	said    strings.Builder
	noSends int
}

const cannotBeRead = "the secret of another program\n"

// A trick is what a joiner does with a donor. want is in the donor's error; "" means that it goes well.
type trick struct {
	name string
	do   func(f *fiend)
	raw  func(f *fiend) // instead: from the first byte on
	want string
}

// meet plays an honest daemon up to the end of the donor's list.
func (f *fiend) meet(compat int32, sums string) {
	f.w.Line("@RSYNCD: 32.0 sha512 md5")
	f.flush()
	f.line()
	f.line()
	f.w.Line("@RSYNCD: OK")
	f.flush()
	_, err := f.r.Args()
	f.must(err)
	f.w.Varint(compat)
	f.w.VString(sums)
	f.w.Int(1)
	f.flush()
	_, err = f.r.VString(255)
	f.must(err)
	f.w.StartMux(32)
	f.r.StartMux(32, func(m wire.Message) error {
		if m.Tag == wire.NoSend {
			f.noSends++
		}
		return nil
	})
	f.list, err = flist.Decode(f.r, flist.Options{Proto: 32, VarintFlags: true, SafeFlist: true, ID0Names: true, Links: true})
	f.must(err)
}

const honest = wire.CompatSymlinkTimes | wire.CompatSafeFlist | wire.CompatChksumSeedFix | wire.CompatVarintFlistFlags | wire.CompatID0Names

func (f *fiend) line() string {
	s, err := f.r.Line(5120)
	f.must(err)
	return s
}

func (f *fiend) must(err error) {
	if err != nil {
		f.t.Error(err)
		panic(errStop)
	}
}

var errStop = errors.New("the trick did not get as far as it should")

// flush sends; that the donor has hung up is no failure.
func (f *fiend) flush() { _ = f.w.Flush() }

// find is the number of a file in the donor's list.
func (f *fiend) find(name string) int32 {
	i, ok := f.list.Find(name)
	if !ok {
		f.t.Fatalf("%s is not in the list", name)
	}
	return int32(i)
}

// ask asks for a file.
func (f *fiend) ask(ndx int32, head ...int32) {
	f.w.NDX(ndx)
	f.w.Short(0x8000)
	for _, n := range append(head, make([]int32, 4-min(4, len(head)))...) {
		f.w.Int(n)
	}
}

// hear keeps all that the donor says, to its end.
func (f *fiend) hear() {
	f.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	for f.said.Len() < 1<<20 {
		p, err := f.r.Next(1 << 16)
		if err != nil {
			return
		}
		f.said.Write(p)
	}
	io.Copy(io.Discard, f.conn)
}

// bytes goes around everything.
func (f *fiend) bytes(s string) { _, _ = f.conn.Write([]byte(s)) }

// message is a frame of any kind.
func (f *fiend) message(tag byte, payload string) {
	n := len(payload)
	f.bytes(string([]byte{byte(n), byte(n >> 8), byte(n >> 16), tag + 7}) + payload)
}

func tricks() (out []trick) {
	add := func(name, want string, do func(f *fiend)) { out = append(out, trick{name: name, want: want, do: do}) }
	raw := func(name, want string, do func(f *fiend)) { out = append(out, trick{name: name, want: want, raw: do}) }

	// What it may ask for.
	for what, ndx := range map[string]int32{"that is not in the list": 1000, "number 2^31-1": 1<<31 - 1, "of a negative number": -7, "of a further list": -101} {
		add("request for a file "+what, "file number", func(f *fiend) { f.ask(ndx) })
	}
	add("request for a directory", "not a regular file", func(f *fiend) { f.ask(f.find("db")) })
	add("request for a link to another's file", "not a regular file", func(f *fiend) { f.ask(f.find("link")) })
	add("request for a file that has become a link to another's", "could not be read", func(f *fiend) {
		f.must(os.Remove(filepath.Join(f.dir, "db/turned.ibd")))
		f.must(os.Symlink("../../outside/canary", filepath.Join(f.dir, "db/turned.ibd")))
		f.ask(f.find("db/turned.ibd"))
		f.finish()
	})
	add("request for a file below what has become a link", "could not be read", func(f *fiend) {
		f.must(os.Rename(filepath.Join(f.dir, "db"), filepath.Join(f.dir, "gone")))
		f.must(os.Symlink("../outside", filepath.Join(f.dir, "db")))
		f.ask(f.find("db/canary"))
		f.finish()
	})
	add("request for a file that has become a FIFO", "could not be read", func(f *fiend) {
		f.must(os.Remove(filepath.Join(f.dir, "db/turned.ibd")))
		f.must(mkfifo(filepath.Join(f.dir, "db/turned.ibd")))
		f.ask(f.find("db/turned.ibd"))
		f.finish()
	})
	add("request that names another file as basis", "", func(f *fiend) {
		// The name is echoed and never opened.
		f.w.NDX(f.find("db/t.ibd"))
		f.w.Short(0x9800 | 0x8000)
		f.w.Byte(0x83)
		f.w.VString("/etc/passwd")
		for range 4 {
			f.w.Int(0)
		}
		f.finish()
	})
	add("request with a name that is too long", "string of 4096 bytes", func(f *fiend) {
		f.w.NDX(f.find("db/t.ibd"))
		f.w.Short(0x9000)
		f.w.VString(strings.Repeat("x", 4096))
	})

	// Numbers.
	for what, head := range map[string][]int32{
		"with a negative count": {-1, 700, 2, 0}, "with blocks of no length": {1, 0, 2, 0}, "with a negative length": {1, -700, 2, 0},
		"with blocks that are too long": {1, 131073, 2, 0}, "with digests longer than there are": {1, 700, 17, 0}, "with digests of 2 GiB": {1, 700, 1<<31 - 1, 0},
		"with a negative digest": {1, 700, -1, 0}, "with a last block longer than a block": {1, 700, 2, 701}, "with a negative last block": {1, 700, 2, -1},
	} {
		add("sum head "+what, "17.1", func(f *fiend) { f.ask(f.find("db/t.ibd"), head...) })
	}
	add("sums of 2^31 blocks that do not come", "unexpected EOF", func(f *fiend) { f.ask(f.find("db/t.ibd"), 1<<31-1, 1, 16, 0) })
	add("sums of a million blocks for a small file, which come", "", func(f *fiend) {
		f.ask(f.find("db/t.ibd"), 1<<20, 700, 16, 0)
		f.w.Bytes(make([]byte, 20<<20))
		f.finish()
	})
	add("sums of many blocks for each of many files, again and again", "again and again", func(f *fiend) {
		for range 3 {
			for i := range 200 {
				f.ask(f.find("many")+1+int32(i), 8000, 700, 16, 0)
				f.w.Bytes(make([]byte, 8000*20))
			}
		}
	})
	add("sums that all look alike", "", func(f *fiend) {
		// The weak sum of a block of zeros is 0: each offset of the file matches it, and no strong sum does.
		f.ask(f.find("db/zeros.ibd"), 5000, 700, 16, 0)
		f.w.Bytes(slices.Repeat([]byte("\x00\x00\x00\x000123456789abcdef"), 5000))
		f.finish()
	})
	add("digests of no length", "", func(f *fiend) {
		f.ask(f.find("db/t.ibd"), 30, 700, 0, 0)
		f.w.Bytes(make([]byte, 120))
		f.finish()
	})

	// Without end.
	add("the same request again and again", "again and again", func(f *fiend) {
		for range 100_000 {
			f.ask(f.find("db/t.ibd"))
		}
	})
	add("the same note again and again", "again and again", func(f *fiend) {
		for range 100_000 {
			f.w.NDX(f.find("db"))
			f.w.Short(0x2000)
		}
	})
	add("counts of what it deleted again and again", "without end", func(f *fiend) {
		for range 100_000 {
			f.w.NDX(-3)
			for range 5 {
				f.w.Varint(1 << 28)
			}
		}
	})
	add("texts without end", "", func(f *fiend) {
		for range 20_000 {
			f.message(3, "lies\x1b[2J\nand more lies")
		}
		f.finish()
	})
	add("errors without end", "not transferred", func(f *fiend) {
		for range 20_000 {
			f.message(1, strings.Repeat("lies", 200))
		}
		f.finish()
	})
	add("deletions without end", "", func(f *fiend) {
		for range 20_000 {
			f.message(101, "../../etc/passwd\x00")
		}
		f.finish()
	})
	add("signs of life and nothing else", "EOF", func(f *fiend) {
		for range 100_000 {
			f.message(0, "")
		}
	})
	out = append(out, trick{name: "never reading, and living on", want: "has taken nothing", raw: func(f *fiend) {
		f.meet(honest, "xxh128 md5")
		for i, e := range f.list.Entries {
			if e.IsRegular() {
				f.ask(int32(i))
			}
		}
		f.flush()
		tick := time.NewTicker(silence / 5)
		defer tick.Stop()
		for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); <-tick.C {
			if _, err := f.conn.Write([]byte{0, 0, 0, 7}); err != nil {
				return
			}
		}
		f.t.Error("the donor waits for ever")
	}})
	raw("silence", "nothing sent or received", func(f *fiend) { f.hear() })
	raw("texts of the day without end", "without end", func(f *fiend) {
		f.w.Line("@RSYNCD: 32.0 md5")
		for range 100_000 {
			f.w.Line("hello")
		}
		f.flush()
	})
	raw("a line without end", "line", func(f *fiend) { f.bytes("@RSYNCD: 32.0 " + strings.Repeat("md5 ", 1<<18)) })

	// Words.
	for text, want := range map[string]string{
		"@RSYNCD: 29.0": "protocol", "SSH-2.0-x": "greeting", "@ERROR: go away \x1b[2J": "go away", "@RSYNCD: 41.0 md5": "protocol",
	} {
		raw("greeting "+text, want, func(f *fiend) { f.bytes(text + "\n") })
	}
	for text, want := range map[string]string{
		"@RSYNCD: AUTHREQD abc": "password", "@RSYNCD: EXIT": "ended the session", "@ERROR: \x1b[2J": "refused",
	} {
		raw("answer "+text, want, func(f *fiend) { f.bytes("@RSYNCD: 32.0 md5\n" + text + "\n") })
	}
	setup := func(name, want string, then func(f *fiend)) {
		raw(name, want, func(f *fiend) {
			f.bytes("@RSYNCD: 32.0 md5\n@RSYNCD: OK\n")
			then(f)
			f.flush()
		})
	}
	setup("incremental recursion that was not asked for", "not asked for", func(f *fiend) { f.w.Varint(honest | wire.CompatIncRecurse) })
	setup("a checksum that nobody has", "common", func(f *fiend) { f.w.Varint(honest); f.w.VString("rot13"); f.w.Int(1) })
	setup("names of checksums without end", "255", func(f *fiend) { f.w.Varint(honest); f.w.VString(strings.Repeat("md5 ", 8000)) })
	setup("flags of more than 32 bits", "varint", func(f *fiend) { f.bytes("\xff\xff\xff\xff\xff\xff") })

	// Frames.
	num := "\x01\x00\x00\x00"
	for what, c := range map[string]struct {
		tag           byte
		payload, want string
	}{
		"of no kind": {9, "", "unknown message"}, "of an inner kind": {10, num, "unknown message"}, "that is too long": {2, strings.Repeat("x", 5200), "bytes"},
		"IO_TIMEOUT of 2 bytes": {33, "ab", "bytes"}, "ERROR_EXIT of 3 bytes": {86, "abc", "bytes"}, "NO_SEND of nothing": {102, "", "bytes"},
		"DELETED of nothing": {101, "", "bytes"}, "SUCCESS of 5 bytes": {100, "abcde", "bytes"}, "that it is all over": {86, num, "gave up"},
	} {
		add("message "+what, c.want, func(f *fiend) { f.flush(); f.message(c.tag, c.payload) })
	}
	for what, n := range map[string]string{"of a moment": "\x00\x00\x00\x00", "of ages": "\xff\xff\xff\x7f", "of less than nothing": "\xff\xff\xff\xff"} {
		add("time-out "+what, "", func(f *fiend) { f.message(33, n); f.finish() })
	}
	add("header that is none", "header", func(f *fiend) { f.bytes("\x00\x00\x00\x00") })
	add("the end before anything", "", func(f *fiend) { f.finish() })
	add("more after the end", "", func(f *fiend) { f.finish(); f.ask(0); f.flush() })
	add("a request between the goodbyes", "14.1", func(f *fiend) {
		for range 3 {
			f.w.NDX(-1)
		}
		f.ask(f.find("db/t.ibd"))
		f.w.NDX(-1)
		f.w.NDX(-1)
	})
	return out
}

// finish says all that a daemon says at the end.
func (f *fiend) finish() {
	for range 5 {
		f.w.NDX(-1)
	}
	f.flush()
}

func TestMaliciousJoiners(t *testing.T) {
	all := tricks()
	if len(all) < 55 {
		t.Fatalf("only %d tricks", len(all))
	}
	for _, tr := range some(all) {
		t.Run(tr.name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			data := filepath.Join(top, "data")
			for name, size := range map[string]int{"db/t.ibd": 20_000, "db/turned.ibd": 100, "db/canary": 10, "db/zeros.ibd": 3 << 20, "db/large.ibd": 64 << 20} {
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(data, name)), 0o755))
				must(t, os.WriteFile(filepath.Join(data, name), nil, 0o640))
				must(t, os.Truncate(filepath.Join(data, name), int64(size)))
			}
			must(t, os.Mkdir(filepath.Join(data, "many"), 0o755))
			for i := range 200 {
				must(t, os.WriteFile(filepath.Join(data, "many", string(rune('a'+i/26))+string(rune('a'+i%26))), []byte("x"), 0o640))
			}
			must(t, os.Mkdir(filepath.Join(top, "outside"), 0o755))
			must(t, os.WriteFile(filepath.Join(top, "outside/canary"), []byte(cannotBeRead), 0o640))
			must(t, os.Symlink("../outside/canary", filepath.Join(data, "link")))

			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			v := startVictim(t, "donor", data, l.Addr().String())
			conn, err := l.Accept()
			must(t, err)
			f := &fiend{t: t, conn: conn.(*net.TCPConn), r: wire.NewReader(conn), w: wire.NewWriter(conn), dir: data}
			f.play(tr)
			conn.Close()
			rep := v.end()
			got := rep.Errors[0]
			if tr.want == "" && got != "" || !strings.Contains(got, tr.want) {
				t.Errorf("it ends with %q, want %q", got, tr.want)
			}
			if strings.Contains(f.said.String(), cannotBeRead[:10]) {
				t.Error("it sent what is outside")
			}
			if b, err := os.ReadFile(filepath.Join(top, "outside/canary")); err != nil || string(b) != cannotBeRead {
				t.Errorf("the file outside: %q, %v", b, err)
			}
		})
	}
}

// play does the trick while all that comes is heard, and waits for the donor to hang up.
func (f *fiend) play(tr trick) {
	defer func() {
		if e := recover(); e != nil && e != errStop {
			panic(e)
		}
	}()
	f.conn.SetDeadline(time.Now().Add(40 * time.Second))
	if tr.raw != nil {
		tr.raw(f)
		f.conn.CloseWrite()
		io.Copy(io.Discard, f.conn)
		return
	}
	f.meet(honest, "xxh128 md5")
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		f.hear()
	}()
	tr.do(f)
	f.flush()
	f.conn.CloseWrite()
	<-heard
}
