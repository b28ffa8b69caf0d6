package lookalike

import (
	"cmp"
	"context"
	"fmt"
	"os"
)

// NewPlain makes a donor's data directory to measure with: bytes in table spaces of
// schemas and no odd names. With files 0 it is mixed, as real ones are: half of it is one
// table, the rest ever smaller ones down to 112 KiB. Otherwise there are so many tables,
// all of one length. There is always a system table space and a redo log, of a
// mebibyte each.
func NewPlain(ctx context.Context, dir string, bytes int64, files int) (*Datadir, error) {
	m := newMaker(dir, Owners{})
	m.file("ibdata1", Sent, 0o660, tableSpace(0, 64, 1))
	m.file("ib_logfile0", Sent, 0o660, redo(64*pageSize, 1))
	m.file("grastate.dat", Home, 0o660, func(f *os.File) error { return writeGrastate(f, formerUUID, 1) })
	if files > 0 {
		m.equalTables(ctx, bytes, files)
	} else {
		m.mixedTables(ctx, bytes)
	}
	return m.done()
}

// NewEmpty makes the data directory of a joiner that has nothing but a position.
func NewEmpty(dir string) (*Datadir, error) {
	m := newMaker(dir, Owners{})
	m.file("grastate.dat", Kept, 0o660, func(f *os.File) error { return writeGrastate(f, formerUUID, 1) })
	return m.done()
}

// schemaSize is how many tables share a schema.
const schemaSize = 1000

func (m *maker) equalTables(ctx context.Context, bytes int64, files int) {
	size := max(bytes/int64(files), 1)
	for i := 0; i < files && m.err == nil; i++ {
		m.table(ctx, fmt.Sprintf("schema%d", i/schemaSize), i, size)
	}
}

// mixedTables halves the length every eight tables, in twenty schemas.
func (m *maker) mixedTables(ctx context.Context, bytes int64) {
	const schemas, least = 20, 7 * pageSize
	size := bytes / 2
	for i := 0; bytes > 0 && m.err == nil; i++ {
		switch {
		case i == 1:
			size = bytes / 8
		case i > 1 && i%8 == 0:
			size /= 2
		}
		size = max(size/pageSize*pageSize, least)
		n := min(size, bytes)
		m.table(ctx, fmt.Sprintf("schema%d", i%schemas), i, n)
		bytes -= n
	}
}

// table makes a table space in a schema, which is made when it is new. Less than a page
// is the beginning of one.
func (m *maker) table(ctx context.Context, schema string, i int, size int64) {
	if ctx.Err() != nil {
		m.err = cmp.Or(m.err, context.Cause(ctx))
		return
	}
	if _, made := m.fate[schema]; !made {
		m.directory(Sent, schema)
	}
	content := tableSpace(uint32(i+1), size/pageSize, 1)
	if size < pageSize {
		content = func(f *os.File) error {
			_, err := f.Write(newPageWriter(uint32(i+1), 1, 1).fill(3, typeIndex, pageSize-1024)[:size])
			return err
		}
	}
	m.file(fmt.Sprintf("%s/table%d.ibd", schema, i), Sent, 0o660, content)
}
