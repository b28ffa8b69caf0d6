package captest

import (
	"path"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/transfer/flist"
)

// incremental reads the lists of sessions with incremental recursion, which our engine does not speak (rsync-wire.md §9).
// They differ from the one list we speak only in that they are cut in parts and that names of owners ride in the entries.
// So the parts are put together without those names into plain, which is the list the same client would have sent without
// incremental recursion and with --numeric-ids; and that one must be understood and written again by flist.
type incremental struct {
	s     *session
	o     flist.Options
	plain *direction // only its writing side is used
	prev  flist.Entry
	dirs  []*flist.Entry // the directory table of rsync-wire.md §9.2
	next  int32          // start of the next list
	eof   int            // how often the end of all lists was announced
	fails int32          // I/O errors of all lists
	all   []*flist.Entry // of all lists, in the order of transmission
}

func newIncremental(s *session) *incremental {
	o := s.listOptions()
	o.NumericIDs = true
	return &incremental{s: s, o: o, plain: newDirection(s.t, "the list put together", nil), next: 1}
}

// list reads one part, the contents of dir.
func (in *incremental) list(dir *flist.Entry) {
	l := &list{start: in.next, dir: dir}
	for {
		flags, more := in.flags()
		if !more {
			break
		}
		e := in.entry(flags)
		if dir != nil && path.Dir(e.Name) != dir.Name {
			in.s.t.Errorf("%q stands in the list of %q", e.Name, dir.Name)
		}
		l.entries = append(l.entries, e)
	}
	in.all = append(in.all, l.entries...)
	flist.Sort(l.entries)
	for _, e := range l.entries {
		if e.IsDir() {
			in.dirs = append(in.dirs, e)
		}
	}
	in.next += int32(len(l.entries)) + 1
	in.s.addList(l)
}

func (in *incremental) flags() (flags uint32, more bool) {
	c := in.s.c
	if in.o.VarintFlags {
		if flags = uint32(c.varint()); flags == 0 {
			in.fails |= c.varint()
		}
		return flags &^ 4, flags != 0
	}
	if flags = uint32(c.byte()); flags&4 != 0 {
		flags |= uint32(c.byte()) << 8
	}
	if flags == 0x1004 {
		in.fails |= c.varint()
		return 0, false
	}
	return flags &^ 4, flags != 0
}

// entry reads one entry by rsync-wire.md §8.3, independently of flist, and appends it to plain.
func (in *incremental) entry(flags uint32) *flist.Entry {
	c, p, e := in.s.c, &in.prev, &flist.Entry{}
	if flags&(0x1200|0x4000|0x20000) != 0 {
		in.s.t.Fatalf("entry flags %#x", flags)
	}
	from := in.mark() // behind the flags
	prefix := 0
	if flags&0x20 != 0 {
		prefix = int(c.byte())
	}
	n := 0
	if flags&0x40 != 0 {
		n = int(c.varint())
	} else {
		n = int(c.byte())
	}
	p.Name = p.Name[:prefix] + string(c.bytes(n))
	e.Name = p.Name
	e.Size = c.varlong(3)
	if flags&0x80 == 0 {
		p.Mtime = c.varlong(4)
	}
	e.Mtime = p.Mtime
	if flags&0x2000 != 0 {
		e.Nsec = uint32(c.varint())
	}
	if flags&2 == 0 {
		p.Mode = uint32(c.int())
	}
	e.Mode = p.Mode
	body := in.since(from)
	if in.o.Owner && flags&8 == 0 {
		body = append(body, in.owner(&p.UID, flags&0x400 != 0)...)
	}
	if in.o.Group && flags&16 == 0 {
		body = append(body, in.owner(&p.GID, flags&0x800 != 0)...)
	}
	e.UID, e.GID = p.UID, p.GID
	from = in.mark()
	if e.IsDevice() || e.IsSpecial() && in.o.Proto < 31 {
		in.s.t.Fatalf("%q: the captures have no devices", e.Name)
	}
	if in.o.Links && e.IsSymlink() {
		e.Link = string(c.bytes(int(c.varint())))
	}
	if in.o.SumLen > 0 && e.IsRegular() {
		e.Sum = c.bytes(in.o.SumLen)
	}
	body = append(body, in.since(from)...)
	if e.IsDir() {
		e.TopDir, e.NoContent = flags&1 != 0, flags&0x100 != 0
	}
	in.append(flags&^0xc00, e.IsDir(), body)
	return e
}

// owner reads an id with its name and returns the bytes of the id alone.
func (in *incremental) owner(id *uint32, named bool) []byte {
	from := in.mark()
	*id = uint32(in.s.c.varint())
	bytes := in.since(from)
	if named {
		in.s.c.bytes(int(in.s.c.byte()))
	}
	return bytes
}

// mark is the place that has been reached.
func (in *incremental) mark() int {
	in.s.c.flush()
	return in.s.c.out.Len()
}

// since returns a copy of what was written again since a mark.
func (in *incremental) since(from int) []byte {
	in.s.c.flush()
	return append([]byte(nil), in.s.c.out.Bytes()[from:]...)
}

// append puts an entry with these flags into plain, by the two forms of rsync-wire.md §8.2.
func (in *incremental) append(flags uint32, dir bool, body []byte) {
	w := in.plain.w
	switch {
	case in.o.VarintFlags && flags == 0:
		w.Varint(4)
	case in.o.VarintFlags:
		w.Varint(int32(flags))
	case flags == 0 && !dir:
		w.Byte(1)
	case flags == 0 || flags > 0xff:
		w.Short(uint16(flags | 4))
	default:
		w.Byte(byte(flags))
	}
	w.Bytes(body)
}

// end lets flist understand the list put together and write it again.
func (in *incremental) end() {
	w := in.plain.w
	switch {
	case in.o.VarintFlags:
		w.Varint(0)
		w.Varint(in.fails)
	case in.fails != 0:
		w.Short(0x1004)
		w.Varint(in.fails)
	default:
		w.Byte(0)
	}
	in.plain.flush()
	stream := in.plain.out.Bytes()

	again := newDirection(in.s.t, "the list put together", stream)
	l, err := flist.DecodeUnsorted(again.r, in.o)
	again.must(err)
	if diff := cmp.Diff(in.all, l.Entries); diff != "" {
		in.s.t.Errorf("flist reads the entries otherwise (-plainly +flist):\n%s", diff)
	}
	again.must(flist.Encode(again.w, l.Entries, l.IOError, in.o, nil, nil))
	again.end(in.o.Proto)
	again.must(l.Settle())
	in.s.checkList(l)
}
