package lookalike

import (
	"context"
	"fmt"
	"math/bits"
	"os"
	"path"
)

// NewPlain makes a donor's data directory to measure with: bytes in table spaces of
// schemas and no odd names. With files 0 it is mixed, as real ones are: half of it is one
// table, the rest ever smaller and ever more ones down to 112 KiB. Otherwise there are so many tables,
// all of one length. There is always a system table space and a redo log, of a
// mebibyte each.
func NewPlain(ctx context.Context, dir string, bytes int64, files int) (*Datadir, error) {
	m := newMaker(dir, Owners{})
	m.file("ibdata1", Sent, 0o660, tableSpace(0, 64, 1))
	m.file("ib_logfile0", Sent, 0o660, redo(64*pageSize, 1))
	m.file("grastate.dat", Home, 0o660, func(f *os.File) error { return writeGrastate(f, formerUUID, 1) })
	for i, t := range Tables(bytes, files) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		m.table(uint32(i+1), t)
	}
	return m.done()
}

// NewEmpty makes the data directory of a joiner that has nothing but a position.
func NewEmpty(dir string) (*Datadir, error) {
	m := newMaker(dir, Owners{})
	m.file("grastate.dat", Kept, 0o660, func(f *os.File) error { return writeGrastate(f, formerUUID, 1) })
	return m.done()
}

// A Table is a table space by its name below a data directory.
type Table struct {
	Name string
	Size int64 // bytes
}

// Tables are those that NewPlain makes.
func Tables(bytes int64, files int) []Table {
	const perSchema = 1000
	var out []Table
	if files == 0 {
		return mixedTables(bytes)
	}
	for i := range files {
		out = append(out, Table{tableName(i/perSchema, i), max(bytes/int64(files), 1)})
	}
	return out
}

func tableName(schema, i int) string { return fmt.Sprintf("schema%d/table%d.ibd", schema, i) }

// mixedTables puts half of the bytes into one table, a quarter into eight, an eighth into
// sixteen and so on: many small tables beside a few that have nearly everything.
func mixedTables(bytes int64) (out []Table) {
	const schemas, least = 20, 7 * pageSize
	size, left := bytes/2, 1
	for i := 0; bytes > 0; i++ {
		if left == 0 { // the next level: half of what is left
			left = max(8, 1<<(bits.Len(uint(i))))
			size = bytes / 2 / int64(left)
		}
		size = max(size/pageSize*pageSize, least)
		n := min(size, bytes)
		out = append(out, Table{tableName(i%schemas, i), n})
		bytes -= n
		left--
	}
	return out
}

// table makes a table space, and its schema when that is new. Less than a page is the
// beginning of one.
func (m *maker) table(number uint32, t Table) {
	if schema := path.Dir(t.Name); m.fate[schema] == 0 {
		m.directory(Sent, schema)
	}
	content := tableSpace(number, t.Size/pageSize, 1)
	if t.Size < pageSize {
		content = func(f *os.File) error {
			_, err := f.Write(newPageWriter(number, 1, 1).fill(3, typeIndex, pageSize-1024)[:t.Size])
			return err
		}
	}
	m.file(t.Name, Sent, 0o660, content)
}
