package tls

import (
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// serveOne gives the next connection of a listener to the joiner and returns its error.
func serveOne(t *testing.T, joiner *Channel, ln net.Listener) <-chan error {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		raw, err := ln.Accept()
		if err == nil {
			var conn *Conn
			if conn, err = joiner.Server(context.Background(), raw); err == nil {
				conn.Close()
			}
		}
		result <- err
	}()
	return result
}

func TestWhatAStrangerSaysToTheJoiner(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		sees       []string
	}{
		{"a plain rsync", "@RSYNCD: 31.0 md5\n", []string{"donor 127.0.0.1:", "speaks plain rsync and no TLS", "hint: a donor with an SST method without TLS"}},
		{"a browser", "GET / HTTP/1.1\r\n\r\n", []string{"speaks HTTP and no TLS"}},
		{"an SSH client", "SSH-2.0-OpenSSH_9.2\r\n", []string{"speaks SSH and no TLS"}},
		{"something else", "\x00\x01\x02\x03\x04\x05\x06\x07", []string{"speaks no TLS"}},
		{"half a record", "\x16\x03\x01\x02\x00\x01", []string{"broke off the TLS handshake"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := loopback(t)
			sees := serveOne(t, anyChannel(t, Joiner, ""), ln)
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, tt.says)
			conn.Close()
			wantErr(t, "joiner", <-sees, tt.sees...)
		})
	}
}

func TestAPortProbeIsToldFromAPeer(t *testing.T) {
	ln := loopback(t)
	for name, leave := range map[string]func(*net.TCPConn){
		"closed":  func(c *net.TCPConn) {},
		"aborted": func(c *net.TCPConn) { c.SetLinger(0) },
	} {
		sees := serveOne(t, anyChannel(t, Joiner, ""), ln)
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		leave(conn.(*net.TCPConn))
		conn.Close()
		if err := <-sees; !errors.Is(err, ErrProbe) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAStrangerSaysToTheDonor(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		sees       []string
	}{
		{"a plain rsync daemon", "@RSYNCD: 31.0 sha512\n", []string{"joiner 127.0.0.1:", "speaks plain rsync and no TLS", "hint: another program holds the port"}},
		{"a MariaDB server", "Y\x00\x00\x00\x0a5.5.5-10.11.19-MariaDB\x00", []string{"speaks no TLS"}},
		{"nothing at all", "", []string{"closed the connection before it said anything"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := loopback(t)
			go func() {
				if conn, err := ln.Accept(); err == nil {
					io.WriteString(conn, tt.says)
					conn.Read(make([]byte, 4096)) // the donor's first message
					conn.Close()
				}
			}()
			_, err := anyChannel(t, Donor, "").Dial(t.Context(), "127.0.0.1", portOf(ln))
			wantErr(t, "donor", err, tt.sees...)
		})
	}
}

func TestNobodyListens(t *testing.T) {
	ln := loopback(t)
	ln.Close()
	_, err := anyChannel(t, Donor, "").Dial(t.Context(), "127.0.0.1", portOf(ln))
	wantErr(t, "Dial", err, fmt.Sprintf("joiner 127.0.0.1:%d: connection refused", portOf(ln)), "hint: nothing listens there")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v is not ECONNREFUSED", err)
	}
}

func TestWordsForADialThatFails(t *testing.T) {
	ch := anyChannel(t, Donor, "")
	for _, tt := range []struct {
		err   error
		words []string
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "node9", Err: "no such host", IsNotFound: true}}, []string{"joiner x:1: the name node9 cannot be resolved", "wsrep_node_address"}},
		{&net.OpError{Op: "dial", Err: syscall.EHOSTUNREACH}, []string{"cannot be reached", "routes and firewall"}},
		{&net.OpError{Op: "dial", Err: syscall.ENETUNREACH}, []string{"cannot be reached"}},
		{&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, []string{"no answer within 10s", "firewall may drop"}},
		{errors.New("odd"), []string{"joiner x:1: odd"}},
	} {
		wantErr(t, "dialFault", ch.dialFault("x:1", tt.err), tt.words...)
	}
}

func TestDialHoldsToTheFamily(t *testing.T) {
	needIPv6(t)
	ln, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = anyChannel(t, Donor, "pf=ip4").Dial(t.Context(), "::1", portOf(ln))
	wantErr(t, "Dial", err, "joiner [::1]:")
	sees := serveOne(t, anyChannel(t, Joiner, ""), ln)
	_, err = anyChannel(t, Donor, "pf=ip6,verify=0").Dial(t.Context(), "::1", portOf(ln))
	if err != nil {
		t.Error(err)
	}
	wantErr(t, "joiner", <-sees, "self-signed") // it was reached
}

// The clock of these tests is that of a synctest bubble.

func TestASilentPeerIsLeftAfterTheTimeLimit(t *testing.T) {
	joiner := anyChannel(t, Joiner, "")
	for name, says := range map[string]string{"said nothing for 30s": "", "did not finish the TLS handshake within 30s": "\x16\x03\x01"} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe()
			defer there.Close()
			go io.WriteString(there, says)
			start := time.Now()
			_, err := joiner.Server(t.Context(), here)
			wantErr(t, "joiner", err, name)
			if d := time.Since(start); d != 30*time.Second {
				t.Errorf("it took %v", d)
			}
			if _, err := here.Write([]byte("x")); err == nil {
				t.Error("the connection was left open")
			}
		})
	}
}

func TestAHandshakeEndsWithItsContext(t *testing.T) {
	joiner := anyChannel(t, Joiner, "")
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		defer there.Close()
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("mariadbd is gone")
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := joiner.Server(ctx, here); !errors.Is(err, why) {
			t.Errorf("error %v, want %v", err, why)
		}
	})
}

// TestTheReasonArrivesThoughTheDonorHasWritten: the donor writes at once, so the
// joiner refuses it with unread data in its socket. Closed at once, such a
// connection is reset, and the alert is lost.
func TestTheReasonArrivesThoughTheDonorHasWritten(t *testing.T) {
	j := issue(t, spec{cn: "localhost"})
	joiner := load(t, Config{Role: Joiner, CA: bundle(t, j), Cert: j.pem(t)})
	donor := load(t, Config{Role: Donor, CA: bundle(t, j), Cert: issue(t, spec{cn: "x"}).pem(t), Host: "localhost"})
	ln := loopback(t)
	for range 20 {
		sees := serveOne(t, joiner, ln)
		conn, err := donor.Dial(t.Context(), "127.0.0.1", portOf(ln))
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(make([]byte, 200<<10))
		_, err = conn.Read(make([]byte, 1))
		wantErr(t, "donor", err, "does not know the authority that signed our certificate (tcert /", "remote error: tls: unknown certificate authority")
		conn.Close()
		wantErr(t, "joiner", <-sees, "is self-signed and not in tca")
	}
}

func TestADonorWithoutCertificate(t *testing.T) {
	for _, version := range []uint16{stdtls.VersionTLS12, stdtls.VersionTLS13} {
		ln := loopback(t)
		sees := serveOne(t, anyChannel(t, Joiner, ""), ln)
		conn, err := stdtls.Dial("tcp", ln.Addr().String(), &stdtls.Config{InsecureSkipVerify: true, MaxVersion: version})
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		wantErr(t, "joiner", <-sees, "sent no certificate, and one is required", "hint: set tcert (and tkey) in the [sst] group of the donor")
		wantErr(t, "donor", Explain(err), "the other node: ", "hint: ")
	}
}

func TestAPeerOfOldVersionsOnly(t *testing.T) {
	ln := loopback(t)
	sees := serveOne(t, anyChannel(t, Joiner, ""), ln)
	_, err := stdtls.Dial("tcp", ln.Addr().String(), &stdtls.Config{InsecureSkipVerify: true, MinVersion: stdtls.VersionTLS10, MaxVersion: stdtls.VersionTLS11})
	wantErr(t, "joiner", <-sees, "no TLS version in common", "TLS 1.2 is the lowest version here")
	wantErr(t, "donor", Explain(err), "does not speak our TLS versions")
}

func TestALPN(t *testing.T) {
	for _, tt := range []struct {
		name   string
		offers []string
		own    bool
		err    string
	}{
		{"our own kind", []string{ALPN}, true, ""},
		{"a later version of ours", []string{"wsrep-sst/2", ALPN}, true, ""},
		{"a stock donor", nil, false, ""},
		{"a stranger", []string{"h2"}, false, "does not want an SST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := loopback(t)
			joiner := anyChannel(t, Joiner, "verify=0")
			type seen struct {
				own  bool
				peer Peer
				err  error
			}
			result := make(chan seen, 1)
			go func() {
				raw, err := ln.Accept()
				if err != nil {
					result <- seen{err: err}
					return
				}
				conn, err := joiner.Server(context.Background(), raw)
				if err != nil {
					result <- seen{err: err}
					return
				}
				defer conn.Close()
				result <- seen{own: conn.Own(), peer: conn.Peer()}
			}()
			conn, err := stdtls.Dial("tcp", ln.Addr().String(), &stdtls.Config{InsecureSkipVerify: true, NextProtos: tt.offers})
			s := <-result
			if tt.err != "" {
				wantErr(t, "joiner", s.err, tt.err)
				return
			}
			if err != nil || s.err != nil {
				t.Fatal(err, s.err)
			}
			defer conn.Close()
			if s.own != tt.own {
				t.Errorf("Own is %v, want %v", s.own, tt.own)
			}
			if s.peer.Leaf != nil || s.peer.Fingerprint != "" || s.peer.Addr != conn.LocalAddr().String() || s.peer.Version != "TLS 1.3" {
				t.Errorf("peer without a certificate: %+v", s.peer)
			}
		})
	}
}

func TestPeer(t *testing.T) {
	node := issue(t, spec{cns: []string{"first", "localhost\x1b[31m"}, dns: []string{"localhost"}, serial: 0xBEEF})
	tca, cert := bundle(t, node), node.pem(t)
	o := meet(t, load(t, Config{Role: Joiner, CA: tca, Cert: cert}), load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost"}))
	if o.donorErr != nil || o.joinerErr != nil {
		t.Fatal(o.donorErr, o.joinerErr)
	}
	p := o.joiner.Peer()
	if p.CommonName != "first" || p.Serial != "beef" || len(p.Fingerprint) != 64 || p.Addr != o.donor.LocalAddr().String() || p.Cipher == "" {
		t.Errorf("%+v", p)
	}
	if strings.Contains(p.Subject, "\x1b") {
		t.Errorf("subject %q would reach a terminal as it is", p.Subject)
	}
}

func TestExplain(t *testing.T) {
	alert := func(n uint8) error {
		return fmt.Errorf("reading: %w", &net.OpError{Op: "remote error", Err: stdtls.AlertError(n)})
	}
	for n, want := range map[uint8]string{
		40: "no common cipher", 42: "refused our certificate", 43: "kind or purpose", 44: "revoked", 45: "expired", 46: "refused our certificate",
		48: "does not know the authority", 49: "denied", 51: "signature", 70: "does not speak our TLS versions", 71: "too weak",
		80: "internal error", 112: "the name we asked for", 116: "demands a certificate", 120: "another protocol", 22: "broke off the connection",
	} {
		err := Explain(alert(n))
		wantErr(t, fmt.Sprintf("alert %d", n), err, "the other node: ", want)
		if Hint(err) == "" {
			t.Errorf("alert %d: no hint", n)
		}
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "remote error" {
			t.Errorf("alert %d: the cause is lost in %v", n, err)
		}
		if again := Explain(err); again != err {
			t.Errorf("alert %d: explained twice: %v", n, again)
		}
	}
	for _, err := range []error{nil, io.EOF, io.ErrUnexpectedEOF, errors.New("x"), &net.OpError{Op: "read", Err: syscall.ECONNRESET}} {
		if got := Explain(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// TestAPeerThatLeavesAfterTheHandshake is how socat refuses a name.
func TestAPeerThatLeavesAfterTheHandshake(t *testing.T) {
	o := ownPairBeforeData(t)
	o.joiner.Close()
	_, err := o.donor.Read(make([]byte, 1))
	if err != io.EOF {
		t.Fatalf("Read: %v, want io.EOF itself", err)
	}
	wantErr(t, "donor", o.donor.Explain(err), "joiner 127.0.0.1:", "closed the connection after the handshake without a word", "does not accept tcert /")
	wantErr(t, "donor", o.donor.Explain(fmt.Errorf("greeting: %w", io.ErrUnexpectedEOF)), "without a word")

	heard := ownPair(t)
	if err := heard.donor.Explain(io.EOF); err != io.EOF {
		t.Errorf("after data came: %v", err)
	}
	if err := o.donor.Explain(errDisk); err != errDisk {
		t.Errorf("an error of another kind: %v", err)
	}
}

var errDisk = errors.New("disk full")

func ownPairBeforeData(t *testing.T) (o outcome) {
	t.Helper()
	node := issue(t, spec{cn: "localhost"})
	tca, cert := bundle(t, node), node.pem(t)
	joiner := load(t, Config{Role: Joiner, CA: tca, Cert: cert})
	ln := loopback(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		raw, err := ln.Accept()
		if err != nil {
			o.joinerErr = err
			return
		}
		o.joiner, o.joinerErr = joiner.Server(context.Background(), raw)
	}()
	o.donor, o.donorErr = load(t, Config{Role: Donor, CA: tca, Cert: cert, Host: "localhost"}).Dial(t.Context(), "127.0.0.1", portOf(ln))
	<-done
	if o.donorErr != nil || o.joinerErr != nil {
		t.Fatal(o.donorErr, o.joinerErr)
	}
	t.Cleanup(func() { o.donor.Close(); o.joiner.Close() })
	return o
}
