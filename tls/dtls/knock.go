package dtls

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// A knock is what comes before DTLS, four datagrams of which the listener remembers
// nothing before the third:
//
//	dialer → listener  ask    its number
//	listener → dialer  cookie its number, the cookie
//	dialer → listener  enter  its number, the cookie
//	listener → dialer  enter  its number: DTLS may begin
//
// All have one size, so that an answer is never longer than what asked for it, and
// begin with "WSST", the version 1, and the kind. The cookie is a time and a MAC over
// it, the dialer's address and number. The number is random, and of one association:
// a copy of a datagram that the network made, or kept, starts no other.
type knock struct {
	kind   byte
	number uint64
	stamp  uint32 // of the cookie: minutes
	mac    [knockMAC]byte
}

const (
	knockAsk    = 1
	knockCookie = 2
	knockEnter  = 3

	knockVersion = 1
	knockMAC     = 16
	knockSize    = len(knockMagic) + 2 + 8 + 4 + knockMAC
	// No record of DTLS begins like this: its first byte is 20 to 63.
	knockMagic = "WSST"

	// cookieMinutes is how long a cookie is good for.
	cookieMinutes = 2
)

// isKnock says whether a datagram is none of DTLS.
func isKnock(datagram []byte) bool {
	return len(datagram) >= len(knockMagic) && string(datagram[:len(knockMagic)]) == knockMagic
}

// parseKnock reads a datagram; false if it is no knock of this version.
func parseKnock(datagram []byte) (k knock, ok bool) {
	if len(datagram) != knockSize || !isKnock(datagram) || datagram[4] != knockVersion {
		return knock{}, false
	}
	k.kind = datagram[5]
	k.number = binary.BigEndian.Uint64(datagram[6:])
	k.stamp = binary.BigEndian.Uint32(datagram[14:])
	copy(k.mac[:], datagram[18:])
	return k, k.kind >= knockAsk && k.kind <= knockEnter
}

func (k knock) append(to []byte) []byte {
	to = append(to, knockMagic...)
	to = append(to, knockVersion, k.kind)
	to = binary.BigEndian.AppendUint64(to, k.number)
	to = binary.BigEndian.AppendUint32(to, k.stamp)
	return append(to, k.mac[:]...)
}

// newNumber is the number of an association.
func newNumber() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

// A baker makes the cookies of a listener, and knows them again.
type baker struct {
	key [32]byte
	now func() time.Time
}

func newBaker() *baker {
	b := &baker{now: time.Now}
	rand.Read(b.key[:])
	return b
}

func (b *baker) minute() uint32 { return uint32(b.now().Unix() / 60) }

// cookie answers an ask.
func (b *baker) cookie(from netip.AddrPort, ask knock) knock {
	k := knock{kind: knockCookie, number: ask.number, stamp: b.minute()}
	k.mac = b.mac(from, k)
	return k
}

// knows says whether the cookie of k was made for from, and lately.
func (b *baker) knows(from netip.AddrPort, k knock) bool {
	want := b.mac(from, k)
	return b.minute()-k.stamp <= cookieMinutes && hmac.Equal(want[:], k.mac[:])
}

func (b *baker) mac(from netip.AddrPort, k knock) (sum [knockMAC]byte) {
	h := hmac.New(sha256.New, b.key[:])
	addr := from.Addr().As16()
	h.Write(addr[:])
	h.Write([]byte(from.Addr().Zone()))
	h.Write(binary.BigEndian.AppendUint16(nil, from.Port()))
	h.Write(binary.BigEndian.AppendUint64(nil, k.number))
	h.Write(binary.BigEndian.AppendUint32(nil, k.stamp))
	copy(sum[:], h.Sum(nil))
	return sum
}
