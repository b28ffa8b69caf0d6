package flist

import (
	"maps"
	"slices"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// nameCost is what a map entry takes beside the name itself, generously.
const nameCost = 64

// idNames reads one id list (rsync-wire.md §8.5). Ids without a name do not appear in the map.
func (d *decoder) idNames() map[uint32]string {
	names := make(map[uint32]string)
	for {
		id := uint32(d.varint())
		if d.err != nil || id == 0 && !d.o.ID0Names {
			return names
		}
		name := d.idName()
		if d.err != nil {
			return nil
		}
		if _, known := names[id]; !known && name != "" {
			names[id] = name
		}
		if id == 0 {
			return names
		}
	}
}

func (d *decoder) idName() string {
	n := int(d.byte())
	if d.err == nil {
		// Every item is booked, also one that says an id twice, so the list ends one day.
		d.err = d.budget.take(nameCost + int64(n))
	}
	var buf [wire.MaxOwner]byte
	d.full(buf[:n])
	name := string(buf[:n])
	if d.err == nil && strings.IndexByte(name, 0) >= 0 {
		d.err = wire.Errorf("8.5", "owner name %s contains a NUL byte", Quote(name))
	}
	return name
}

// writeIDNames writes one id list, in the order of the ids. A name that cannot travel (empty, over 255 bytes) is left out:
// the receiver then keeps the number.
func writeIDNames(w *wire.Writer, o *Options, names map[uint32]string) {
	for _, id := range slices.Sorted(maps.Keys(names)) {
		if name := names[id]; id != 0 && fits(name) {
			w.Varint(int32(id))
			writeIDName(w, name)
		}
	}
	w.Varint(0)
	if o.ID0Names {
		name := names[0]
		if !fits(name) {
			name = ""
		}
		writeIDName(w, name)
	}
}

func fits(name string) bool {
	return name != "" && len(name) <= wire.MaxOwner && strings.IndexByte(name, 0) < 0
}

func writeIDName(w *wire.Writer, name string) {
	w.Byte(byte(len(name)))
	w.Bytes([]byte(name))
}
