package captest

import (
	"bytes"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Reserved indices (rsync-wire.md §6.3).
const (
	done     = -1
	listsEnd = -2
	delStats = -3
	sublist  = -101
)

const transfer = 0x8000

// reply is one file as it was sent.
type reply struct {
	iflags  uint16
	content string
	ok      bool // its digest is right
}

// clientStream reads everything behind the file list: replies, further lists, and the goodbye. It returns the number of
// NDX_DONE.
func (s *session) clientStream() (dones int) {
	c := s.c
	for {
		ndx, more := c.ndx()
		switch {
		case !more:
			return dones
		case ndx == done:
			dones++
		case ndx == listsEnd && s.incremental != nil:
			s.incremental.eof++
		case ndx <= sublist && s.incremental != nil:
			s.incremental.list(s.incremental.dirs[sublist-ndx])
		case ndx >= 0:
			r := reply{iflags: s.attributes(c)}
			if r.iflags&transfer != 0 {
				s.body(ndx, &r)
			}
			s.replies[ndx] = append(s.replies[ndx], r)
		default:
			s.t.Fatalf("index %d", ndx)
		}
	}
}

// attributes reads what follows an index in both directions (rsync-wire.md §10.1).
func (s *session) attributes(d *direction) uint16 {
	iflags := d.short()
	if iflags&0x0800 != 0 {
		d.byte()
	}
	if iflags&0x1000 != 0 {
		d.vstring(wire.MaxName)
	}
	return iflags
}

// body reads a file: as tokens, and a second time with delta.Receive, which must come to the same. It is written again from
// its contents if there was nothing to match, otherwise token by token.
func (s *session) body(ndx int32, r *reply) {
	c, name := s.c, s.entry(ndx).Name
	head, err := delta.ReadSumHead(c.r, s.clientSum.Size())
	c.must(err)
	head.Write(c.w)

	basis := s.basis(ndx, len(s.replies[ndx]))
	if head.Count > 0 && basis == "" {
		s.t.Fatalf("%q: references to an old file that the README does not describe", name)
	}
	tokens, content := s.tokens(head, basis)
	body := newDirection(s.t, name, tokens)
	sink := &memory{head: head, basis: basis}
	n, ok, err := delta.Receive(body.r, head, s.clientSum, sink)
	body.must(err)
	r.content, r.ok = content, ok
	if sink.String() != content || n != int64(len(content)) {
		s.t.Errorf("%q: delta.Receive makes %d bytes of it, not these %d", name, sink.Len(), len(content))
	}
	if head.Count == 0 && ok {
		sender := delta.NewFileSender(s.clientSum)
		c.must(sender.Whole(s.t.Context(), c.w, strings.NewReader(content), n))
	} else {
		c.w.Bytes(tokens)
	}
	want, known := source()[s.key(name)]
	if !known {
		s.t.Errorf("%q: the README does not describe its contents", name)
	}
	if ok != (content == want) {
		s.t.Errorf("%q: digest right: %v, contents right: %v", name, ok, content == want)
	}
}

// tokens reads the tokens of one file and its digest, and returns them as they were and what they make.
func (s *session) tokens(head delta.SumHead, basis string) (tokens []byte, content string) {
	var made strings.Builder
	again := newDirection(s.t, "tokens", nil)
	for {
		n, err := delta.ReadToken(s.c.r)
		s.c.must(err)
		again.w.Int(n)
		if n == 0 {
			break
		}
		if n < 0 {
			off, size := head.Block(delta.TokenBlock(n))
			made.WriteString(basis[off:][:size])
			continue
		}
		literal := make([]byte, n)
		s.c.must(s.c.r.Full(literal))
		again.w.Bytes(literal)
		made.Write(literal)
	}
	digest := make([]byte, s.clientSum.Size())
	s.c.must(s.c.r.Full(digest))
	again.w.Bytes(digest)
	again.flush()
	return again.out.Bytes(), made.String()
}

// basis is what the receiver had when it asked for a file for the n-th time: the second time, what the first had left.
func (s *session) basis(ndx int32, n int) string {
	if n > 0 {
		return s.replies[ndx][n-1].content
	}
	return destination()[s.key(s.entry(ndx).Name)]
}

// memory is a delta.Sink.
type memory struct {
	bytes.Buffer
	head  delta.SumHead
	basis string
}

func (m *memory) Literal(p []byte) error { _, err := m.Write(p); return err }

func (m *memory) Copy(block int32) ([]byte, error) {
	off, n := m.head.Block(block)
	p := []byte(m.basis[off:][:n])
	_, err := m.Write(p)
	return p, err
}

// serverStream reads the requests. It returns the number of NDX_DONE.
func (s *session) serverStream() (dones int) {
	asked := make(map[int32]int)
	for {
		ndx, more := s.s.ndx()
		switch {
		case !more:
			return dones
		case ndx == done:
			dones++
		case ndx == delStats:
			for range 5 {
				s.s.varint()
			}
		case ndx >= 0:
			s.entry(ndx)
			iflags := s.attributes(s.s)
			if iflags&transfer != 0 {
				s.request(ndx, asked[ndx])
			}
			if answers := s.replies[ndx]; asked[ndx] < len(answers) && answers[asked[ndx]].iflags != iflags {
				s.t.Errorf("index %d: asked with %#x, answered with %#x", ndx, iflags, answers[asked[ndx]].iflags)
			}
			asked[ndx]++
		default:
			s.t.Fatalf("index %d", ndx)
		}
	}
}

// request reads the sums of an old file. Head and sums are written again from the file itself.
func (s *session) request(ndx int32, n int) {
	name := s.entry(ndx).Name
	head, err := delta.ReadSumHead(s.s.r, s.serverSum.Size())
	s.s.must(err)
	_, err = delta.ReadSums(s.s.r, head, 1<<20)
	s.s.must(err)
	if head.Count == 0 {
		head.Write(s.s.w)
		return
	}
	basis := s.basis(ndx, n)
	if plan := delta.Plan(int64(len(basis)), s.serverSum.Size(), n > 0); plan != head {
		s.t.Errorf("%q: blocks %+v, we would make %+v", name, head, plan)
	}
	head.Write(s.s.w)
	s.s.must(delta.WriteSums(s.t.Context(), s.s.w, head, s.serverSum, strings.NewReader(basis)))
}
