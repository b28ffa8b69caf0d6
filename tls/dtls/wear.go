package dtls

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// limits are how much one set of keys protects, in each direction. AES-GCM is sound
// for 2^24.5 full records of TLS, 2^38.5 bytes (RFC 8446, section 5.5); a record of
// DTLS here has an MTU at most, and counts as three blocks at least. 2^36 forged ones
// may be tried (RFC 9147, section 4.5.3), and each that is tried is a record that
// arrived. The sequence number of a record, and with it the nonce, has 48 bits.
//
// From soft on a dialer makes a new association for new connections; at hard an
// association ends, and what is still on it is done again on a new one
// (sst/reconnect.go).
type limits struct {
	softBytes, hardBytes     uint64
	softRecords, hardRecords uint64
}

var defaultLimits = limits{softBytes: 1 << 36, hardBytes: 1 << 38, softRecords: 1 << 29, hardRecords: 1 << 31}

// maxStreamID is the last one of an association, whose numbers have 16 bits; none is
// used twice.
const maxStreamID = 60_000

// errWorn is why an association ends at its limit. It counts as a broken connection.
var errWorn = fmt.Errorf("the keys of this DTLS association have protected as much as they may: %w", syscall.ECONNRESET)

// A meter lies between SCTP and DTLS, counts what the keys protect, and notes signs of
// life. What it sees come in has been authenticated.
type meter struct {
	net.Conn
	heard                 atomic.Int64 // unix nanoseconds
	in, out               atomic.Uint64
	inRecords, outRecords atomic.Uint64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	if n > 0 {
		m.in.Add(uint64(n))
		m.inRecords.Add(1)
		m.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	m.out.Add(uint64(len(p)))
	m.outRecords.Add(1)
	return m.Conn.Write(p)
}

func (m *meter) lastHeard() time.Time  { return time.Unix(0, m.heard.Load()) }
func (m *meter) silent() time.Duration { return time.Since(m.lastHeard()) }

func (m *meter) worn(l limits) bool {
	return max(m.in.Load(), m.out.Load()) >= l.softBytes || max(m.inRecords.Load(), m.outRecords.Load()) >= l.softRecords
}

func (m *meter) wornOut(l limits) bool {
	return max(m.in.Load(), m.out.Load()) >= l.hardBytes || max(m.inRecords.Load(), m.outRecords.Load()) >= l.hardRecords
}
