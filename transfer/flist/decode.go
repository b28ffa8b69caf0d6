package flist

import (
	"errors"
	"fmt"
	"io"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Limits of rsync-wire.md §17.1 that wire does not have.
const (
	maxNsec     = 999_999_999
	ioErrorMask = 0x7
)

// Decode reads a file list with its end and, where the session has them, its id lists. It returns the list sorted, its
// duplicates marked, and everything checked that can be checked without a file system (rsync-wire.md §17.1, 17.2). After an
// error the connection cannot be read on; errors about the content wrap *wire.ProtocolError.
func Decode(r *wire.Reader, o Options) (*List, error) {
	l, err := DecodeUnsorted(r, o)
	if err != nil {
		return nil, err
	}
	if err := l.Settle(); err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

// DecodeUnsorted reads as Decode does, but leaves the entries in the order of transmission, and each is checked by itself
// only. It is for tools that show or replay a session; a receiver must call Settle before it believes such a list.
func DecodeUnsorted(r *wire.Reader, o Options) (*List, error) {
	d := newDecoder(r, o)
	for {
		flags, more := d.flags()
		if !more {
			break
		}
		d.entry(flags)
		if d.err != nil {
			break
		}
	}
	l := &List{IOError: d.ioError, pool: o.Pool}
	if d.err == nil && o.Owner && !o.NumericIDs {
		l.Users = d.idNames()
	}
	if d.err == nil && o.Group && !o.NumericIDs {
		l.Groups = d.idNames()
	}
	l.pooled = d.budget.pooled
	if d.err != nil {
		l.Release()
		return nil, fmt.Errorf("file list, after %d entries: %w", d.store.len(), d.err)
	}
	l.Entries = d.store.pointers()
	return l, nil
}

// decoder reads one list. The first error stays in err, and from then on every read yields zero: an entry is read straight
// through and judged at its end.
type decoder struct {
	r   *wire.Reader
	o   Options
	err error

	prev    previous
	name    []byte // the previous entry's name, in a buffer with room for the longest
	link    [wire.MaxName]byte
	sum     []byte
	ioError int32
	budget  budget
	store   store
}

// previous is what an entry may refer back to. A field that was not transmitted keeps its value (rsync-wire.md §8.3).
type previous struct {
	mode     uint32
	mtime    int64
	uid, gid uint32
	major    uint32
}

func newDecoder(r *wire.Reader, o Options) *decoder {
	return &decoder{
		r: r, o: o,
		name:   make([]byte, 0, wire.MaxName),
		sum:    make([]byte, o.SumLen),
		budget: newBudget(o),
		store:  store{sumLen: o.SumLen},
	}
}

// entry reads one entry and files it.
func (d *decoder) entry(flags uint32) {
	d.readName(flags)
	var e Entry
	e.Size = d.varlong(3)
	if flags&flagSameTime == 0 {
		d.prev.mtime = d.varlong(4)
	}
	e.Mtime = d.prev.mtime
	if flags&flagNsec != 0 {
		e.Nsec = uint32(d.varint())
	}
	if flags&flagSameMode == 0 {
		d.prev.mode = uint32(d.int())
	}
	e.Mode = d.prev.mode
	if d.o.Owner {
		if flags&flagSameUID == 0 {
			d.prev.uid = uint32(d.varint())
		}
		e.UID = d.prev.uid
	}
	if d.o.Group {
		if flags&flagSameGID == 0 {
			d.prev.gid = uint32(d.varint())
		}
		e.GID = d.prev.gid
	}
	if d.o.sendsDevice(&e) {
		if flags&flagSameMajor == 0 {
			d.prev.major = uint32(d.varint())
		}
		minor := uint32(d.varint())
		if e.IsDevice() { // what protocol 30 sends for a FIFO or socket has no meaning
			e.Major, e.Minor = d.prev.major, minor
		}
	}
	if e.IsDir() {
		e.TopDir = flags&flagTopDir != 0
		e.NoContent = flags&flagNoContent != 0
	}
	link := d.readLink(&e)
	var sum []byte
	if d.o.sendsSum(&e) {
		d.full(d.sum)
		sum = d.sum
	}
	d.file(&e, link, sum)
}

// readName replaces the tail of the previous name.
func (d *decoder) readName(flags uint32) {
	prefix := 0
	if flags&flagSameName != 0 {
		prefix = int(d.byte())
	}
	var suffix int
	if flags&flagLongName != 0 {
		suffix = int(d.varint())
	} else {
		suffix = int(d.byte())
	}
	switch {
	case d.err != nil:
	case prefix > len(d.name):
		d.err = wire.Errorf("8.3", "a name takes %d bytes from the previous one, which has %d", prefix, len(d.name))
	case suffix < 0 || prefix+suffix > wire.MaxName:
		d.err = wire.Errorf("17.1", "a name of %d bytes, the limit is %d", int64(prefix)+int64(suffix), wire.MaxName)
	default:
		d.name = d.name[:prefix+suffix]
		d.full(d.name[prefix:])
	}
}

// readLink reads the target of a symbolic link into the decoder's buffer.
func (d *decoder) readLink(e *Entry) []byte {
	if !d.o.sendsLink(e) {
		return nil
	}
	n := int(d.varint())
	if d.err != nil {
		return nil
	}
	if n < 1 || n > wire.MaxName {
		d.err = wire.Errorf("17.1", "link target of %s is %d bytes long, not 1 to %d", Quote(string(d.name)), n, wire.MaxName)
		return nil
	}
	d.full(d.link[:n])
	return d.link[:n]
}

// file judges the entry that was just read, and keeps it.
func (d *decoder) file(e *Entry, link, sum []byte) {
	if d.err == nil {
		d.err = d.judge(e, link)
	}
	if d.err == nil {
		d.err = d.budget.entry(len(d.name) + len(link) + len(sum))
	}
	if d.err == nil {
		d.store.add(e, d.name, link, sum)
	}
}

func (d *decoder) judge(e *Entry, link []byte) error {
	if err := checkName(d.name); err != nil {
		return err
	}
	if err := checkMode(d.name, e.Mode); err != nil {
		return err
	}
	switch {
	case e.Size < 0:
		return wire.Errorf("17.1", "size %d of %s is negative", e.Size, Quote(string(d.name)))
	case e.Nsec > maxNsec:
		return wire.Errorf("17.1", "%d nanoseconds of %s, the limit is %d", e.Nsec, Quote(string(d.name)), maxNsec)
	case d.o.sendsLink(e):
		return checkLink(d.name, link)
	}
	return nil
}

// The reads. An EOF is unexpected wherever it comes: the list says itself where it ends.

func (d *decoder) byte() byte {
	if d.err != nil {
		return 0
	}
	v, err := d.r.Byte()
	if err != nil {
		d.fail(err)
		return 0
	}
	return v
}

func (d *decoder) int() int32 {
	if d.err != nil {
		return 0
	}
	v, err := d.r.Int()
	if err != nil {
		d.fail(err)
		return 0
	}
	return v
}

func (d *decoder) varint() int32 {
	if d.err != nil {
		return 0
	}
	v, err := d.r.Varint()
	if err != nil {
		d.fail(err)
		return 0
	}
	return v
}

func (d *decoder) varlong(min int) int64 {
	if d.err != nil {
		return 0
	}
	v, err := d.r.Varlong(min)
	if err != nil {
		d.fail(err)
		return 0
	}
	return v
}

func (d *decoder) full(p []byte) {
	if d.err != nil {
		return
	}
	if err := d.r.Full(p); err != nil {
		d.fail(err)
	}
}

func (d *decoder) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	d.err = err
}
