package captest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// session is one recorded conversation and what has been understood of it.
type session struct {
	t           *testing.T
	oldServer   bool       // not 3.5.0
	c, s        *direction // client to server, server to client
	proto       int
	module      string
	args        []string
	letters     string // of the option cluster, before "e"
	capability  string // behind it
	compat      uint32
	clientSum   *delta.Algorithm // as the client chose it
	serverSum   *delta.Algorithm // as the server chose it; not the same in one recording of a mishap
	lists       []*list
	incremental *incremental
	replies     map[int32][]reply
}

// has tells an option in words.
func (s *session) has(option string) bool {
	return slices.ContainsFunc(s.args, func(a string) bool { return a == option || strings.HasPrefix(a, option+"=") })
}

// deletes tells whether the client sends its filter rules (rsync-wire.md §7.1).
func (s *session) deletes() bool {
	return slices.ContainsFunc(s.args, func(a string) bool { return strings.HasPrefix(a, "--delete") })
}

func (s *session) letter(l string) bool    { return strings.Contains(s.letters, l) }
func (s *session) compatHas(f uint32) bool { return s.compat&f != 0 }

// handshake reads everything before the frames. It returns false if the server sent the client away.
func (s *session) handshake() bool {
	client := s.greeting(s.c)
	server := s.greeting(s.s)
	// The recordings with --protocol show it in the client's greeting, as if it were an older version.
	proto, err := wire.Negotiate(server, client)
	s.c.must(err)
	s.proto = proto

	s.module = s.c.line()
	var early int
	if n, _ := fmt.Sscanf(s.module, "#early_input=%d", &early); n == 1 {
		s.c.bytes(early)
		s.module = s.c.line()
	}
	for {
		line := s.s.line()
		switch {
		case line == "@RSYNCD: OK":
			s.setup()
			return true
		case line == "@RSYNCD: EXIT", strings.HasPrefix(line, "@ERROR"):
			return false
		case strings.HasPrefix(line, "@RSYNCD: AUTHREQD"):
			s.c.line()
		}
	}
}

func (s *session) greeting(d *direction) wire.Greeting {
	line, err := d.r.Line(wire.MaxLine)
	d.must(err)
	g, err := wire.ParseGreeting(line)
	d.must(err)
	d.w.Line(g.String())
	return g
}

// setup reads arguments, compat flags, the choice of the checksum, and the seed.
func (s *session) setup() {
	s.args = s.c.args()
	s.cluster()
	if s.letter("s") {
		s.args = append(s.args, s.c.args()...)
	}
	s.compat = uint32(s.s.varint())
	if ours := wire.CompatFor(s.capability); !s.oldServer && s.compat&^wire.CompatIncRecurse != ours {
		s.t.Errorf("compat flags %#x for %q, we would answer %#x", s.compat, s.capability, ours)
	}

	clientName, serverName := "md5", "md5"
	if _, choice, ok := strings.Cut(strings.Join(s.args, "\x00")+"\x00", "--checksum-choice="); ok {
		clientName, _, _ = strings.Cut(choice, "\x00")
		serverName = clientName
	} else if s.compatHas(wire.CompatVarintFlistFlags) {
		servers := strings.Fields(s.s.vstring(wire.MaxNegotiation))
		clients := strings.Fields(s.c.vstring(wire.MaxNegotiation))
		var err error
		clientName, err = wire.ChooseName(clients, clients, servers)
		s.c.must(err)
		serverName, err = wire.ChooseName(servers, servers, clients)
		s.s.must(err)
	}
	seed := s.s.int()
	var err error
	s.clientSum, err = delta.Lookup(clientName, seed, s.compatHas(wire.CompatChksumSeedFix))
	s.c.must(err)
	s.serverSum, err = delta.Lookup(serverName, seed, s.compatHas(wire.CompatChksumSeedFix))
	s.s.must(err)
	s.c.frames(s.proto)
	s.s.frames(s.proto)
}

// cluster finds the option letters in the second argument.
func (s *session) cluster() {
	for _, a := range s.args {
		if strings.HasPrefix(a, "-") && !strings.HasPrefix(a, "--") {
			s.letters, s.capability, _ = strings.Cut(a[1:], "e")
			return
		}
	}
	s.t.Fatalf("no option letters in %q", s.args)
}

// listOptions are what shapes the file list of this session.
func (s *session) listOptions() flist.Options {
	o := flist.Options{
		Proto:       s.proto,
		VarintFlags: s.compatHas(wire.CompatVarintFlistFlags), SafeFlist: s.compatHas(wire.CompatSafeFlist), ID0Names: s.compatHas(wire.CompatID0Names),
		Owner: s.letter("o"), Group: s.letter("g"), Links: s.letter("l"),
		Devices: s.letter("D"), Specials: s.letter("D") || s.has("--specials"),
		NumericIDs: s.has("--numeric-ids"),
	}
	if s.letter("c") {
		o.SumLen = s.clientSum.Size()
	}
	return o
}
