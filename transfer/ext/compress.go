package ext

import (
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Compression says whether contents travel compressed.
type Compression int

// The kinds of compression.
const (
	Off  Compression = iota
	Zstd             // zstd, except for what does not shrink
	Auto             // zstd as long as it makes the transfer faster
)

// ParseCompression reads "off", "zstd" or "auto".
func ParseCompression(s string) (Compression, error) {
	for c, name := range compressions {
		if s == name {
			return Compression(c), nil
		}
	}
	return Off, fmt.Errorf("compression %q is none of off, zstd and auto", s)
}

var compressions = []string{"off", "zstd", "auto"}

func (c Compression) String() string { return compressions[c] }

// A zipper compresses the content of one stream, as long as it pays. Content that did
// not shrink makes it leave out the next, and twice as many each time: what cannot be
// compressed costs one try in 64.
type zipper struct {
	how   Compression
	enc   *zstd.Encoder
	buf   []byte
	skip  int // DATA to leave out
	fails int
	trial trial
}

// worth is the part of the content that zstd must save.
const worth = 16

// compress gives p compressed, until the next call, or nil.
func (z *zipper) compress(p []byte) []byte {
	if z.how == Off || z.how == Auto && !z.trial.on(len(p), time.Now()) {
		return nil
	}
	if z.skip > 0 {
		z.skip--
		return nil
	}
	if z.enc == nil {
		enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(maxData), zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true))
		if err != nil {
			z.how = Off
			return nil
		}
		z.enc = enc
	}
	z.buf = z.enc.EncodeAll(p, z.buf[:0])
	if len(z.buf) > len(p)-len(p)/worth {
		z.fails = min(2*z.fails+1, 63)
		z.skip = z.fails
		return nil
	}
	z.fails = 0
	return z.buf
}

// A trial finds out whether compression pays: it measures how long content takes to be
// taken by the connection, without and with it, and stays with the faster for a while.
type trial struct {
	stage int // 0: without, 1: with, then the better
	since time.Time
	bytes int
	rate  [2]float64
}

const (
	trialBytes = 16 << 20
	stayTrials = 16
)

// on says whether the next n bytes are to be compressed.
func (t *trial) on(n int, now time.Time) bool {
	if t.since.IsZero() {
		t.since = now
	}
	if t.bytes >= trialBytes {
		if t.stage < 2 {
			t.rate[t.stage] = float64(t.bytes) / max(now.Sub(t.since).Seconds(), 1e-9)
		}
		t.stage = (t.stage + 1) % (2 + stayTrials)
		t.since, t.bytes = now, 0
	}
	t.bytes += n
	switch t.stage {
	case 0:
		return false
	case 1:
		return true
	}
	return t.rate[1] > t.rate[0]
}

// An unzipper expands what a zipper made.
type unzipper struct {
	dec *zstd.Decoder
	buf []byte
}

// expand gives p expanded, which must be n bytes, at most maxData. The result is good until
// the next call.
func (u *unzipper) expand(p []byte, n int) ([]byte, error) {
	if u.dec == nil {
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxMemory(maxData), zstd.WithDecoderMaxWindow(maxData))
		if err != nil {
			return nil, err
		}
		u.dec, u.buf = dec, make([]byte, 0, maxData)
	}
	out, err := u.dec.DecodeAll(p, u.buf[:0])
	if err != nil {
		return nil, err
	}
	if len(out) != n {
		return nil, fmt.Errorf("expands to %d bytes, not %d", len(out), n)
	}
	return out, nil
}

func (u *unzipper) close() {
	if u.dec != nil {
		u.dec.Close()
	}
}
