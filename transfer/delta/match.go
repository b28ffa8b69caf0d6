package delta

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Match sends the first size bytes of f as references to the blocks that sums describe, and data in between
// (rsync-wire.md §11.3). The tokens obey the in-place rule (§11.4). Without usable sums it is [FileSender.Whole]; a file that
// shrinks or cannot be read ends as described there.
//
// What a database leaves on disk are pages that stayed or changed where they are. So each block is first compared with
// the one at its own place, then with all others; and when the next one is unchanged at its place, the changed block is sent
// as it is. Only where two blocks in a row differ is the old content searched for byte by byte.
func (s *FileSender) Match(ctx context.Context, w *wire.Writer, f io.ReaderAt, size int64, sums *Sums) error {
	if !sums.Usable() || s.a.WholeOnly() {
		return s.Whole(ctx, w, f, size)
	}
	s.start()
	h := sums.Head
	m := matcher{
		s: s, w: w, sums: sums,
		blen: int64(h.BlockLen), full: h.Count,
		src: source{f: f, size: size}, buf: pieces.Get().(*piece),
		kept: make([]uint64, h.Count/64+1),
	}
	defer pieces.Put(m.buf)
	if h.Remainder != 0 && h.Remainder != h.BlockLen {
		m.full--
	}
	if err := m.run(ctx); err != nil {
		return err
	}
	return s.finish(w, m.src.err)
}

// matcher is the state of one file. Its window into the file, buf[:fill], begins at offset base and always holds the
// literal that is not yet sent, from lit on, and two blocks from the place where matching stands.
type matcher struct {
	s    *FileSender
	w    *wire.Writer
	sums *Sums
	blen int64
	full int32 // number of blocks of full length; one more may be shorter

	src  source
	buf  *piece
	base int64
	fill int
	lit  int64

	roll   Roll // the weak sum of the block that begins at rollAt
	rollAt int64
	next   Roll // the same for what was looked at in advance
	nextAt int64

	index *index   // made when first needed: an unchanged file needs none
	kept  []uint64 // set of the blocks that were found at their own place
	keeps bool     // kept is not empty
	want  int32    // block after the last one found, the likeliest next
	spent int64    // work of find, in bytes hashed
	vain  int64    // bytes that were searched since anything was found so
	skip  int      // how often a search was due since then
}

const (
	// find may do so much work: a multiple of the bytes passed, and something to begin with. Beyond that blocks are only
	// looked for at their own place, so that no choice of sums makes the time more than linear.
	spendFactor = 8
	spendFirst  = 16 << 20
	hashCost    = 512 // of a strong sum beside its bytes
	stepCost    = 32  // of a step in a chain
	// After patience bytes searched in vain, where the contents were not shifted but rewritten, only each sample-th block
	// is searched: what is shifted is rarely so short, and a search takes ten times as long as all else.
	patience = 16 << 20
	sample   = 8
)

func (m *matcher) run(ctx context.Context) error {
	m.rollAt, m.nextAt = -1, -1
	for o := int64(0); ; {
		if err := m.load(ctx, o); err != nil {
			return err
		}
		if m.end()-o < m.blen {
			break
		}
		block := m.own(o)
		if block == none {
			block = m.here(o)
		}
		if block == none {
			if block = m.ahead(o); block != none {
				o += m.blen
			} else {
				o, block = m.search(o)
			}
		}
		if block != none {
			m.reference(block, o)
			o += m.blen
		}
	}
	m.tail()
	return nil
}

// end is the offset behind the window.
func (m *matcher) end() int64 { return m.base + int64(m.fill) }

// at returns n bytes of the window.
func (m *matcher) at(o int64, n int64) []byte {
	i := int(o - m.base)
	return m.buf[i : i+int(n) : i+int(n)]
}

// load makes the window reach two blocks and a byte beyond o, or to the end of the file.
func (m *matcher) load(ctx context.Context, o int64) error {
	for o-m.lit >= MaxLiteral {
		m.literal(m.lit + MaxLiteral)
	}
	for m.end() <= o+2*m.blen && m.src.off < m.src.size {
		if err := stopped(ctx, m.w); err != nil {
			return err
		}
		if len(m.buf)-m.fill < readAtOnce {
			m.fill = copy(m.buf[:], m.buf[m.lit-m.base:m.fill])
			m.base = m.lit
		}
		p := m.buf[m.fill:][:min(readAtOnce, m.src.size-m.src.off)]
		p = p[:m.src.read(p)]
		m.s.file.Write(p)
		m.fill += len(p)
	}
	return nil
}

// weak returns the weak sum of the block at o and leaves it in m.roll.
func (m *matcher) weak(o int64) uint32 {
	switch o {
	case m.rollAt:
	case m.nextAt:
		m.roll = m.next
	default:
		m.roll = NewRoll(m.at(o, m.blen))
	}
	m.rollAt = o
	return m.roll.Sum()
}

// own returns the block at its own place o, if it is unchanged.
func (m *matcher) own(o int64) int32 {
	i := o / m.blen
	if o != i*m.blen || i >= int64(m.full) || m.weak(o) != m.sums.Weak[i] || !m.strongIs(o, m.blen, int32(i)) {
		return none
	}
	return int32(i)
}

// here returns any block that may be used at o.
func (m *matcher) here(o int64) int32 {
	if m.hopeless(o) {
		return none
	}
	if m.index == nil {
		m.index = newIndex(m.sums, m.full)
	}
	return m.find(o, m.weak(o))
}

// hopeless reports whether from o on all blocks are written over.
func (m *matcher) hopeless(o int64) bool {
	return !m.keeps && o > int64(m.full-1)*m.blen
}

// ahead returns the block after the one at its own place o, if that one is unchanged at its own place. Finding anything in
// between could not save a byte: what it saved before that place it would cost behind it.
func (m *matcher) ahead(o int64) int32 {
	i := o/m.blen + 1
	if o%m.blen != 0 || i >= int64(m.full) || m.end() < o+2*m.blen {
		return none
	}
	o += m.blen
	m.next, m.nextAt = NewRoll(m.at(o, m.blen)), o
	if m.next.Sum() != m.sums.Weak[i] || !m.strongIs(o, m.blen, int32(i)) {
		return none
	}
	return int32(i)
}

// strongIs reports whether the strong sum of n bytes at o is that of a block.
func (m *matcher) strongIs(o, n int64, block int32) bool {
	return bytes.Equal(m.strong(o, n), m.sums.strong(block))
}

func (m *matcher) strong(o, n int64) []byte {
	return m.s.a.Block(m.at(o, n), m.s.digest[:0])[:m.sums.Head.S2Len]
}

// search looks for the first offset behind o where any block may be used, at most up to the next place where a block can be
// unchanged. It returns where to go on and what to put there. Before it, here has looked at o.
func (m *matcher) search(o int64) (int64, int32) {
	to := min((o/m.blen+1)*m.blen, m.end()-m.blen+1) // first offset not to be looked at
	if m.hopeless(o) {
		return to, none
	}
	if m.vain > patience {
		if m.skip++; m.skip%sample != 0 {
			return to, none
		}
	}
	m.weak(o)
	m.rollAt = -1
	r := m.roll
	out, in := m.at(o, to-o-1), m.at(o+m.blen, to-o-1)
	for len(out) > 0 {
		n, hit := m.index.scan(&r, out, in)
		out, in, o = out[n:], in[n:], o+int64(n)
		m.vain += int64(n)
		m.s.searched += int64(n)
		if !hit {
			break
		}
		if block := m.find(o, r.Sum()); block != none {
			m.vain, m.skip = 0, 0
			return o, block
		}
	}
	if to+m.blen <= m.end() {
		r.Roll(m.at(to-1, 1)[0], m.at(to-1+m.blen, 1)[0])
		m.roll, m.rollAt = r, to
	}
	return to, none
}

// find returns a block that may be used at o, where the weak sum is weak.
func (m *matcher) find(o int64, weak uint32) int32 {
	if m.spent > spendFactor*o+spendFirst {
		return none
	}
	x := m.index
	var strong []byte
	steps := 0
	for p := x.head(weak); *p != none && steps < maxChain; {
		i := *p
		if m.sums.Weak[i] == weak {
			if !m.usable(i, o) {
				x.drop(p) // never again: o only grows
				continue
			}
			if strong == nil {
				strong = m.strong(o, m.blen)
				m.spent += m.blen + hashCost
			}
			if bytes.Equal(strong, m.sums.strong(i)) {
				if m.want < m.full && m.usable(m.want, o) && x.equal(m.want, i) {
					return m.want
				}
				return i
			}
		}
		p = &x.next[i]
		steps++
	}
	m.spent += stepCost * int64(steps)
	return none
}

// usable is the in-place rule: the receiver overwrites the basis while it reads it, and has come to o. A block is intact
// behind that, and also before it if it was found at its own place, so that nothing else was written there.
func (m *matcher) usable(block int32, o int64) bool {
	return int64(block)*m.blen >= o || m.kept[block>>6]>>(block&63)&1 != 0
}

// reference sends what is pending before o and then the token of a block of full length.
func (m *matcher) reference(block int32, o int64) {
	if int64(block)*m.blen == o {
		m.kept[block>>6] |= 1 << (block & 63)
		m.keeps = true
	}
	m.token(block, o, m.blen)
}

func (m *matcher) token(block int32, o, n int64) {
	m.literal(o)
	m.w.Int(blockToken(block))
	m.s.sent.Matched += n
	m.lit = o + n
	m.want = block + 1
}

// tail sends the rest, which is shorter than a block. The short last block of the basis may be what it ends with.
func (m *matcher) tail() {
	if last := m.full; last < m.sums.Head.Count {
		off, n := m.sums.Head.Block(last)
		rem := int64(n)
		if o := m.end() - rem; o >= m.lit && off >= o &&
			Weak(m.at(o, rem)) == m.sums.Weak[last] && m.strongIs(o, rem, last) {
			m.token(last, o, rem)
		}
	}
	m.literal(m.end())
}

// literal sends the pending data before to.
func (m *matcher) literal(to int64) {
	for m.lit < to {
		n := min(to-m.lit, MaxLiteral)
		b := m.w.Reserve(4 + int(n))
		binary.LittleEndian.PutUint32(b, uint32(n))
		copy(b[4:], m.at(m.lit, n))
		m.w.Commit(len(b))
		m.s.sent.Literal += n
		m.lit += n
	}
}
