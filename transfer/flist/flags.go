package flist

import "wsrep_sst_rsync_tunnel/transfer/wire"

// Flags in front of an entry (rsync-wire.md §8.2). Some bits mean different things for different types.
const (
	flagTopDir    = 0x0001 // directories; elsewhere a filler
	flagSameMode  = 0x0002
	flagExtended  = 0x0004 // form B: a second byte follows; form A: stands for "no flag at all"
	flagSameUID   = 0x0008
	flagSameGID   = 0x0010
	flagSameName  = 0x0020 // a prefix of the previous name is taken over
	flagLongName  = 0x0040
	flagSameTime  = 0x0080
	flagNoContent = 0x0100 // directories
	flagSameMajor = 0x0100 // devices and specials
	flagUserName  = 0x0400 // incremental recursion only
	flagGroupName = 0x0800 // incremental recursion only
	flagNsec      = 0x2000

	flagHardLinked   = 0x0200 // -H only
	flagHardFirst    = 0x1000 // -H only
	flagSameAtime    = 0x4000 // -U only
	flagCrtimeEqual  = 0x20000
	flagsUnderstood  = 0x01ff | flagNsec
	flagsEndWithFail = flagExtended | flagHardFirst // form B: the list ends, an I/O error follows
)

// writeFlags writes the flags of an entry in the form the session uses.
func writeFlags(w *wire.Writer, o *Options, flags uint32, dir bool) {
	switch {
	case o.VarintFlags && flags == 0:
		w.Varint(flagExtended)
	case o.VarintFlags:
		w.Varint(int32(flags))
	case flags == 0 && !dir:
		w.Byte(flagTopDir) // a zero byte would end the list
	case flags == 0 || flags > 0xff:
		w.Short(uint16(flags | flagExtended))
	default:
		w.Byte(byte(flags))
	}
}

// writeEnd ends the list (rsync-wire.md §8.4).
func writeEnd(w *wire.Writer, o *Options, ioError int32) {
	if ioError != 0 && !o.safeEnd() {
		// rsync 3.0.0 to 3.0.6 have no room for the error in the list; they take it as a message at any time.
		_ = w.MessageInt(wire.IOError, ioError) // a failure of the connection stays in w
		ioError = 0
	}
	switch {
	case o.VarintFlags:
		w.Varint(0)
		w.Varint(ioError)
	case ioError != 0:
		w.Short(flagsEndWithFail)
		w.Varint(ioError)
	default:
		w.Byte(0)
	}
}

// flags reads the flags of the next entry; at the list's end it takes the I/O error in and returns more = false.
func (d *decoder) flags() (flags uint32, more bool) {
	if d.o.VarintFlags {
		flags = uint32(d.varint())
		if flags == 0 {
			d.ioError |= d.varint() & ioErrorMask
			return 0, false
		}
	} else {
		flags = uint32(d.byte())
		if flags == 0 {
			return 0, false
		}
		if flags&flagExtended != 0 {
			flags |= uint32(d.byte()) << 8
		}
		if flags == flagsEndWithFail && d.o.safeEnd() {
			d.ioError |= d.varint() & ioErrorMask
			return 0, false
		}
	}
	if d.err == nil {
		d.err = refuseFlags(flags, &d.o)
	}
	return flags, d.err == nil
}

// refuseFlags refuses what would make us misread the rest of the list: each of these bits changes the entry's layout, or
// may do so in a version we do not know.
func refuseFlags(flags uint32, o *Options) error {
	switch {
	case flags == flagsEndWithFail && !o.VarintFlags:
		return wire.Errorf("8.4", "the file list ends with an I/O error in a form that was not agreed on")
	case flags&(flagHardLinked|flagHardFirst) != 0:
		return wire.Errorf("8.3", "file list entry flags %#x: a hard link, which was not agreed on", flags)
	case flags&(flagUserName|flagGroupName) != 0:
		return wire.Errorf("8.2", "file list entry flags %#x: owner names inside an entry belong to incremental recursion, which was not agreed on", flags)
	case flags&(flagSameAtime|flagCrtimeEqual) != 0:
		return wire.Errorf("8.2", "file list entry flags %#x: access or creation times, which were not agreed on", flags)
	case flags&flagNsec != 0 && o.Proto < 31:
		return wire.Errorf("8.2", "file list entry flags %#x: nanoseconds do not exist in protocol %d", flags, o.Proto)
	case flags&^flagsUnderstood != 0:
		return wire.Errorf("8.2", "file list entry flags %#x: unknown bits %#x", flags, flags&^flagsUnderstood)
	}
	return nil
}
