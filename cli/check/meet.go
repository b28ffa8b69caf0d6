package check

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
)

// farApart is a difference of clocks that is worth a word: certificates are made valid
// from the minute of their making.
const farApart = 30 * time.Second

// Listen waits for Peer on another node and says what it saw, as a joiner would. address
// is where, HOST[:PORT]; "" is where the joiner of this node listens. say gets a line
// when it listens, with what was found until then. It ends after one peer, with ctx, or after limit.
func Listen(ctx context.Context, o Options, address string, limit time.Duration, say func(*Report, string)) *Report {
	r := &Report{}
	n := readNode(o.withDefaults(), r)
	if n == nil {
		return r
	}
	if address != "" {
		if !strings.Contains(address, ":") && isPort(address) {
			address = n.hostText() + ":" + address
		}
		a, err := sst.ParseAddress(address)
		if err != nil {
			r.fail("listen", "give it as HOST, HOST:PORT or PORT", "%v", err)
			return r
		}
		n.address = a
	}
	n.receivePeer(ctx, limit, say)
	return r
}

func isPort(text string) bool { return strings.Trim(text, "0123456789") == "" }

func (n *node) hostText() string { return bracketed(n.address.Host) }

// Peer makes the handshake of a donor with Listen on another node, HOST[:PORT], and says
// what it saw.
func Peer(ctx context.Context, o Options, address string) *Report {
	r := &Report{}
	n := readNode(o.withDefaults(), r)
	if n == nil {
		return r
	}
	a, err := sst.ParseAddress(address)
	if err != nil {
		r.fail("peer", "give it as HOST or HOST:PORT", "%v", err)
		return r
	}
	n.callPeer(ctx, a)
	return r
}

// rehearsal loads the channel of a role for a handshake that leads to nothing; nil if
// there is none to try.
func (n *node) rehearsal(role tls.Role, joinersHost string) *tls.Channel {
	s := n.joiner
	if role == tls.Donor {
		s = n.donor
	}
	if s.Settings.Clear {
		n.r.fail("handshake", "set tcert, tkey and tca in [sst], or ssl-mode", "there is none to try, nothing is encrypted: %s", s.Settings.WhyClear())
		return nil
	}
	c := s.TLS(role, joinersHost)
	c.Now, c.Rehearsal = n.o.Now, true
	channel, err := tls.Load(c)
	if err != nil {
		n.r.failed("certificate", err)
		return nil
	}
	for _, w := range channel.Warnings() {
		n.r.warn("trust", "", "%s", w)
	}
	n.r.ok("settings", "%s", channel.Describe())
	return channel
}

func (n *node) receivePeer(ctx context.Context, limit time.Duration, say func(*Report, string)) {
	channel := n.rehearsal(tls.Joiner, "")
	if channel == nil {
		return
	}
	l, err := channel.Listen(ctx, n.address.Host, n.address.Port)
	if err != nil {
		n.r.failed("listen", err)
		return
	}
	defer l.Close()
	if l.Note() != "" {
		say(n.r, l.Note())
	}
	say(n.r, fmt.Sprintf("listening on %s for at most %v; run on another node: wsrep_sst_rsync_tunnel check --peer=%s", l.Addr(), limit, n.address.HostPort()))
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(waiting, func() { l.Close() })()
	for {
		raw, err := l.Accept()
		if waiting.Err() != nil {
			if err == nil {
				raw.Close()
			}
			if ctx.Err() != nil {
				return
			}
			n.r.fail("listen", "run on the other node: check --peer="+n.address.HostPort()+"; a firewall may drop the port", "nobody came within %v", limit)
			return
		}
		if err != nil {
			n.r.failed("listen", err)
			return
		}
		conn, err := channel.Server(waiting, raw)
		if errors.Is(err, tls.ErrProbe) {
			say(n.r, "a connection from "+raw.RemoteAddr().String()+" was closed before it said anything: a port scan or a health check")
			continue
		}
		if tls.OtherProtocol(err) {
			n.r.fail("peer", "let the cluster choose this node for an SST again later; end check --listen before mariadbd is started here",
				"%s is a donor with an SST, and no check --peer: it was turned away", raw.RemoteAddr())
			return
		}
		if err != nil {
			n.r.failed("handshake", err)
			return
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		n.answer(conn, channel)
		return
	}
}

// saw is what this side saw of the other.
func (n *node) saw(conn *tls.Conn, channel *tls.Channel) seen {
	p := conn.Peer()
	s := seen{Address: p.Addr, Certificate: "no certificate was asked for", Channel: p.Version + ", " + p.Cipher, Name: "the name is not checked"}
	if p.Leaf != nil {
		s.Certificate = describe(p.Leaf)
	}
	if want := channel.WantedName(); want != "" {
		s.Name = "the certificate bears the wanted name " + want
	}
	return s
}

func describe(leaf *x509.Certificate) string {
	return fmt.Sprintf("%s, issued by %s, valid from %s to %s", tls.Title(leaf), tls.IssuerTitle(leaf),
		leaf.NotBefore.UTC().Format(dateForm), leaf.NotAfter.UTC().Format(dateForm))
}

// told reports what the handshake showed.
func (n *node) told(conn *tls.Conn, s seen) {
	n.r.ok("handshake", "with %s: %s", s.Address, s.Channel)
	leaf := conn.Peer().Leaf
	if leaf != nil && leaf.NotAfter.Sub(n.o.Now()) < soon {
		n.r.warn("peer", "renew it on that node", "%s", s.Certificate)
	} else {
		n.r.ok("peer", "%s", s.Certificate)
	}
	n.r.ok("name", "%s", s.Name)
}

// answer is Listen's part of the exchange.
func (n *node) answer(conn *tls.Conn, channel *tls.Channel) {
	s := n.saw(conn, channel)
	n.told(conn, s)
	if !conn.Rehearsed() {
		n.r.warn("peer", "run check --peer on the other node", "it is no check --peer, but a script of an SST or another program: it was turned away")
		return
	}
	_, err := receive(conn)
	if err == nil {
		err = send(conn, line{Time: n.o.Now().UnixNano(), Seen: &s})
	}
	var last line
	if err == nil {
		last, err = receive(conn)
	}
	if err != nil {
		n.r.failed("peer", conn.Explain(err))
		return
	}
	n.others(last)
	n.clocks(-time.Duration(last.Ahead), time.Duration(last.Trip))
}

func (n *node) callPeer(ctx context.Context, a sst.Address) {
	channel := n.rehearsal(tls.Donor, a.Host)
	if channel == nil {
		return
	}
	conn, err := channel.Dial(ctx, a.Host, a.Port)
	if tls.OtherProtocol(err) {
		n.r.fail("peer", "run check --listen there while mariadbd is stopped, or with another port: check --listen=PORT",
			"%s is no check --listen: a joiner that waits for its SST, or another program with TLS. It was not disturbed", a.HostPort())
		return
	}
	if err != nil {
		n.r.failed("handshake", err)
		return
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	s := n.saw(conn, channel)
	if !conn.Rehearsed() {
		n.told(conn, s)
		n.script(conn)
		return
	}
	n.ask(conn, s)
}

// script tells what is at the other end where nobody knows of rehearsals: the first
// thing that an SST script's joiner says is the greeting of its rsync. Nothing is sent.
func (n *node) script(conn *tls.Conn) {
	conn.SetReadDeadline(time.Now().Add(lineLimit))
	greeting := make([]byte, 64)
	got, err := conn.Read(greeting)
	switch {
	case bytes.HasPrefix(greeting[:got], []byte("@RSYNCD:")):
		n.r.warn("peer", "run check --listen there while mariadbd is stopped",
			"it is no check --listen, but the joiner of an SST script: it accepts this node's certificate, and nothing was sent to it")
	case err != nil && !isTimeout(err):
		n.r.failed("peer", conn.Explain(err))
	default:
		n.r.warn("peer", "run check --listen there", "it is no check --listen, but another program with TLS: nothing was sent to it")
	}
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}

// ask is Peer's part of the exchange. The first line takes one trip more than needed: a
// refusal of our certificate, which TLS 1.3 brings only now, does not count as one.
func (n *node) ask(conn *tls.Conn, s seen) {
	began := time.Now()
	before := n.o.Now()
	err := send(conn, line{})
	var theirs line
	if err == nil {
		theirs, err = receive(conn)
	}
	trip := time.Since(began)
	n.told(conn, s)
	if err != nil {
		n.r.failed("handshake", conn.Explain(err))
		return
	}
	ahead := time.Unix(0, theirs.Time).Sub(before.Add(trip / 2))
	if err := send(conn, line{Seen: &s, Ahead: int64(ahead), Trip: int64(trip)}); err != nil {
		n.r.failed("peer", conn.Explain(err))
		return
	}
	n.others(theirs)
	n.clocks(ahead, trip)
}

// others reports what the other side says.
func (n *node) others(theirs line) {
	if theirs.Seen != nil {
		n.r.ok("seen there", "%s", theirs.Seen)
	}
	if theirs.Version != sst.Version {
		n.r.warn("version", "an SST works between versions; install the same on all nodes when there is time", "the other node has version %s, this one %s", theirs.Version, sst.Version)
	}
}

func (n *node) clocks(ahead, trip time.Duration) {
	which := "ahead of"
	if ahead < 0 {
		which = "behind"
	}
	text := fmt.Sprintf("the other node's is %v %s this one's, round trip %v", ahead.Abs().Round(time.Millisecond), which, trip.Round(10*time.Microsecond))
	if ahead.Abs() > farApart {
		n.r.add(Warning, "clocks", "synchronize them (timedatectl set-ntp true): a new certificate is not valid yet where the clock is behind", text)
		return
	}
	n.r.add(OK, "clocks", "", text)
}
