package sst

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// What a donor reads fills the page cache, and takes it from those who live there. So
// parts of files that were not cached before are given back after they were read. Files
// that will be read again under the lock are an exception, as long as memory is ample: what
// is in the cache then is read many times faster. They are given back when all is over.

// cachePart is the unit of giving back.
const cachePart = 1 << 20

// A coldMap knows which parts of a file were not in the page cache.
type coldMap struct {
	size int64
	all  bool
	bits []uint64
}

func (m *coldMap) cold(part int64) bool {
	return m.all || part/64 < int64(len(m.bits)) && m.bits[part/64]&(1<<(part%64)) != 0
}

// end is where a part ends.
func (m *coldMap) end(part int64) int64 { return min((part+1)*cachePart, m.size) }

// lookCold looks at a file that nobody has read yet on our behalf. A file that cannot be
// asked about counts as cached: nothing of it is given back.
func lookCold(fd int, size int64) *coldMap {
	m := &coldMap{size: size}
	cached, ok := cachedPages(fd, 0, size)
	if ok && cached == 0 {
		m.all = true
		return m
	}
	page := int64(os.Getpagesize())
	if ok && (size <= cachePart || cached >= uint64((size+page-1)/page)) {
		return m // as one part, or all of it was cached
	}
	parts := (size + cachePart - 1) / cachePart
	m.bits = make([]uint64, (parts+63)/64)
	for part := range parts {
		if ok {
			cached, ok = cachedPages(fd, part*cachePart, m.end(part)-part*cachePart)
		}
		if !ok {
			return m.lookMapped(fd)
		}
		if cached == 0 {
			m.bits[part/64] |= 1 << (part % 64)
		}
	}
	return m
}

// sysCachestat is the same on all architectures (Linux 6.5).
const sysCachestat = 451

// cachedPages asks cachestat(2) for a range.
func cachedPages(fd int, off, n int64) (pages uint64, ok bool) {
	if n <= 0 {
		return 0, false
	}
	ask := struct{ off, n uint64 }{uint64(off), uint64(n)}
	var got struct{ cache, dirty, writeback, evicted, recently uint64 }
	_, _, errno := unix.Syscall6(sysCachestat, uintptr(fd), uintptr(unsafe.Pointer(&ask)), uintptr(unsafe.Pointer(&got)), 0, 0, 0)
	return got.cache, errno == 0
}

// mapWindow is how much of a file is mapped at a time.
const mapWindow = 64 << 20

// lookMapped does the same by mincore(2), on older kernels.
func (m *coldMap) lookMapped(fd int) *coldMap {
	clear(m.bits)
	page := int64(os.Getpagesize())
	vec := make([]byte, mapWindow/page)
	for off := int64(0); off < m.size; off += mapWindow {
		n := min(mapWindow, m.size-off)
		b, err := unix.Mmap(fd, off, int(n), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return m
		}
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(n), uintptr(unsafe.Pointer(&vec[0])))
		unix.Munmap(b)
		if errno != 0 {
			return m
		}
		m.mark(off, n, page, vec)
	}
	return m
}

func (m *coldMap) mark(off, n, page int64, vec []byte) {
	for at := int64(0); at < n; at += cachePart {
		cold := true
		for i := at / page; i < (min(at+cachePart, n)+page-1)/page; i++ {
			cold = cold && vec[i]&1 == 0
		}
		if part := (off + at) / cachePart; cold {
			m.bits[part/64] |= 1 << (part % 64)
		}
	}
}

// A pageCache gives back what was read.
type pageCache struct {
	mu   sync.Mutex
	kept map[string]*coldMap // files, by path, of which nothing has been given back yet
	gave map[string]bool     // those of which something has
	room int64               // bytes that may still be kept
	most int64               // the limit of our cgroup, 0 if there is none
	drop func(fd int, off, n int64)
}

// newPageCache: limit is that of our cgroup's memory, 0 for none.
func newPageCache(limit int64) *pageCache {
	return &pageCache{kept: map[string]*coldMap{}, gave: map[string]bool{}, most: limit, drop: dontNeed}
}

// warmAge: a file that was changed within that time, or may be mapped, will most likely be
// read again under the lock, where the server writes out what it has of it.
const warmAge = 10 * time.Minute

func dontNeed(fd int, off, n int64) { _ = unix.Fadvise(fd, off, n, unix.FADV_DONTNEED) }

// keepShare is the part of the memory available that may be used for what is read
// again under the lock.
const keepShare = 4

// refill sets how much may be kept, as memory is now.
func (c *pageCache) refill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	memory := memoryAvailable()
	if c.most > 0 {
		memory = min(memory, c.most)
	}
	c.room = memory / keepShare
	for _, m := range c.kept {
		c.room -= m.size
	}
}

// memoryAvailable is the kernel's guess, 0 if it makes none.
func memoryAvailable() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}

// memoryCgroup is the cgroup that counts a process's memory, by its /proc/PID/cgroup: a path
// that begins with the controller's folder in version 1. "" if it cannot be told.
func memoryCgroup(proc string) (name string) {
	text, err := os.ReadFile(proc)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "memory":
			return path.Join("/memory", parts[2])
		case parts[0] == "0":
			name = path.Clean("/" + parts[2])
		}
	}
	return name
}

// cgroupMemory is the limit of a cgroup by its name; 0 if there is none, or none that can be
// seen.
func cgroupMemory(name, sys string) int64 {
	if name == "" {
		return 0
	}
	for _, file := range []string{"memory.limit_in_bytes", "memory.max"} {
		b, err := os.ReadFile(filepath.Join(sys, name, file))
		if err != nil {
			continue
		}
		// Without a limit the one says max, the other nearly 2^63.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n < 1<<60 {
			return n
		}
	}
	return 0
}

// cacheApart is how much the page cache may grow where our cgroup is not mariadbd's: who
// gives us one of our own wants us small.
const cacheApart = 32 << 20

// cacheLimit is the memory of which a share may be kept, 0 if nothing limits it but the host.
func cacheLimit(server int) int64 {
	own, its := memoryCgroup("/proc/self/cgroup"), memoryCgroup(fmt.Sprintf("/proc/%d/cgroup", server))
	limit := cgroupMemory(own, "/sys/fs/cgroup")
	if own != "" && its != "" && own != its {
		return min(cmp.Or(limit, cacheApart*keepShare), cacheApart*keepShare)
	}
	return limit
}

// wrap makes a file whose parts are given back as they are read; with keep, only when
// all is over.
func (c *pageCache) wrap(path string, s ext.Source, keep bool) ext.Source {
	f, ok := s.(onDisk)
	if !ok || f.Size() == 0 {
		return s
	}
	c.mu.Lock()
	m := c.kept[path]
	c.mu.Unlock()
	if m != nil {
		return s
	}
	m = lookCold(f.Descriptor(), f.Size())
	if !m.all && m.bits == nil {
		return s // all of it was cached
	}
	if keep && c.keep(path, m) {
		return s
	}
	c.mu.Lock()
	c.gave[path] = true
	c.mu.Unlock()
	return coldFile{s, f.Descriptor(), m, c.drop}
}

// gone is the length of those of the files that would have to come from the disk again.
func (c *pageCache) gone(files []*counted) (n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range files {
		if c.gave[f.path()] {
			n += f.stamp.Size
		}
	}
	return n
}

func (c *pageCache) keep(path string, m *coldMap) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.size > c.room {
		return false
	}
	c.room -= m.size
	c.kept[path] = m
	delete(c.gave, path)
	return true
}

// giveBack gives back what was kept.
func (c *pageCache) giveBack() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, m := range c.kept {
		f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // gone
		}
		for part := int64(0); part*cachePart < m.size; part++ {
			if m.cold(part) {
				c.drop(int(f.Fd()), part*cachePart, m.end(part)-part*cachePart)
			}
		}
		f.Close()
	}
	clear(c.kept)
}

// onDisk is a file of the file system.
type onDisk interface {
	Descriptor() int // until it is closed
	Size() int64     // when it was opened
}

// A coldFile gives back what was read of it.
type coldFile struct {
	ext.Source
	fd   int
	cold *coldMap
	drop func(fd int, off, n int64)
}

// ReadAt implements io.ReaderAt. A part is given back when its end has been read.
func (f coldFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.Source.ReadAt(p, off)
	for part := off / cachePart; part*cachePart < off+int64(n); part++ {
		if end := f.cold.end(part); f.cold.cold(part) && end <= off+int64(n) {
			from := part
			for from > 0 && part-from < foldedParts && f.cold.cold(from-1) {
				from--
			}
			f.drop(f.fd, from*cachePart, end-from*cachePart)
		}
	}
	return n, err
}

// foldedParts are given back once more with the next one: the kernel keeps pages in folios of up
// to 2 MiB, and drops none that lies in part outside the range.
const foldedParts = 2

// What is not in the page cache is asked for before its turn: the disk then works at
// several places at once, and while we hash and encrypt. Under the lock that is what the
// server wrote past the page cache since the last round, a page here and a page there,
// each of which would be waited for.
const (
	ownerAhead = 8 << 20
	guestAhead = 1 << 20 // a guest must not fill the queue of a slow disk
	aheadPart  = 1 << 20 // the kernel takes no more at a time
	// aheadFrom: whoever reads a file in parts begins at a multiple of this.
	aheadFrom = 32 << 20
)

// readAhead makes a file that is asked for as far ahead. A small one is read at once
// anyway.
func readAhead(s ext.Source, window int64) ext.Source {
	f, ok := s.(onDisk)
	if !ok || f.Size() <= aheadPart {
		return s
	}
	return aheadFile{s, f, window}
}

type aheadFile struct {
	ext.Source
	onDisk
	window int64
}

// ReadAt implements io.ReaderAt.
func (f aheadFile) ReadAt(p []byte, off int64) (int, error) {
	if off%aheadFrom == 0 {
		for at := off; at < off+f.window; at += aheadPart {
			f.ask(at, aheadPart)
		}
	}
	// Not beyond the next of these: it may be another's, who has given it back by now.
	if at := off + f.window; at/aheadFrom == off/aheadFrom {
		f.ask(at, int64(len(p)))
	}
	return f.Source.ReadAt(p, off)
}

// ask is a wish only.
func (f aheadFile) ask(off, n int64) {
	if off < f.Size() {
		_ = unix.Fadvise(f.Descriptor(), off, n, unix.FADV_WILLNEED)
	}
}
