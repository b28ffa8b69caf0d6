package sst

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"

	"wsrep_sst_rsync_tunnel/mycnf"
)

const (
	// serverMark is what stands before X.Y among the constants of mariadbd: the name of
	// the group [mysqld-X.Y], which is the very thing that is looked for. All releases
	// have it, and no other constant begins so and goes on with a version.
	serverMark = "\x00mysqld-"
	// maxSeries is the longest X.Y that is looked for.
	maxSeries = 16
	// maxProgram is how many bytes of a program are read at most. mariadbd has 6 MB of
	// constants, and 20 MB with its instructions.
	maxProgram = 256 << 20
	// programWindow is how many bytes are in memory at a time.
	programWindow = 256 << 10
)

// Of an ELF file, 64 bits and little-endian as all machines are that we run on, only the
// table of its segments is of use here. (debug/elf reads much more, and promises nothing
// for files that somebody made up.)
const (
	elfMagic        = "\x7fELF\x02\x01"
	elfHeaderSize   = 64
	elfSegmentSize  = 56
	elfLoaded       = 1 // PT_LOAD
	elfRead         = 4 // PF_R
	elfReadExecute  = 5 // PF_R, PF_X
	maxElfSegments  = 64
	elfTableAt      = 32 // where the header has the place of the table,
	elfTableEntryAt = 54 // the size of its entries,
	elfTableSizeAt  = 56 // and their number
)

// A segment is a part of a program that is loaded.
type segment struct {
	flags        uint32
	offset, size int64
}

// segmentsOf gives those of an ELF file; none of any other.
func segmentsOf(f io.ReaderAt) []segment {
	var h [elfHeaderSize]byte
	if _, err := f.ReadAt(h[:], 0); err != nil || !bytes.HasPrefix(h[:], []byte(elfMagic)) {
		return nil
	}
	at := int64(binary.LittleEndian.Uint64(h[elfTableAt:]))
	if at < 0 || binary.LittleEndian.Uint16(h[elfTableEntryAt:]) != elfSegmentSize {
		return nil
	}
	var list []segment
	table := io.NewSectionReader(f, at, maxElfSegments*elfSegmentSize)
	for range binary.LittleEndian.Uint16(h[elfTableSizeAt:]) {
		var e [elfSegmentSize]byte
		if _, err := io.ReadFull(table, e[:]); err != nil {
			return list
		}
		s := segment{binary.LittleEndian.Uint32(e[4:]), int64(binary.LittleEndian.Uint64(e[8:])), int64(binary.LittleEndian.Uint64(e[32:]))}
		if binary.LittleEndian.Uint32(e[:]) == elfLoaded && s.offset >= 0 && s.size > 0 {
			list = append(list, s)
		}
	}
	return list
}

// programSeries is the X.Y of mariadbd's program; "" for any other file, and where
// it is not certain.
func programSeries(f io.ReaderAt) string {
	segments := segmentsOf(f)
	// Constants are in a part that is neither written nor executed; with old linkers
	// among the instructions.
	left := int64(maxProgram)
	for _, flags := range []uint32{elfRead, elfReadExecute} {
		var found []string
		for _, s := range segments {
			if s.flags != flags {
				continue
			}
			n := min(s.size, left)
			left -= n
			found = append(found, marked(io.NewSectionReader(f, s.offset, n))...)
		}
		slices.Sort(found)
		if found = slices.Compact(found); len(found) > 0 {
			return only(found)
		}
	}
	return ""
}

func only(found []string) string {
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// marked gives what follows the marks in a part of a program, if it is an X.Y and
// nothing else. What cannot be read has none.
func marked(r io.Reader) (found []string) {
	const overlap = len(serverMark) + maxSeries
	window := make([]byte, programWindow)
	kept := 0
	for {
		n, err := io.ReadFull(r, window[kept:])
		data := window[:kept+n]
		for rest := data; ; {
			_, after, ok := bytes.Cut(rest, []byte(serverMark))
			if !ok {
				break
			}
			rest = after
			if end := bytes.IndexByte(after[:min(len(after), maxSeries)], 0); end > 0 {
				if s := string(after[:end]); mycnf.Series(s) == s {
					found = append(found, s)
				}
			}
		}
		if err != nil {
			return found
		}
		kept = copy(window, data[len(data)-overlap:])
	}
}
