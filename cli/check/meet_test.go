package check

import (
	"context"
	stdtls "crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// second makes another node of the same cluster.
func (m *machine) second(t *testing.T) *machine {
	t.Helper()
	o := newMachine(t)
	o.ca = m.ca
	o.own = issue(t, wish{cn: "localhost", by: m.ca})
	o.certificates(o.own.certPEM())
	return o
}

// meet lets two nodes meet. Before the real peer comes, early may do something with the
// address.
func meet(t *testing.T, listener, caller *machine, early func(address string)) (there, here *Report) {
	t.Helper()
	listener.configure()
	caller.configure()
	address := fmt.Sprintf("localhost:%d", listener.port)
	listening := make(chan string, 10)
	done := make(chan *Report, 1)
	go func() {
		done <- Listen(t.Context(), listener.o, "", time.Minute, func(_ *Report, text string) { listening <- text })
	}()
	select {
	case said := <-listening:
		if !strings.HasPrefix(said, "listening on") {
			t.Errorf("says %q", said)
		}
	case there := <-done:
		t.Fatalf("does not listen: %+v", there.Findings)
	}
	if early != nil {
		early(address)
	}
	here = Peer(t.Context(), caller.o, address)
	return <-done, here
}

func TestTwoNodesMeet(t *testing.T) {
	a := newMachine(t)
	b := a.second(t)
	b.o.Now = func() time.Time { return today.Add(90 * time.Second) }
	there, here := meet(t, a, b, nil)
	for _, side := range []struct {
		r     *Report
		which string
		name  string
	}{{there, "1m30", "the name is not checked"}, {here, "-", "bears the wanted name localhost"}} {
		has(t, side.r, OK, "handshake", "TLS 1.3, TLS_")
		has(t, side.r, OK, "peer", "CN=localhost, issued by CN=Example CA, valid from 2026-08-17 to 2029-08-21")
		has(t, side.r, OK, "name", side.name)
		has(t, side.r, OK, "seen there", "CN=localhost, issued by CN=Example CA")
	}
	wants(t, there, "warning clocks: ahead of this one's, round trip")
	wants(t, here, "warning clocks: behind this one's, round trip")
	for _, r := range []*Report{there, here} {
		if i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Subject == "clocks" }); i >= 0 &&
			!strings.Contains(r.Findings[i].Text, "1m30") && !strings.Contains(r.Findings[i].Text, "1m29") {
			t.Errorf("%+v", r.Findings[i])
		}
	}
}

func TestClocksThatAgree(t *testing.T) {
	a := newMachine(t)
	there, here := meet(t, a, a.second(t), nil)
	wants(t, there)
	wants(t, here)
	has(t, here, OK, "clocks", "round trip")
}

func TestNodesThatDoNotTrustEachOther(t *testing.T) {
	for _, c := range []struct {
		name        string
		ruin        func(listener, caller *machine)
		there, here []string
	}{
		{"the caller's authority is unknown to the listener", func(l, c *machine) {
			c.own = issue(c.t, wish{cn: "localhost", by: issue(c.t, wish{cn: "Other CA", ca: true})})
			c.certificates(c.own.certPEM())
		}, []string{"error handshake: was issued by CN=Other CA, which is not in"}, []string{"error handshake: does not know the authority that signed our certificate"}},
		{"the listener's authority is unknown to the caller", func(l, c *machine) {
			l.own = issue(l.t, wish{cn: "localhost", by: issue(l.t, wish{cn: "Other CA", ca: true})})
			l.certificates(l.own.certPEM())
		}, []string{"error handshake: refused our certificate"}, []string{"error handshake: was issued by CN=Other CA, which is not in"}},
		{"the listener bears another name", func(l, c *machine) {
			l.own = issue(l.t, wish{cn: "node7", by: l.ca})
			l.certificates(l.own.certPEM())
		}, []string{"error handshake: refused our certificate"}, []string{"error handshake: bears CN=node7 and not the wanted name localhost"}},
		{"the caller ends soon", func(l, c *machine) {
			c.own = issue(c.t, wish{cn: "localhost", by: c.ca, from: -100, until: 7})
			c.certificates(c.own.certPEM())
		}, []string{"warning peer: valid from 2026-08-17 to 2026-12-02"}, nil},
		{"no TLS version in common", func(l, c *machine) {
			l.sst = append(l.sst, "sockopt=,max-version=TLS1.2")
			c.sst = append(c.sst, "sockopt=,min-version=TLS1.3")
		}, []string{"error handshake: has no TLS version in common"}, []string{"error handshake: does not speak our TLS versions"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newMachine(t)
			caller := l.second(t)
			c.ruin(l, caller)
			there, here := meet(t, l, caller, nil)
			wants(t, there, c.there...)
			wants(t, here, c.here...)
		})
	}
}

// A port scan is no peer: Listen goes on waiting.
func TestAPortScanIsNoPeer(t *testing.T) {
	a := newMachine(t)
	there, here := meet(t, a, a.second(t), func(address string) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	})
	wants(t, there)
	wants(t, here)
}

// A joiner that waits for its SST refuses the handshake of a check before any
// certificate is looked at, and takes the next real donor.
func TestAJoinerIsNotDisturbed(t *testing.T) {
	m := newMachine(t)
	m.configure()
	n := readNode(m.o.withDefaults(), &Report{})
	joiner, err := tls.Load(n.channel(tls.Joiner))
	if err != nil {
		t.Fatal(err)
	}
	l, err := joiner.Listen(t.Context(), "localhost", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	results := make(chan error, 2)
	go func() {
		for range 2 {
			raw, err := l.Accept()
			if err == nil {
				var conn *tls.Conn
				if conn, err = joiner.Server(t.Context(), raw); err == nil {
					defer conn.Close()
					if !conn.Own() {
						err = fmt.Errorf("it is not our own")
					}
				}
			}
			results <- err
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	r := Peer(t.Context(), m.o, fmt.Sprintf("localhost:%d", port))
	wants(t, r, "error peer: a joiner that waits for its SST")
	if err := <-results; !tls.OtherProtocol(err) {
		t.Errorf("the joiner says %v", err)
	}
	donor, err := tls.Load(n.channel(tls.Donor))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := donor.Dial(t.Context(), "localhost", port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := <-results; err != nil {
		t.Errorf("the joiner says %v", err)
	}
}

// A donor that comes to Listen gets no further than the handshake.
func TestADonorIsToldApart(t *testing.T) {
	m := newMachine(t)
	m.configure()
	n := readNode(m.o.withDefaults(), &Report{})
	listening := make(chan string, 10)
	done := make(chan *Report, 1)
	go func() {
		done <- Listen(t.Context(), m.o, "", time.Minute, func(_ *Report, text string) { listening <- text })
	}()
	<-listening
	donor, err := tls.Load(n.channel(tls.Donor))
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := donor.Dial(t.Context(), "localhost", m.port); err == nil {
		conn.Close()
		t.Error("the donor gets in")
	} else if !tls.OtherProtocol(err) {
		t.Errorf("the donor says %v", err)
	}
	wants(t, <-done, "error peer: is a donor with an SST")
}

// The joiner of an SST script says something first; another program does not.
func TestProgramsWithTLSThatKnowNoCheck(t *testing.T) {
	for _, c := range []struct{ name, says, want string }{
		{"a script's joiner", "@RSYNCD: 31.0 sha512\n", "warning peer: the joiner of an SST script"},
		{"a web server", "HTTP/1.1 400 Bad Request\r\n", "warning peer: another program with TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t)
			m.configure()
			pair, err := stdtls.X509KeyPair(m.own.certPEM(), m.own.keyPEM(t))
			if err != nil {
				t.Fatal(err)
			}
			l, err := stdtls.Listen("tcp", "localhost:0", &stdtls.Config{Certificates: []stdtls.Certificate{pair}, ClientAuth: stdtls.RequireAnyClientCert})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			heard := make(chan int, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				conn.Write([]byte(c.says))
				n, _ := conn.Read(make([]byte, 100))
				heard <- n
			}()
			port := l.Addr().(*net.TCPAddr).Port
			wants(t, Peer(t.Context(), m.o, fmt.Sprintf("localhost:%d", port)), c.want)
			if n := <-heard; n != 0 {
				t.Errorf("%d bytes were sent to it", n)
			}
		})
	}
}

func TestListenEnds(t *testing.T) {
	m := newMachine(t)
	m.configure()
	r := Listen(t.Context(), m.o, "", time.Millisecond, func(*Report, string) {})
	wants(t, r, "error listen: nobody came within 1ms")

	ctx, cancel := context.WithCancel(t.Context())
	r = Listen(ctx, m.o, "", time.Minute, func(*Report, string) { cancel() })
	wants(t, r)
}

func TestAddressesToMeetAt(t *testing.T) {
	m := newMachine(t)
	m.configure()
	for address, want := range map[string]string{
		fmt.Sprint(m.port):                  fmt.Sprintf("--peer=localhost:%d", m.port),
		fmt.Sprintf("127.0.0.1:%d", m.port): fmt.Sprintf("--peer=127.0.0.1:%d", m.port),
	} {
		r := Listen(t.Context(), m.o, address, time.Millisecond, func(*Report, string) {})
		wants(t, r, "error listen: nobody came")
		if hint := r.Findings[len(r.Findings)-1].Hint; !strings.Contains(hint, want) {
			t.Errorf("%s: %q", address, hint)
		}
	}
	wants(t, Listen(t.Context(), m.o, "a:b:c", time.Millisecond, func(*Report, string) {}), "error listen: address")
	wants(t, Peer(t.Context(), m.o, "a b"), "error peer: address")
	wants(t, Peer(t.Context(), m.o, fmt.Sprintf("localhost:%d", m.port)), "error handshake: connection refused")
}

func TestNoHandshakeWithoutTLS(t *testing.T) {
	m := newMachine(t)
	m.mariadb[0], m.sst = "wsrep_sst_method=rsync", nil
	m.configure()
	wants(t, Peer(t.Context(), m.o, "localhost:1"), "error handshake: there is none to try, nothing is encrypted")
}

func FuzzParseLine(f *testing.F) {
	f.Add([]byte(`{"version":"0.1.0","time_ns":1,"seen":{"address":"a","certificate":"b\n","channel":"c","name":"d"}}`))
	f.Add([]byte("@RSYNCD: 31.0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := parseLine(text)
		if err != nil {
			return
		}
		all := l.Version
		if l.Seen != nil {
			all += l.Seen.String()
		}
		if strings.ContainsAny(all, "\n\r\x1b") || len(all) > 5*4*1000 {
			t.Errorf("%q", all)
		}
	})
}
