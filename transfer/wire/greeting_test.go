package wire

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var standardDigests = []string{"sha512", "sha256", "sha1", "md5", "md4"}

// The greetings of real versions, rsync-wire.md §2.1.
func TestGreetings(t *testing.T) {
	tests := []struct {
		name, line string
		want       Greeting
		says       string // empty: accepted
	}{
		{"3.0", "@RSYNCD: 30.0", Greeting{Proto: 30}, ""},
		{"3.1 to 3.2.6", "@RSYNCD: 31.0", Greeting{Proto: 31}, ""},
		{"3.2.7 without OpenSSL", "@RSYNCD: 31.0 md5 md4", Greeting{31, 0, []string{"md5", "md4"}}, ""},
		{"3.4 and later", "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", Greeting{32, 0, standardDigests}, ""},
		{"pre-release", "@RSYNCD: 31.14 md5", Greeting{31, 14, []string{"md5"}}, ""},
		{"spaces around the digests", "@RSYNCD: 31.0  md5 ", Greeting{31, 0, []string{"md5"}}, ""},
		{"before subprotocols", "@RSYNCD: 29", Greeting{Proto: 29}, ""},
		{"subprotocol left out", "@RSYNCD: 30", Greeting{}, "without the subprotocol value"},
		{"subprotocol left out before digests", "@RSYNCD: 31 md5", Greeting{}, "without the subprotocol value"},
		{"subprotocol empty", "@RSYNCD: 31.", Greeting{}, "unreadable subprotocol"},
		{"subprotocol negative", "@RSYNCD: 31.-1", Greeting{}, "unreadable subprotocol"},
		{"version missing", "@RSYNCD: ", Greeting{}, "without a protocol version"},
		{"version not a number", "@RSYNCD: OK", Greeting{}, "without a protocol version"},
		{"version with a sign", "@RSYNCD: +31.0", Greeting{}, "without a protocol version"},
		{"version too large", "@RSYNCD: 99999999999999999999.0", Greeting{}, "without a protocol version"},
		{"control bytes", "@RSYNCD: 31.0 md5\x1b[2J", Greeting{}, `unprintable bytes: "@RSYNCD: 31.0 md5\x1b[2J"`},
		{"another protocol", "HTTP/1.1 400 Bad Request", Greeting{}, `no rsync greeting: "HTTP/1.1 400 Bad Request"`},
		{"nothing", "", Greeting{}, `no rsync greeting: ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseGreeting(tt.line)
			if tt.says != "" {
				checkRefused(t, err, "2.1", tt.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGreetingIsWrittenAsRealOnesAre(t *testing.T) {
	for g, want := range map[*Greeting]string{
		{Proto: 30}:              "@RSYNCD: 30.0",
		{32, 0, standardDigests}: "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4",
	} {
		if g.String() != want {
			t.Errorf("%q, want %q", g, want)
		}
	}
}

func TestNegotiate(t *testing.T) {
	digests := []string{"md5"}
	ours := Greeting{32, 0, digests}
	tests := []struct {
		name         string
		ours, theirs Greeting
		want         int
		says         string
	}{
		{"same version", ours, ours, 32, ""},
		{"peer is 3.0", ours, Greeting{Proto: 30}, 30, ""},
		{"peer is 3.1", ours, Greeting{Proto: 31}, 31, ""},
		{"peer is of the future", ours, Greeting{33, 0, digests}, 32, ""},
		{"future peer's subprotocol is its own business", ours, Greeting{33, 5, digests}, 32, ""},
		{"we are told to speak 30", Greeting{30, 0, digests}, ours, 30, ""},
		{"lower side is a pre-release", ours, Greeting{31, 14, nil}, 30, ""},
		{"same version, other subprotocol", ours, Greeting{32, 3, digests}, 31, ""},
		{"same version, same subprotocol", Greeting{32, 3, digests}, Greeting{32, 3, digests}, 32, ""},
		{"pre-release of the oldest", ours, Greeting{Proto: 30, Sub: 1}, 0, "no common protocol: ours is 32.0, the peer's 30.1"},
		{"too old", ours, Greeting{Proto: 29}, 0, "the peer speaks protocol 29"},
		{"too new", ours, Greeting{41, 0, digests}, 0, "the peer speaks protocol 41"},
		{"32 without digests", ours, Greeting{Proto: 32}, 0, "protocol 32 without a list of digest names"},
		{"33 without digests", Greeting{Proto: 30}, Greeting{Proto: 33}, 0, "protocol 33 without a list of digest names"},
		{"both from the future", Greeting{33, 0, digests}, Greeting{33, 0, digests}, 0, "30 to 32 can be spoken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Negotiate(tt.ours, tt.theirs)
			if tt.says != "" {
				checkRefused(t, err, "2.1", tt.says)
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("%d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

// The answers real servers gave to real clients, rsync-wire.md §4.1, but for incremental recursion, which we never grant.
func TestCompatFlagsAnswerTheCapabilities(t *testing.T) {
	for capability, want := range map[string]uint32{
		".iLsf":        0x00e, // 3.0.9
		".iLs":         0x006, // 3.1.0
		".iLsfx":       0x01e, // 3.1.1
		".iLsfxC":      0x03e, // 3.1.3
		".LsfxCIv":     0x0fe, // 3.2.0
		".iLsfxCIvu":   0x1fe, // 3.2.3 to 3.5.0
		"31.14LsfxCIv": 0x0fe, // a pre-release
		".V":           0x006,
		"":             0x006,
	} {
		if got := CompatFor(capability); got != want {
			t.Errorf("%q: %#x, want %#x", capability, got, want)
		}
	}
}

func TestChooseName(t *testing.T) {
	canonical := strings.Fields("xxh128 xxh3 xxh64 md5 md4 sha1")
	tests := []struct {
		name, order, ours, theirs string
		want                      string
	}{
		{"3.5.0 server", "xxh128 xxh3 xxh64 md5 sha1", "xxh128 xxh3 xxh64 md5 sha1", "xxh128 xxh3 xxh64 md5 md4 sha1 none", "xxh128"},
		{"minimal build", "", "xxh128 xxh3 xxh64 md5 sha1", "md5 md4 none", "md5"},
		{"old name of xxh64", "", "xxh64 md5", "md5 xxhash", "xxh64"},
		{"case does not matter", "", "xxh64 md5", "MD5", "md5"},
		{"client with an order of its own", "md5 xxh128", "xxh128 xxh3 xxh64 md5", "md5 xxh128", "md5"},
		{"nothing in common", "", "xxh128", "md5 md4", ""},
		{"peer offers nothing", "", "xxh128", "", ""},
		{"name is not in the order", "xxh128", "md5", "md5", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order := strings.Fields(tt.order)
			if tt.order == "" {
				order = canonical
			}
			got, err := ChooseName(order, strings.Fields(tt.ours), strings.Fields(tt.theirs))
			if got != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("%q, %v; want %q", got, err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.ours) || !strings.Contains(err.Error(), tt.theirs)) {
				t.Errorf("%v: does not show both offers", err)
			}
		})
	}
}

func FuzzGreeting(f *testing.F) {
	for _, line := range []string{"@RSYNCD: 30.0", "@RSYNCD: 31.0 md5 md4", "@RSYNCD: 32.0 sha512 sha256 sha1 md5 md4", "@RSYNCD: 29", "@RSYNCD: 31.14", "@RSYNCD: OK", "@ERROR: no", "SSH-2.0-x"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		g, err := ParseGreeting(line)
		if err != nil {
			var p *ProtocolError
			if !errors.As(err, &p) {
				t.Fatal(err)
			}
			return
		}
		if g.Proto >= 30 {
			again, err := ParseGreeting(g.String())
			if d := cmp.Diff(g, again); err != nil || d != "" {
				t.Fatalf("%q reads as %+v, and what that writes does not: %v %s", line, g, err, d)
			}
		}
		for own := MinProto; own <= MaxProto; own++ {
			ours := Greeting{own, 0, standardDigests}
			here, err1 := Negotiate(ours, g)
			there, err2 := Negotiate(g, ours)
			if err1 != nil {
				continue
			}
			if here < MinProto || here > own || here > g.Proto {
				t.Fatalf("%d agreed between %v and %v", here, ours, g)
			}
			if err2 != nil || there != here {
				t.Fatalf("the two ends of %v and %v disagree: %d, and %d, %v", ours, g, here, there, err2)
			}
		}
	})
}
