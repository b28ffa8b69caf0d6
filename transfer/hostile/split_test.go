package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// A recording is one direction of a recorded session, in fields.
type recording struct {
	name   string
	fields []field
}

// A splitter takes a recorded direction apart.
type splitter struct {
	r      *wire.Reader
	fields []field
	proto  int
	args   []string
	err    error
}

const captures = "../../testdata/captures/"

// recordings splits all sessions of a set.
func recordings(pattern string) (clients, servers []recording, err error) {
	names, err := filepath.Glob(captures + pattern + ".c2s")
	if err != nil || len(names) == 0 {
		return nil, nil, fmt.Errorf("no recordings %s: %w", pattern, err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".c2s")
		client, server, err := splitFiles(path, captures+name+".s2c")
		if err != nil {
			return nil, nil, fmt.Errorf("recording %s: %w", name, err)
		}
		clients = append(clients, recording{name, client})
		servers = append(servers, recording{name, server})
	}
	return clients, servers, nil
}

// splitFiles takes both directions of a session apart.
func splitFiles(c2s, s2c string) (client, server []field, err error) {
	said, err1 := os.ReadFile(c2s)
	answered, err2 := os.ReadFile(s2c)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	c := &splitter{r: wire.NewReader(bytes.NewReader(said))}
	s := &splitter{r: wire.NewReader(bytes.NewReader(answered))}
	c.greeting()
	s.greeting()
	c.proto = min(c.proto, s.proto)
	s.proto = c.proto
	compat := s.answer(c)
	c.client(compat)
	s.server()
	return c.fields, s.fields, errors.Join(c.err, s.err)
}
func (s *splitter) add(k kind, n int64, text string) { s.fields = append(s.fields, field{k, n, text}) }

func (s *splitter) fail(err error) bool {
	if s.err == nil && err != nil {
		s.err = err
	}
	return s.err != nil
}

func (s *splitter) line() string {
	line, err := s.r.Line(wire.MaxLine)
	if !s.fail(err) {
		s.add(kLine, 0, line)
	}
	return line
}

func (s *splitter) greeting() {
	g, err := wire.ParseGreeting(s.line())
	s.fail(err)
	s.proto = g.Proto
}

func number[T byte | uint16 | int32 | int64](s *splitter, k kind, read func() (T, error)) int64 {
	if s.err != nil {
		return 0
	}
	v, err := read()
	if !s.fail(err) {
		s.add(k, int64(v), "")
	}
	return int64(v)
}

func (s *splitter) byte() int64   { return number(s, kByte, s.r.Byte) }
func (s *splitter) short() int64  { return number(s, kShort, s.r.Short) }
func (s *splitter) int() int64    { return number(s, kInt, s.r.Int) }
func (s *splitter) varint() int64 { return number(s, kVarint, s.r.Varint) }
func (s *splitter) length() int64 {
	return number(s, kLength, func() (int64, error) { return s.r.Varlong(3) })
}
func (s *splitter) time() int64 {
	return number(s, kTime, func() (int64, error) { return s.r.Varlong(4) })
}

func (s *splitter) bytes(n int64) {
	if s.err != nil || n <= 0 {
		return
	}
	p := make([]byte, n)
	if !s.fail(s.r.Full(p)) {
		s.add(kBytes, 0, string(p))
	}
}

func (s *splitter) vstring() {
	if s.err != nil {
		return
	}
	text, err := s.r.VString(wire.MaxVString)
	if !s.fail(err) {
		s.add(kVString, 0, text)
	}
}

// startMux: messages become fields where they are met.
func (s *splitter) startMux() {
	s.add(kMux, int64(s.proto), "")
	s.r.StartMux(s.proto, func(m wire.Message) error {
		s.add(kMessage, int64(m.Tag), string(m.Data))
		return nil
	})
}

// answer reads the server's side up to the frames, and the client's arguments, on which it depends.
func (s *splitter) answer(client *splitter) (compat int64) {
	client.line() // the module
	for s.err == nil && s.line() != "@RSYNCD: OK" {
	}
	args, err := client.r.Args()
	client.fail(err)
	for _, a := range append(args, "") {
		client.add(kArgs, 0, a)
	}
	client.args = args
	compat = s.varint()
	if compat&wire.CompatVarintFlistFlags != 0 {
		s.vstring()
		client.vstring()
	}
	s.int() // the seed
	s.startMux()
	client.startMux()
	return compat
}

// has tells whether an option letter is in the cluster.
func (s *splitter) has(letter string) bool {
	cluster, _, _ := strings.Cut(s.args[1], "e")
	return strings.Contains(cluster, letter)
}

// client reads rules, list and files. Left out is what it says of directories and links: an echo of what the real daemon
// said, and ours does not.
func (s *splitter) client(compat int64) {
	if strings.Contains(strings.Join(s.args, " "), "--delete") {
		for n := s.int(); n != 0 && s.err == nil; n = s.int() {
			s.bytes(n)
		}
	}
	s.list(compat)
	s.add(kPause, 0, "")
	for {
		start := len(s.fields)
		ndx, more := s.index()
		switch {
		case !more:
			return
		case ndx < 0:
			s.add(kPause, 0, "")
		case s.attributes()&0x8000 != 0:
			s.sumHead()
			s.file()
		default:
			s.fields = s.fields[:start]
		}
	}
}

// server reads requests.
func (s *splitter) server() {
	for {
		ndx, more := s.index()
		switch {
		case !more:
			return
		case ndx == -3:
			for range 5 {
				s.varint()
			}
		case ndx < 0:
		case s.attributes()&0x8000 != 0:
			count, strong := s.sumHead()
			for ; count > 0 && s.err == nil; count-- {
				s.int()
				s.bytes(strong)
			}
		}
	}
}

func (s *splitter) index() (ndx int32, more bool) {
	if s.err != nil {
		return 0, false
	}
	ndx, err := s.r.NDX()
	if err == io.EOF || s.fail(err) {
		return 0, false
	}
	s.add(kIndex, int64(ndx), "")
	return ndx, true
}

func (s *splitter) attributes() int64 {
	iflags := s.short()
	if iflags&0x0800 != 0 {
		s.byte()
	}
	if iflags&0x1000 != 0 {
		s.vstring()
	}
	return iflags
}

func (s *splitter) sumHead() (count, strong int64) {
	count = s.int()
	s.int()
	strong = s.int()
	s.int()
	return count, strong
}

// file reads tokens and a digest of 16 bytes: xxh128 or md5.
func (s *splitter) file() {
	for t := s.int(); t != 0 && s.err == nil; t = s.int() {
		s.bytes(t)
	}
	s.bytes(16)
}

// list reads a file list and its id lists (rsync-wire.md §8).
func (s *splitter) list(compat int64) {
	form := compat&wire.CompatVarintFlistFlags != 0
	var mode int64
	for s.err == nil {
		var flags int64
		switch {
		case form:
			if flags = s.varint(); flags == 0 {
				s.varint()
			}
		default:
			if flags = s.byte(); flags&4 != 0 {
				flags |= s.byte() << 8
			}
		}
		if flags == 0 {
			break
		}
		mode = s.entry(flags, mode)
	}
	for _, who := range []string{"o", "g"} {
		for s.has(who) && s.err == nil {
			id := s.varint()
			if id == 0 && compat&wire.CompatID0Names == 0 {
				break
			}
			s.bytes(s.byte())
			if id == 0 {
				break
			}
		}
	}
}

func (s *splitter) entry(flags, mode int64) int64 {
	if flags&0x20 != 0 {
		s.byte()
	}
	n := int64(0)
	if flags&0x40 != 0 {
		n = s.varint()
	} else {
		n = s.byte()
	}
	s.bytes(n)
	s.length()
	if flags&0x80 == 0 {
		s.time()
	}
	if flags&0x2000 != 0 {
		s.varint()
	}
	if flags&2 == 0 {
		mode = s.int()
	}
	if s.has("o") && flags&8 == 0 {
		s.varint()
	}
	if s.has("g") && flags&0x10 == 0 {
		s.varint()
	}
	if mode&0o170000 == 0o120000 && s.has("l") {
		s.bytes(s.varint())
	}
	if s.has("c") && mode&0o170000 == 0o100000 {
		s.bytes(16)
	}
	return mode
}
