package ext

import (
	"encoding/binary"
	"fmt"
	"strings"

	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Frames, as docs/own-protocol.md describes them: a header of 8 bytes (type, flags, two
// zero bytes, length of the body), then the body. From donor to joiner whole frames
// come in batches.
const (
	frameOpen    = 1 // donor to joiner
	frameFile    = 2
	frameData    = 3
	frameZero    = 4
	frameSums    = 5
	frameCommit  = 6
	frameRelease = 7
	frameFail    = 8 // both ways

	frameAck      = 16 // joiner to donor
	frameBlocks   = 17
	frameMismatch = 18
	frameRefused  = 19
)

const (
	flagZstd    = 1 // DATA: the payload is compressed
	flagAbandon = 1 // RELEASE: the file will not be committed
	flagLast    = 1 // BLOCKS: the answer is complete
	flagAckNow  = 1 // batch: acknowledge when it is done
)

// version is that of the frames, in OPEN. The capability ranges/1 in the hello
// promises this one.
const version = 1

const (
	headSize  = 8
	maxData   = 256 << 10 // content in one DATA
	maxBlocks = maxData / blockSize

	dataHead = headSize + 32
	fileHead = headSize + 24
	// batchSize bounds a batch: a full DATA and what announces its file fit.
	batchSize = maxData + dataHead + fileHead + wire.MaxName + 2*maxOwner
	maxOwner  = 255

	maxRange   = 64 << 20 // of SUMS and ZERO
	maxSums    = 2048     // digests in one BLOCKS
	maxReason  = 900
	maxHandle  = 4 << 20
	maxHandles = 256 // on one connection at a time
	maxSlots   = 16
	maxSize    = 1 << 60 // of a file; sums of two do not overflow
)

// The largest body of each frame that the joiner sends.
var answerLimit = map[byte]int{
	frameAck: 8, frameBlocks: 8 + maxSums*16, frameMismatch: 4, frameRefused: 4 + maxReason, frameFail: maxReason,
}

type frame struct {
	kind, flags byte
	body        []byte
}

var le = binary.LittleEndian

func putHead(p []byte, kind, flags byte, body int) {
	p[0], p[1], p[2], p[3] = kind, flags, 0, 0
	le.PutUint32(p[4:], uint32(body))
}

func appendHead(b []byte, kind, flags byte, body int) []byte {
	b = append(b, kind, flags, 0, 0)
	return le.AppendUint32(b, uint32(body))
}

func malformed(format string, a ...any) error {
	return &FatalError{Err: fmt.Errorf("the other side broke the protocol of streams: "+format, a...)}
}

// nextFrame splits the first frame off a batch.
func nextFrame(b []byte) (frame, []byte, error) {
	if len(b) < headSize {
		return frame{}, nil, malformed("%d bytes are no frame", len(b))
	}
	n := le.Uint32(b[4:])
	if b[2] != 0 || b[3] != 0 || uint64(n) > uint64(len(b)-headSize) {
		return frame{}, nil, malformed("frame of type %d with %d bytes, %d are left", b[0], n, len(b)-headSize)
	}
	end := headSize + int(n)
	return frame{kind: b[0], flags: b[1], body: b[headSize:end:end]}, b[end:], nil
}

// want checks length and flags of a frame.
func (f frame) want(least, most int, flags byte) error {
	if len(f.body) < least || len(f.body) > most || f.flags&^flags != 0 {
		return malformed("frame of type %d with %d bytes and flags %#x", f.kind, len(f.body), f.flags)
	}
	return nil
}

// OPEN begins a stream.
type open struct {
	version uint32
	sender  uint64 // random: a second sender takes the place of the first
	seed    uint64 // of the digests
	slot    uint8  // a stream takes the place of the one before it in its slot
}

func (o open) append(b []byte) []byte {
	b = appendHead(b, frameOpen, 0, 24)
	b = le.AppendUint32(b, o.version)
	b = le.AppendUint64(b, o.sender)
	b = le.AppendUint64(b, o.seed)
	return append(b, o.slot, 0, 0, 0)
}

func parseOpen(f frame) (open, error) {
	if f.kind != frameOpen {
		return open{}, malformed("a stream that begins with a frame of type %d", f.kind)
	}
	if err := f.want(24, 24, 0); err != nil {
		return open{}, err
	}
	o := open{version: le.Uint32(f.body), sender: le.Uint64(f.body[4:]), seed: le.Uint64(f.body[12:]), slot: f.body[20]}
	if o.version != version {
		return open{}, malformed("version %d of the frames, we speak %d", o.version, version)
	}
	if o.slot >= maxSlots {
		return open{}, malformed("stream number %d, the limit is %d", o.slot, maxSlots)
	}
	return o, nil
}

// FILE says what a handle means from here on, on this connection.
type fileFrame struct {
	handle         uint32
	root           uint8
	mode, uid, gid uint32
	name           []byte
	user, group    []byte
}

func appendFile(b []byte, handle uint32, f *File) []byte {
	b = appendHead(b, frameFile, 0, 24+len(f.Name)+len(f.User)+len(f.Group))
	b = le.AppendUint32(b, handle)
	b = append(b, f.Root, byte(len(f.User)), byte(len(f.Group)), 0)
	b = le.AppendUint32(b, f.Mode)
	b = le.AppendUint32(b, f.UID)
	b = le.AppendUint32(b, f.GID)
	b = le.AppendUint32(b, uint32(len(f.Name)))
	b = append(b, f.Name...)
	b = append(b, f.User...)
	return append(b, f.Group...)
}

func parseFile(f frame) (fileFrame, error) {
	if err := f.want(24, 24+wire.MaxName+2*maxOwner, 0); err != nil {
		return fileFrame{}, err
	}
	b := f.body
	out := fileFrame{handle: le.Uint32(b), root: b[4], mode: le.Uint32(b[8:]), uid: le.Uint32(b[12:]), gid: le.Uint32(b[16:])}
	user, group, name := int(b[5]), int(b[6]), le.Uint32(b[20:])
	if out.handle >= maxHandle || b[7] != 0 || out.mode > 0o7777 {
		return fileFrame{}, malformed("FILE with handle %d and mode %#o", out.handle, out.mode)
	}
	if uint64(name)+uint64(user)+uint64(group) != uint64(len(b)-24) {
		return fileFrame{}, malformed("FILE whose names are not as long as it says")
	}
	out.name, b = b[24:24+name], b[24+name:]
	out.user, out.group = b[:user], b[user:]
	return out, checkName(string(out.name))
}

// checkName refuses what the file list would refuse, and the root itself.
func checkName(name string) error {
	e := flist.Entry{Name: name, Mode: flist.TypeRegular}
	if err := e.Check(flist.Options{}); err != nil {
		return &FatalError{Err: err}
	}
	return nil
}

func quote(name string) string { return flist.Quote(name) }

// DATA is content at an offset.
type dataFrame struct {
	handle  uint32
	off     int64
	raw     int // bytes of content
	zstd    bool
	digest  digest // over the digests of its blocks
	payload []byte
}

// putData writes header and fields; the payload stands behind them already.
func putData(p []byte, flags byte, handle uint32, off int64, raw, payload int, d digest) {
	putHead(p, frameData, flags, 32+payload)
	le.PutUint32(p[8:], handle)
	le.PutUint64(p[12:], uint64(off))
	le.PutUint32(p[20:], uint32(raw))
	copy(p[24:], d[:])
}

func parseData(f frame) (dataFrame, error) {
	if err := f.want(32+1, 32+maxData, flagZstd); err != nil {
		return dataFrame{}, err
	}
	raw := le.Uint32(f.body[12:])
	d := dataFrame{handle: le.Uint32(f.body), off: int64(le.Uint64(f.body[4:])), raw: int(raw), zstd: f.flags&flagZstd != 0,
		digest: digest(f.body[16:32]), payload: f.body[32:]}
	if raw < 1 || raw > maxData || !d.zstd && d.raw != len(d.payload) {
		return dataFrame{}, malformed("DATA of %d bytes in %d", raw, len(d.payload))
	}
	return d, checkRange(d.off, int64(d.raw), maxData)
}

func checkRange(off, n, most int64) error {
	if off < 0 || off > maxSize || off%blockSize != 0 || n < 1 || n > most {
		return malformed("a range of %d bytes at %d", n, off)
	}
	return nil
}

// ZERO and SUMS name a range.
type rangeFrame struct {
	handle uint32
	off, n int64
}

func appendRange(b []byte, kind byte, handle uint32, off, n int64) []byte {
	b = appendHead(b, kind, 0, 20)
	b = le.AppendUint32(b, handle)
	b = le.AppendUint64(b, uint64(off))
	return le.AppendUint64(b, uint64(n))
}

const rangeSize = headSize + 20

func parseRange(f frame) (rangeFrame, error) {
	if err := f.want(20, 20, 0); err != nil {
		return rangeFrame{}, err
	}
	r := rangeFrame{handle: le.Uint32(f.body), off: int64(le.Uint64(f.body[4:])), n: int64(le.Uint64(f.body[12:]))}
	return r, checkRange(r.off, r.n, maxRange)
}

// COMMIT ends a file.
type commitFrame struct {
	handle uint32
	size   int64
	mtime  int64
	nsec   uint32
	digest digest // over the digests of all blocks
}

const commitSize = headSize + 40

func (c commitFrame) append(b []byte) []byte {
	b = appendHead(b, frameCommit, 0, 40)
	b = le.AppendUint32(b, c.handle)
	b = le.AppendUint64(b, uint64(c.size))
	b = le.AppendUint64(b, uint64(c.mtime))
	b = le.AppendUint32(b, c.nsec)
	return append(b, c.digest[:]...)
}

func parseCommit(f frame) (commitFrame, error) {
	if err := f.want(40, 40, 0); err != nil {
		return commitFrame{}, err
	}
	c := commitFrame{handle: le.Uint32(f.body), size: int64(le.Uint64(f.body[4:])), mtime: int64(le.Uint64(f.body[12:])),
		nsec: le.Uint32(f.body[20:]), digest: digest(f.body[24:])}
	if c.size < 0 || c.size > maxSize || c.nsec > 999_999_999 {
		return commitFrame{}, malformed("COMMIT of %d bytes at %d.%09d", c.size, c.mtime, c.nsec)
	}
	return c, nil
}

const releaseSize = headSize + 4

func appendRelease(b []byte, handle uint32, flags byte) []byte {
	return le.AppendUint32(appendHead(b, frameRelease, flags, 4), handle)
}

// A batch has a header of 8 bytes: its length, flags, three zero bytes.
func putBatchHead(p []byte, length int, flags byte) {
	le.PutUint32(p, uint32(length))
	p[4], p[5], p[6], p[7] = flags, 0, 0, 0
}

func parseBatchHead(p []byte) (length int, flags byte, err error) {
	n := le.Uint32(p)
	if n > batchSize || p[4]&^flagAckNow != 0 || p[5]|p[6]|p[7] != 0 {
		return 0, 0, malformed("a batch of %d bytes with flags %#x", n, p[4])
	}
	return int(n), p[4], nil
}

// plain makes a text of the other side fit for a log: one line, bounded.
func plain(text []byte) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(string(text[:min(len(text), maxReason)]), "?"))
}
