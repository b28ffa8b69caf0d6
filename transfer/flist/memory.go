package flist

import (
	"unsafe"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Bounds of a list that Decode accepts when Options name none.
const (
	DefaultMaxEntries = 4 << 20
	DefaultMaxBytes   = 1 << 30
)

// entryCost is what an entry takes beside its name, link target and digest: the struct and the pointer in List.Entries.
const entryCost = int64(unsafe.Sizeof(Entry{}) + unsafe.Sizeof(&Entry{}))

// budget counts what a list costs before the memory is taken.
type budget struct {
	entries int
	bytes   int64
}

func newBudget(o Options) budget {
	b := budget{entries: o.MaxEntries, bytes: o.MaxBytes}
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
	return nil
}

// store keeps entries in blocks, and the names and link targets of a block in one string: two million small allocations
// would cost half as much memory again, and the collector much time.
type store struct {
	blocks [][]Entry
	open   []Entry // the block being filled; its strings are still in text
	text   []byte
	ends   []int // for every open entry: where its name ends in text, and where its link target does
	count  int
}

// A list of one file should not take a large block, nor a large list many.
const (
	firstBlock = 16
	largeBlock = 512
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
		s.open = make([]Entry, 0, size)
	}
	s.text = append(s.text, name...)
	s.ends = append(s.ends, len(s.text))
	s.text = append(s.text, link...)
	s.ends = append(s.ends, len(s.text))
	s.open = append(s.open, *e)
	if sum != nil {
		s.open[len(s.open)-1].Sum = append([]byte(nil), sum...)
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
