package ext

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"github.com/zeebo/xxh3"

	"wsrep_sst_rsync_tunnel/transfer"
)

// Memory is the digests of what the joiner has, in blocks of 16 KiB, by root and name. Both ends
// keep one. It holds up to 32 MiB of digests (32 GiB of files) itself and the rest in an
// unlinked temporary file.
//
// It describes the path at the joiner, so it stays valid when the donor's file is dropped and
// made again under the name. The donor must forget what left its list, since the
// joiner then removes it: Keep does that. On the joiner a file that somebody else changed
// (the rsync sessions, say) is noticed by its stamp and forgotten.
type Memory struct {
	mu     sync.Mutex
	hasher hasher
	total  *xxh3.Hasher
	roots  [256]map[string]*memFile
	count  int
	names  int // bytes

	limit    int64 // bytes of digests in memory
	used     int64
	resident []*chunk // in memory, oldest first; entries may be outdated
	spill    spill
	err      error // of the temporary file; sticky
}

const (
	maxFiles     = 4 << 20
	maxNames     = 256 << 20 // bytes of all names
	memoryLimit  = 32 << 20
	chunkDigests = 256 // of one chunk: 4 MiB of a file, 4 KiB of the temporary file
)

// A memFile is what is known of one file. Its fields are the Memory's to guard.
type memFile struct {
	name  string
	root  uint8
	first chunk            // the first 4 MiB: most files have no more
	more  map[int64]*chunk // by number
	// stamp describes the joiner's file when we last closed it; joiner only.
	stamp    transfer.Stat
	hasStamp bool
}

// A chunk is the digests of 4 MiB.
type chunk struct {
	d      []digest // nil when it is not in memory
	slot   int64    // in the temporary file, plus one; 0: none
	size   int      // digests in the slot
	dirty  bool     // d differs from the slot
	queued bool     // in resident
}

// NewMemory makes an empty one; tmpdir is where the temporary file goes, "" is the
// system's directory for such.
func NewMemory(tmpdir string) *Memory {
	m := &Memory{limit: memoryLimit, spill: spill{dir: tmpdir}}
	m.setSeed(rand.Uint64())
	return m
}

// Reserve makes the temporary file now: a process that is about to give up its rights
// could not later.
func (m *Memory) Reserve() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.spill.open()
}

func (m *Memory) setSeed(seed uint64) {
	m.hasher = newHasher(seed)
	m.total = xxh3.NewSeed(seed)
}

// adopt makes this the memory of a sender with the given seed: digests with
// another say nothing.
func (m *Memory) adopt(seed uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hasher.seed == seed {
		return
	}
	m.forgetWhere(func(uint8, string) bool { return true })
	m.setSeed(seed)
}

func (m *Memory) hash() hasher {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasher
}

// Forget forgets one file.
func (m *Memory) Forget(root uint8, name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.roots[root][name]; f != nil {
		m.clear(f, 0)
		f.hasStamp = false
	}
}

// Keep forgets all files for which keep is false.
func (m *Memory) Keep(keep func(root uint8, name string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetWhere(func(root uint8, name string) bool { return !keep(root, name) })
}

func (m *Memory) forgetWhere(gone func(root uint8, name string) bool) {
	for root, files := range m.roots {
		for name, f := range files {
			if gone(uint8(root), name) {
				m.clear(f, 0)
				delete(files, name)
				m.count, m.names = m.count-1, m.names-len(name)
			}
		}
	}
}

// Known says whether anything is known of a file.
func (m *Memory) Known(root uint8, name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.roots[root][name]
	return f != nil && f.known()
}

func (f *memFile) known() bool { return f.first.d != nil || f.first.slot > 0 || len(f.more) > 0 }

func (m *Memory) known(f *memFile) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.known()
}

// Same says whether the joiner has this block of a file, as far as is known. off is a multiple of
// [BlockSize], the block no longer than that.
func (m *Memory) Same(root uint8, name string, off int64, block []byte) bool {
	m.mu.Lock()
	f := m.roots[root][name]
	m.mu.Unlock()
	if f == nil {
		return false
	}
	var was [1]digest
	m.get(f, off/blockSize, was[:])
	return len(block) == 0 || was[0] == m.hash().sum(block)
}

// Close gives the temporary file back.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forgetWhere(func(uint8, string) bool { return true })
	m.resident = nil
	if m.err == nil {
		m.err = os.ErrClosed
	}
	return m.spill.close()
}

// failure is why digests have been lost.
func (m *Memory) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

var errTooMany = errors.New("too many files, or their names are too long: the limits are 4 Mi files and 256 MiB of names")

// file gives the entry of a file, made if need be.
func (m *Memory) file(root uint8, name []byte) (*memFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.roots[root][string(name)]; f != nil {
		return f, nil
	}
	if m.count >= maxFiles || m.names+len(name) > maxNames {
		return nil, errTooMany
	}
	if m.roots[root] == nil {
		m.roots[root] = map[string]*memFile{}
	}
	f := &memFile{name: string(name), root: root}
	m.roots[root][f.name] = f
	m.count, m.names = m.count+1, m.names+len(name)
	return f, nil
}

// get copies the digests from block first on to out.
func (m *Memory) get(f *memFile, first int64, out []digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(out)
	m.each(f, first, len(out), false, func(d []digest, at, i, n int) {
		if at < len(d) {
			copy(out[i:i+n], d[at:])
		}
	})
}

// set notes digests from block first on.
func (m *Memory) set(f *memFile, first int64, in []digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(f, first, len(in), true, func(d []digest, at, i, n int) { copy(d[at:at+n], in[i:]) })
}

// setZero notes n blocks of zeros.
func (m *Memory) setZero(f *memFile, first int64, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(f, first, n, true, func(d []digest, at, _, n int) {
		for i := range n {
			d[at+i] = m.hasher.zero
		}
	})
}

// forget makes n blocks unknown.
func (m *Memory) forget(f *memFile, first int64, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.each(f, first, n, true, func(d []digest, at, _, n int) { clear(d[at : at+n]) })
}

// each calls do for the pieces of [first, first+n) in their chunks: n digests
// of d at index at, which are those from i on. To write, d reaches that far.
func (m *Memory) each(f *memFile, first int64, n int, write bool, do func(d []digest, at, i, n int)) {
	for i := 0; i < n; {
		at := int(first % chunkDigests)
		step := min(chunkDigests-at, n-i)
		if c := m.chunk(f, first/chunkDigests, write); c != nil {
			m.load(c)
			if write {
				m.grow(c, at+step)
				c.dirty = true
			}
			do(c.d, at, i, step)
		}
		i, first = i+step, first+int64(step)
	}
	m.shrink()
}

func (m *Memory) chunk(f *memFile, number int64, make bool) *chunk {
	if number == 0 {
		return &f.first
	}
	c := f.more[number]
	if c == nil && make {
		if f.more == nil {
			f.more = map[int64]*chunk{}
		}
		c = &chunk{}
		f.more[number] = c
	}
	return c
}

// grow makes c hold n digests.
func (m *Memory) grow(c *chunk, n int) {
	if n <= len(c.d) {
		return
	}
	if n > cap(c.d) {
		size := n
		if len(c.d) > 0 || n == maxBlocks {
			size = chunkDigests // it is the first of a long one, most likely
		}
		d := make([]digest, len(c.d), size)
		m.used += int64(size-cap(c.d)) * int64(len(digest{}))
		copy(d, c.d)
		c.d = d
	}
	c.d = c.d[:n]
	m.enqueue(c)
}

// clear forgets what is known of f from block keep on.
func (m *Memory) clear(f *memFile, keep int64) {
	cut := func(number int64, c *chunk) (gone bool) {
		left := keep - number*chunkDigests
		switch {
		case left >= chunkDigests:
		case left <= 0:
			m.drop(c)
			return true
		default:
			m.load(c)
			if int64(len(c.d)) > left {
				clear(c.d[left:])
				c.d, c.dirty = c.d[:left], true
			}
		}
		return false
	}
	cut(0, &f.first) // which stays in its place
	for number, c := range f.more {
		if cut(number, c) {
			delete(f.more, number)
		}
	}
}

// cut forgets what is behind the first n blocks.
func (m *Memory) cut(f *memFile, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clear(f, n)
	m.shrink()
}

// whole is the digest of the first n blocks of f, and whether all are known.
func (m *Memory) whole(f *memFile, n int64) (digest, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total.Reset()
	for number := int64(0); n > 0; number++ {
		step := min(n, chunkDigests)
		n -= step
		c := m.chunk(f, number, false)
		if c == nil {
			return digest{}, false
		}
		m.load(c)
		if int64(len(c.d)) < step {
			return digest{}, false
		}
		for _, d := range c.d[:step] {
			if d == (digest{}) {
				return digest{}, false
			}
		}
		if number == 0 && n == 0 {
			return m.hasher.of(c.d[:step]), true
		}
		m.total.Write(bytesOf(c.d[:step]))
		m.shrink()
	}
	return digest(m.total.Sum128().Bytes()), true
}

func (m *Memory) stamp(f *memFile) (transfer.Stat, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f.stamp, f.hasStamp
}

func (m *Memory) setStamp(f *memFile, st transfer.Stat) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.stamp, f.hasStamp = st, true
}

// enqueue puts a chunk that came into memory behind the others.
func (m *Memory) enqueue(c *chunk) {
	if !c.queued {
		c.queued = true
		m.resident = append(m.resident, c)
	}
}

// shrink moves the chunks that are in memory longest to the temporary file, until
// those left are within the limit.
func (m *Memory) shrink() {
	for m.used > m.limit && len(m.resident) > 1 {
		c := m.resident[0]
		m.resident = m.resident[1:]
		c.queued = false
		if c.d == nil {
			continue
		}
		if c.dirty {
			m.note(m.spill.write(c))
			c.dirty = false
		}
		m.used -= int64(cap(c.d)) * int64(len(digest{}))
		c.d = nil
	}
}

func (m *Memory) load(c *chunk) {
	if c.d != nil || c.slot == 0 {
		return
	}
	c.d = make([]digest, c.size)
	m.used += int64(c.size) * int64(len(digest{}))
	if err := m.spill.read(c); err != nil {
		m.note(err)
		clear(c.d)
	}
	m.enqueue(c)
}

// drop frees what c holds.
func (m *Memory) drop(c *chunk) {
	m.used -= int64(cap(c.d)) * int64(len(digest{}))
	m.spill.free(c)
	c.d, c.size, c.dirty = nil, 0, false
}

// note keeps the first error of the temporary file. What is lost by it is unknown,
// which is safe; but on the joiner it cannot be verified any more.
func (m *Memory) note(err error) {
	if err != nil && m.err == nil {
		m.err = fmt.Errorf("temporary file for digests: %w", err)
	}
}
