package flist

// The seven file types of a mode word, in Linux numbering, which is what travels whatever the host (rsync-wire.md §8.3).
const (
	TypeMask    = 0o170000
	TypeFIFO    = 0o010000
	TypeChar    = 0o020000
	TypeDir     = 0o040000
	TypeBlock   = 0o060000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000
	TypeSocket  = 0o140000
)

// Root is the name of the entry that stands for the transfer's root directory.
const Root = "."

// Entry is one file of the list.
type Entry struct {
	Name string // path relative to the root of the transfer: raw bytes, "/" between components, none in front; Root for the root
	Size int64  // bytes; only of a regular file has it a meaning, a receiver ignores it for all others

	Mtime int64  // seconds since 1970, may be negative
	Nsec  uint32 // 0..999999999; does not travel below protocol 31

	Mode         uint32 // type and permission bits, Linux numbering
	UID, GID     uint32 // the sender's numbers; List.Users and List.Groups may name them
	Major, Minor uint32 // of a device
	Link         string // target of a symbolic link, raw bytes
	Sum          []byte // digest of the whole file, with Options.SumLen > 0

	TopDir    bool // directory: a root of the transfer
	NoContent bool // directory: listed without its contents, so nothing in it may be deleted (rsync-wire.md §15.1)

	// Cleared marks a duplicate of another entry (rsync-wire.md §8.7). It keeps its index, and that is all it is good for:
	// it is not to be created, requested or sent.
	Cleared bool
}

// IsDir tells a directory.
func (e *Entry) IsDir() bool { return e.Mode&TypeMask == TypeDir }

// IsRegular tells a regular file.
func (e *Entry) IsRegular() bool { return e.Mode&TypeMask == TypeRegular }

// IsSymlink tells a symbolic link.
func (e *Entry) IsSymlink() bool { return e.Mode&TypeMask == TypeSymlink }

// IsSpecial tells a FIFO or a socket.
func (e *Entry) IsSpecial() bool {
	return e.Mode&TypeMask == TypeFIFO || e.Mode&TypeMask == TypeSocket
}

// IsDevice tells a character or block device.
func (e *Entry) IsDevice() bool {
	return e.Mode&TypeMask == TypeChar || e.Mode&TypeMask == TypeBlock
}

// Options are what the session has agreed on, as far as it shapes the list. Both ends must hold the same.
type Options struct {
	Proto       int  // 30..32
	VarintFlags bool // compat flag 0x080: flags are varints (form A), else one or two bytes (form B)
	SafeFlist   bool // compat flag 0x008: the end of the list may carry an I/O error; implied from protocol 31 on
	ID0Names    bool // compat flag 0x100: the id lists end with the name of id 0

	Owner, Group bool // -o, -g: ids travel
	Links        bool // -l: targets of symbolic links travel
	Devices      bool // -D: device numbers travel
	Specials     bool // --specials (or -D)
	NumericIDs   bool // --numeric-ids: no id lists

	SumLen int // bytes of a digest for every regular file; > 0 with --checksum

	// Bounds for Decode; 0 means DefaultMaxEntries, DefaultMaxBytes.
	MaxEntries int
	MaxBytes   int64
	// Pool is what the memory comes from besides; nil: from nowhere.
	Pool *Pool
}

// safeEnd says whether the list's end can carry an I/O error.
func (o *Options) safeEnd() bool { return o.SafeFlist || o.Proto >= 31 }

// sendsDevice says whether device numbers follow for an entry of this mode (rsync-wire.md §8.3): of devices with -D, and, a
// relic up to protocol 30, of FIFOs and sockets with --specials.
func (o *Options) sendsDevice(e *Entry) bool {
	return o.Devices && e.IsDevice() || o.Specials && o.Proto < 31 && e.IsSpecial()
}

// sendsSum says whether a digest follows for an entry of this mode.
func (o *Options) sendsSum(e *Entry) bool { return o.SumLen > 0 && e.IsRegular() }

// sendsLink says whether a link target follows for an entry of this mode.
func (o *Options) sendsLink(e *Entry) bool { return o.Links && e.IsSymlink() }
