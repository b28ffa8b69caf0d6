package flist

import (
	"fmt"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Encode writes the list: entries in the given order, the end with ioError, and the id lists where the session has them;
// users and groups name the ids that occur. It does not flush; errors of the connection stay in w.
//
// The error is about the entries: the first that cannot be sent (Entry.Check). Then nothing has been written at all.
//
// Encode does not sort. The other end numbers the entries by their sorted order, so the caller sorts them with Sort before or
// after.
func Encode(w *wire.Writer, entries []*Entry, ioError int32, o Options, users, groups map[uint32]string) error {
	for _, e := range entries {
		if err := e.check(&o); err != nil {
			return fmt.Errorf("file list: %w", err)
		}
	}
	enc := encoder{w: w, o: o}
	for _, e := range entries {
		enc.entry(e)
	}
	writeEnd(w, &o, ioError&ioErrorMask)
	if o.Owner && !o.NumericIDs {
		writeIDNames(w, &o, users)
	}
	if o.Group && !o.NumericIDs {
		writeIDNames(w, &o, groups)
	}
	return nil
}

// encoder writes one list.
type encoder struct {
	w       *wire.Writer
	o       Options
	prev    previous
	name    string // of the previous entry
	started bool
	text    []byte // scratch
}

// entry writes one entry: its flags say which fields are as before, then come the others (rsync-wire.md §8.3).
func (enc *encoder) entry(e *Entry) {
	w := enc.w
	prefix := commonPrefix(enc.name, e.Name)
	suffix := e.Name[prefix:]
	flags := enc.flags(e, prefix, len(suffix))
	writeFlags(w, &enc.o, flags, e.IsDir())

	if flags&flagSameName != 0 {
		w.Byte(byte(prefix))
	}
	if flags&flagLongName != 0 {
		w.Varint(int32(len(suffix)))
	} else {
		w.Byte(byte(len(suffix)))
	}
	enc.string(suffix)
	w.Varlong(e.Size, 3)
	if flags&flagSameTime == 0 {
		w.Varlong(e.Mtime, 4)
	}
	if flags&flagNsec != 0 {
		w.Varint(int32(e.Nsec))
	}
	if flags&flagSameMode == 0 {
		w.Int(int32(e.Mode))
	}
	if enc.o.Owner && flags&flagSameUID == 0 {
		w.Varint(int32(e.UID))
	}
	if enc.o.Group && flags&flagSameGID == 0 {
		w.Varint(int32(e.GID))
	}
	if enc.o.sendsDevice(e) {
		major, minor := enc.device(e)
		if flags&flagSameMajor == 0 {
			w.Varint(int32(major))
		}
		w.Varint(int32(minor))
	}
	if enc.o.sendsLink(e) {
		w.Varint(int32(len(e.Link)))
		enc.string(e.Link)
	}
	if enc.o.sendsSum(e) {
		w.Bytes(e.Sum)
	}
	enc.remember(e)
}

// flags says what the entry has in common with the one before.
func (enc *encoder) flags(e *Entry, prefix, suffix int) uint32 {
	var flags uint32
	set := func(bit uint32, when bool) {
		if when {
			flags |= bit
		}
	}
	set(flagTopDir, e.IsDir() && e.TopDir)
	set(flagNoContent, e.IsDir() && e.NoContent)
	set(flagSameMode, e.Mode == enc.prev.mode)
	set(flagSameTime, e.Mtime == enc.prev.mtime)
	set(flagNsec, e.Nsec != 0 && enc.o.Proto >= 31)
	// The first entry transmits its ids even when they are 0, the value both ends start from.
	set(flagSameUID, !enc.o.Owner || enc.started && e.UID == enc.prev.uid)
	set(flagSameGID, !enc.o.Group || enc.started && e.GID == enc.prev.gid)
	set(flagSameName, prefix > 0)
	set(flagLongName, suffix > 255)
	if enc.o.sendsDevice(e) {
		major, _ := enc.device(e)
		set(flagSameMajor, major == enc.prev.major)
	}
	return flags
}

// device returns the numbers to send. A FIFO or socket has none; what protocol 30 wants for it is made as short as can be.
func (enc *encoder) device(e *Entry) (major, minor uint32) {
	if e.IsSpecial() {
		return enc.prev.major, 0
	}
	return e.Major, e.Minor
}

// string writes the bytes of s without a new copy for each.
func (enc *encoder) string(s string) {
	enc.text = append(enc.text[:0], s...)
	enc.w.Bytes(enc.text)
}

func (enc *encoder) remember(e *Entry) {
	if enc.o.sendsDevice(e) {
		enc.prev.major, _ = enc.device(e)
	}
	enc.prev.mode, enc.prev.mtime = e.Mode, e.Mtime
	enc.prev.uid, enc.prev.gid = e.UID, e.GID
	enc.name, enc.started = e.Name, true
}

// commonPrefix counts the bytes a name shares with the previous one; its length travels in a byte.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b), 255)
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
