package lookalike

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"os"
)

// The page of InnoDB as MariaDB writes it by default (innodb_checksum_algorithm =
// full_crc32): where its fields are, and the types of pages.
const (
	pageSize = 16 << 10

	atPageNo   = 4
	atPrev     = 8
	atNext     = 12
	atLSN      = 16
	atType     = 24
	atSpace    = 34
	atBody     = 38
	atFSPSpace = atBody      // of page 0 only, as the following
	atFSPSize  = atBody + 8  // pages
	atFSPLimit = atBody + 12 // pages
	atFSPFlags = atBody + 16

	fullCRC32  = 0x15 // flags of a table space: full_crc32, pages of 16 KiB
	noPage     = 0xffffffff
	typeHeader = 8
	typeBitmap = 5
	typeInode  = 3
	typeIndex  = 0x45bf
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A pageWriter makes pages of one table space. The same space and seed give the
// same bytes.
type pageWriter struct {
	space  uint32
	pages  uint32 // the length of the whole
	random *rand.ChaCha8
	page   [pageSize]byte
}

func newPageWriter(space, pages, seed uint32) *pageWriter {
	var key [32]byte
	binary.BigEndian.PutUint32(key[:], space)
	binary.BigEndian.PutUint32(key[4:], seed)
	return &pageWriter{space: space, pages: pages, random: rand.NewChaCha8(key)}
}

// fill makes page number no: records that no algorithm could guess, and the unused
// gap between them and the directory that most pages have. used is how many bytes
// of it are not zero.
func (w *pageWriter) fill(no uint32, kind uint16, used int) []byte {
	p := w.page[:]
	clear(p)
	w.random.Read(p[atBody:used])
	lsn := 1<<30 + w.random.Uint64()>>40
	be := binary.BigEndian
	be.PutUint32(p[atPageNo:], no)
	prev, next := no-1, no+1
	if kind != typeIndex {
		prev, next = noPage, noPage
	}
	be.PutUint32(p[atPrev:], prev)
	be.PutUint32(p[atNext:], next)
	be.PutUint64(p[atLSN:], lsn)
	be.PutUint16(p[atType:], kind)
	be.PutUint32(p[atSpace:], w.space)
	if kind == typeHeader {
		clear(p[atBody : atBody+112])
		be.PutUint32(p[atFSPSpace:], w.space)
		be.PutUint32(p[atFSPSize:], w.pages)
		be.PutUint32(p[atFSPLimit:], w.pages)
		be.PutUint32(p[atFSPFlags:], fullCRC32)
	}
	be.PutUint32(p[pageSize-8:], uint32(lsn))
	be.PutUint32(p[pageSize-4:], crc32.Checksum(p[:pageSize-4], castagnoli))
	return p
}

// kindOf is the type of page number no in a fresh table space.
func kindOf(no uint32) uint16 {
	switch no {
	case 0:
		return typeHeader
	case 1:
		return typeBitmap
	case 2:
		return typeInode
	}
	return typeIndex
}

// tableSpace is a table space of so many pages, written in full. Some pages are
// free, which means all zero.
func tableSpace(space uint32, pages int64, seed uint32) func(*os.File) error {
	return func(f *os.File) error {
		w := newPageWriter(space, uint32(pages), seed)
		buffer := make([]byte, 0, 64*pageSize)
		for no := range uint32(pages) {
			page := w.fill(no, kindOf(no), pageSize-1024)
			if no%40 == 39 {
				clear(page)
			}
			if buffer = append(buffer, page...); len(buffer) == cap(buffer) || int64(no) == pages-1 {
				if _, err := f.Write(buffer); err != nil {
					return err
				}
				buffer = buffer[:0]
			}
		}
		return nil
	}
}

// compressed is a table space as PAGE_COMPRESSED leaves it: of each page only the
// first blocks are on the disk, the rest is a hole.
func compressed(space uint32, pages int64) func(*os.File) error {
	return func(f *os.File) error {
		w := newPageWriter(space, uint32(pages), 0)
		for no := range uint32(pages) {
			page := w.fill(no, kindOf(no), 4000)
			if _, err := f.WriteAt(page[:4096], int64(no)*pageSize); err != nil {
				return err
			}
		}
		return f.Truncate(pages * pageSize)
	}
}

// redo is a redo log: a header, records for a part of it, and zeros that the server
// has written to have the room.
func redo(size int64, seed uint32) func(*os.File) error {
	return func(f *os.File) error {
		head := make([]byte, 12<<10)
		copy(head, "Phys")
		copy(head[16:], "MariaDB 10.11.19")
		return filled(head, size, size*2/3, seed)(f)
	}
}

// ariaLog begins as a log file of Aria does, with pages of 8 KiB.
func ariaLog(size int64, seed uint32) func(*os.File) error {
	return filled([]byte("\xfe\xfe\x09\x05MARIALOG"), size, size, seed)
}

// filled is a file that begins with head, goes on with random bytes up to used, and
// with written zeros up to size.
func filled(head []byte, size, used int64, seed uint32) func(*os.File) error {
	return func(f *os.File) error {
		if _, err := f.Write(head); err != nil {
			return err
		}
		random := newPageWriter(0, 0, seed).random
		piece := make([]byte, 1<<20)
		for at := int64(len(head)); at < size; {
			n := min(int64(len(piece)), size-at)
			if at < used {
				n = min(n, used-at)
				random.Read(piece[:n])
			} else {
				clear(piece)
			}
			if _, err := f.Write(piece[:n]); err != nil {
				return err
			}
			at += n
		}
		return nil
	}
}
