package delta

import (
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"hash"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// MaxDigest is the length of the longest digest of any [Algorithm], for buffers on the stack.
const MaxDigest = 20

// Hash computes a whole-file digest. Sum appends the digest in wire byte order and leaves the state as it is. A Hash is
// for one goroutine.
type Hash interface {
	Write(p []byte) (int, error) // never fails
	Sum(b []byte) []byte
	Reset()
}

// Algorithm is the checksum both ends agreed on, with the seed of the session (rsync-wire.md §4.2, §11.5, §11.6). It is
// immutable and safe for concurrent use.
type Algorithm struct {
	name  string
	size  int
	file  func() Hash
	block func(dst, p []byte) []byte
}

// Canonical returns the names we offer, in the only order in which every version of rsync chooses the same one as its
// peer (rsync-wire.md §4.2).
//
// md4 is missing on purpose: where the seed enters depends on how the peer was built, and nothing on the wire tells.
func Canonical() []string {
	return []string{"xxh128", "xxh3", "xxh64", "md5", "sha1"}
}

// Lookup returns the algorithm of a name as it appears in a negotiation or in --checksum-choice; case does not matter,
// and "none" is known too. seed is the seed of the session as received, which may be negative; 0 means no seed.
// seedFirst is compat flag 0x020: whether the seed goes before or after the block in MD5 block digests (other
// algorithms do not care).
func Lookup(name string, seed int32, seedFirst bool) (*Algorithm, error) {
	a := &Algorithm{name: strings.ToLower(name)}
	// The libraries take 64 bits of seed; the 32 of the wire are sign-extended.
	xseed := uint64(int64(seed))
	switch a.name {
	case "xxh128":
		a.size = 16
		a.file = func() Hash { return file128{xxh3.New128()} }
		a.block = func(dst, p []byte) []byte { return append128(dst, xxh3.Hash128Seed(p, xseed)) }
	case "xxh3":
		a.size = 8
		a.file = func() Hash { return file64{xxh3.New()} }
		a.block = func(dst, p []byte) []byte {
			return binary.LittleEndian.AppendUint64(dst, xxh3.HashSeed(p, xseed))
		}
	case "xxh64", "xxhash":
		a.name, a.size = "xxh64", 8
		a.file = func() Hash { return file64{xxhash.New()} }
		a.block = func(dst, p []byte) []byte {
			var d xxhash.Digest
			d.ResetWithSeed(xseed)
			d.Write(p)
			return binary.LittleEndian.AppendUint64(dst, d.Sum64())
		}
	case "md5":
		a.size = md5.Size
		a.file = func() Hash { return md5.New() }
		a.block = classicBlock(md5.New, seed, seedFirst)
	case "sha1":
		a.size = sha1.Size
		a.file = func() Hash { return sha1.New() }
		a.block = classicBlock(sha1.New, seed, true)
	case "none":
		a.size = 1
		a.file = func() Hash { return noHash{} }
		a.block = func(dst, _ []byte) []byte { return append(dst, 0) }
	default:
		return nil, fmt.Errorf("checksum %q is not supported: known are %s and none", name, strings.Join(Canonical(), ", "))
	}
	return a, nil
}

// Name returns the canonical name.
func (a *Algorithm) Name() string { return a.name }

// Size returns the digest length in bytes, as used for whole files and as the upper limit of the s2length of a [SumHead].
func (a *Algorithm) Size() int { return a.size }

// WholeOnly reports whether blocks cannot be told apart with this algorithm ("none"), which forces whole-file mode.
func (a *Algorithm) WholeOnly() bool { return a.name == "none" }

// NewFile returns a hash for whole files, which never takes the seed (rsync-wire.md §11.5). Use Reset to go on with the
// next file.
func (a *Algorithm) NewFile() Hash { return a.file() }

// Block appends the seeded digest of one block to dst, in full length (rsync-wire.md §11.6). It allocates nothing if
// dst has room for [MaxDigest] bytes.
func (a *Algorithm) Block(p []byte, dst []byte) []byte { return a.block(dst, p) }

// classicBlock returns the block digest of an algorithm that has no seed of its own: the seed is four bytes of input
// before or after the block, and absent when 0.
func classicBlock(newHash func() hash.Hash, seed int32, seedFirst bool) func(dst, p []byte) []byte {
	var salt []byte
	if seed != 0 {
		salt = binary.LittleEndian.AppendUint32(nil, uint32(seed))
	}
	states := &sync.Pool{New: func() any { return newHash() }}
	return func(dst, p []byte) []byte {
		h := states.Get().(hash.Hash)
		h.Reset()
		if seedFirst {
			h.Write(salt)
		}
		h.Write(p)
		if !seedFirst {
			h.Write(salt)
		}
		dst = h.Sum(dst)
		states.Put(h)
		return dst
	}
}

// append128 writes the low half first and both halves little-endian, which is not the canonical form of XXH3-128.
func append128(dst []byte, u xxh3.Uint128) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, u.Lo)
	return binary.LittleEndian.AppendUint64(dst, u.Hi)
}

// file128 and file64 turn the libraries' big-endian sums into those of the wire.
type file128 struct{ *xxh3.Hasher128 }

func (h file128) Sum(b []byte) []byte { return append128(b, h.Sum128()) }

type file64 struct{ hash.Hash64 }

func (h file64) Sum(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, h.Sum64()) }

// noHash is "none": a single zero byte.
type noHash struct{}

func (noHash) Write(p []byte) (int, error) { return len(p), nil }
func (noHash) Sum(b []byte) []byte         { return append(b, 0) }
func (noHash) Reset()                      {}
