package flist

import (
	"sync/atomic"
	"unsafe"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Bounds of a list that Decode accepts when Options name none.
//
// An entry takes entryCost bytes, its name and its link target: a table space "shop_0042/order_items#P#p202611.ibd" some
// 150 bytes. (That this is so, a test measures.) A data directory of two million files, the largest we mean to carry, needs
// 290 MiB with such names and still fits with names of 140 bytes on average; beyond that the joiner says so instead of
// falling to the out-of-memory killer in the middle of a transfer. The number of entries is bounded for what else is
// reserved for each of them elsewhere in a session.
const (
	DefaultMaxEntries = 4 << 20
	DefaultMaxBytes   = 512 << 20
)

// entryCost is what an entry takes beside its name, link target and digest: the struct, the pointer in List.Entries, and
// half a pointer while the list is being sorted.
const entryCost = int64(unsafe.Sizeof(Entry{})) + int64(unsafe.Sizeof(&Entry{}))*3/2

// A Pool is memory that several lists share: those of all sessions of a transfer, which one peer may open many of. It is
// safe for concurrent use.
type Pool struct{ left atomic.Int64 }

// NewPool returns a pool of that many bytes.
func NewPool(bytes int64) *Pool {
	p := new(Pool)
	p.left.Store(bytes)
	return p
}

// poolStep is how much a list takes from its pool at a time.
const poolStep = 16 << 10

func (p *Pool) take(n int64) bool {
	if p.left.Add(-n) < 0 {
		p.left.Add(n)
		return false
	}
	return true
}

func (p *Pool) give(n int64) { p.left.Add(n) }

// Release gives the list's memory back to the pool that it was decoded from. The list must not be used any more.
func (l *List) Release() {
	if l != nil && l.pool != nil {
		l.pool.give(l.pooled)
		l.pool, l.pooled = nil, 0
	}
}

// budget counts what a list costs before the memory is taken.
type budget struct {
	entries int
	bytes   int64
	pool    *Pool // nil: none
	pooled  int64 // taken from it
	ready   int64 // of that, not used yet
}

func newBudget(o Options) budget {
	b := budget{entries: o.MaxEntries, bytes: o.MaxBytes, pool: o.Pool}
	if b.entries <= 0 {
		b.entries = DefaultMaxEntries
	}
	if b.bytes <= 0 {
		b.bytes = DefaultMaxBytes
	}
	return b
}

// entry books one entry whose name, link target and digest have n bytes together.
func (b *budget) entry(n int) error {
	if b.entries--; b.entries < 0 {
		return wire.Errorf("17.1", "the list has more entries than this side accepts")
	}
	return b.take(entryCost + int64(n))
}

// take books n bytes.
func (b *budget) take(n int64) error {
	if b.bytes -= n; b.bytes < 0 {
		return wire.Errorf("17.1", "the list needs more memory than this side gives it")
	}
	if b.pool == nil {
		return nil
	}
	for b.ready < n {
		if !b.pool.take(poolStep) {
			return wire.Errorf("17.1", "the lists of all sessions need more memory than this side gives them")
		}
		b.pooled, b.ready = b.pooled+poolStep, b.ready+poolStep
	}
	b.ready -= n
	return nil
}

// store keeps entries in blocks, and the names and link targets of a block in one string, the digests in another slice:
// millions of small allocations would cost much more memory than they hold, and the collector much time.
type store struct {
	sumLen int
	blocks [][]Entry
	open   []Entry // the block being filled; its strings are still in text
	sums   []byte  // of the block being filled
	text   []byte
	ends   []int // for every open entry: where its name ends in text, and where its link target does
	count  int
}

// Entries in a block. A list of one file should not take a large block, nor a large list many; 64 KiB is a size the
// allocator gives without waste.
const (
	firstBlock = 16
	largeBlock = int(64 << 10 / unsafe.Sizeof(Entry{}))
)

func (s *store) len() int { return s.count }

// add keeps a copy of everything.
func (s *store) add(e *Entry, name, link, sum []byte) {
	if len(s.open) == cap(s.open) {
		s.seal()
		size := largeBlock
		if len(s.blocks) == 0 {
			size = firstBlock
		}
		s.open, s.sums = make([]Entry, 0, size), make([]byte, 0, size*s.sumLen)
	}
	s.text = append(s.text, name...)
	s.ends = append(s.ends, len(s.text))
	s.text = append(s.text, link...)
	s.ends = append(s.ends, len(s.text))
	s.open = append(s.open, *e)
	if sum != nil {
		from := len(s.sums)
		s.sums = append(s.sums, sum...)
		s.open[len(s.open)-1].Sum = s.sums[from:len(s.sums):len(s.sums)]
	}
	s.count++
}

// seal turns the collected text of the open block into its entries' strings.
func (s *store) seal() {
	if len(s.open) == 0 {
		return
	}
	all, from := string(s.text), 0
	for i := range s.open {
		name, link := s.ends[2*i], s.ends[2*i+1]
		s.open[i].Name, s.open[i].Link = all[from:name], all[name:link]
		from = link
	}
	s.blocks = append(s.blocks, s.open)
	s.open, s.text, s.ends = nil, s.text[:0], s.ends[:0]
}

// pointers returns all entries in the order they were added.
func (s *store) pointers() []*Entry {
	s.seal()
	list := make([]*Entry, 0, s.count)
	for _, block := range s.blocks {
		for i := range block {
			list = append(list, &block[i])
		}
	}
	return list
}
