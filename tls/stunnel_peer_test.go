package tls

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// startStunnel runs stunnel with the options that the stock script gives it, until the
// end of the test.
func startStunnel(t *testing.T, options ...string) {
	t.Helper()
	program, err := exec.LookPath("stunnel")
	if err != nil {
		if os.Getenv("E2E_REQUIRE_PEERS") == "1" {
			t.Fatal("stunnel is not installed and E2E_REQUIRE_PEERS=1")
		}
		t.Skip("NOT TESTED: stunnel is not installed")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "stunnel.conf")
	lines := append([]string{"foreground = yes", "pid = " + filepath.Join(dir, "pid"), "debug = warning"}, options...)
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("stunnel:\n%s", out)
		}
	})
}

// untilListening waits for another program to listen on a port of loopback.
func untilListening(t *testing.T, port int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(10 * time.Second); ; {
		// A connection would be one for the program, too: whether the port is taken
		// can be seen without.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return
		}
		l.Close()
		select {
		case <-limit:
			t.Fatalf("nobody listens on port %d", port)
		case <-tick.C:
		}
	}
}

// echoServer answers each line with itself; it stands for rsync behind a stunnel.
func echoServer(t *testing.T) int {
	t.Helper()
	ln := loopback(t)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				conn.Write([]byte(line))
			}()
		}
	}()
	return portOf(ln)
}

// The stock joiner is a stunnel in front of rsync. What is refused and what is not is
// its business; that many connections to it are one full handshake is ours.
func TestDonorToStunnel(t *testing.T) {
	ca := newCA(t, "CA")
	j, d := issue(t, spec{cn: "localhost", by: ca}), issue(t, spec{cn: "donor", by: ca})
	stranger := issue(t, spec{cn: "stranger"})
	tca, both := bundle(t, ca), bundle(t, ca, j, d)
	key, crt := file(t, j.keyPEM()), file(t, j.certPEM())
	for _, tt := range []struct {
		name    string
		options []string
		c       Config
		refused []string
	}{
		{name: "REQUIRED, without a certificate", c: Config{Mode: Required}},
		{name: "VERIFY_CA", options: []string{"CAfile = " + tca, "verifyChain = yes"}, c: Config{Mode: VerifyCA, CA: tca, Cert: d.pem(t)}},
		{name: "VERIFY_IDENTITY", options: []string{"CAfile = " + both, "verifyPeer = yes"},
			c: Config{Mode: VerifyIdentity, CA: both, Cert: d.pem(t), Identity: Identity{Hosts: []string{"LOCALHOST"}}}},
		{name: "VERIFY_CA, without a certificate", options: []string{"CAfile = " + tca, "verifyChain = yes"}, c: Config{Mode: VerifyCA, CA: tca},
			refused: []string{"certificate"}},
		{name: "VERIFY_CA, with an unknown certificate", options: []string{"CAfile = " + tca, "verifyChain = yes"}, c: Config{Mode: VerifyCA, CA: bundle(t, ca, stranger), Cert: stranger.pem(t)},
			refused: []string{"our certificate"}},
		{name: "VERIFY_IDENTITY, with a certificate that is not in the file", options: []string{"CAfile = " + tca, "verifyPeer = yes"},
			c: Config{Mode: VerifyIdentity, CA: both, Cert: d.pem(t)}, refused: []string{"certificate"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			port := porttest.Free(t)
			startStunnel(t, append(tt.options, "key = "+key, "cert = "+crt, "client = no", "[rsync]",
				fmt.Sprintf("accept = 127.0.0.1:%d", port), fmt.Sprintf("connect = 127.0.0.1:%d", echoServer(t)))...)
			untilListening(t, port)
			tt.c.Role = Donor
			ch := load(t, tt.c)
			for i := range 4 {
				resumed, err := askEcho(t, ch, port)
				wantErr(t, "donor", err, tt.refused...)
				if tt.refused != nil {
					return
				}
				if resumed != (i > 0) {
					t.Errorf("connection %d: resumed %t", i, resumed)
				}
			}
		})
	}
}

func askEcho(t *testing.T, ch *Channel, port int) (resumed bool, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, err := ch.Dial(ctx, "127.0.0.1", port)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if conn.Own() {
		t.Error("a stunnel passes for one of us")
	}
	if _, err := conn.Write([]byte("@RSYNCD: 31.0\n")); err != nil {
		return false, conn.Explain(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return false, conn.Explain(err)
	}
	if line != "@RSYNCD: 31.0\n" {
		t.Errorf("echo %q", line)
	}
	return conn.Peer().Resumed, nil
}

// The stock donor is a stunnel that rsync talks to.
func TestStunnelToJoiner(t *testing.T) {
	ca := newCA(t, "CA")
	j, d := issue(t, spec{cn: "localhost", by: ca}), issue(t, spec{cn: "donor", by: ca})
	stranger := issue(t, spec{cn: "stranger"})
	tca, both := bundle(t, ca), bundle(t, ca, j, d)
	files := func(i *ident) []string {
		return []string{"key = " + file(t, i.keyPEM()), "cert = " + file(t, i.certPEM())}
	}
	for _, tt := range []struct {
		name    string
		c       Config
		options []string
		refused []string
	}{
		{name: "REQUIRED, with an unknown certificate", c: Config{Mode: Required, Cert: j.pem(t)}, options: files(stranger)},
		{name: "REQUIRED, without a certificate", c: Config{Mode: Required, Cert: j.pem(t)}},
		{name: "VERIFY_CA", c: Config{Mode: VerifyCA, CA: tca, Cert: j.pem(t)}, options: append(files(d), "CAfile = "+tca, "verifyChain = yes")},
		{name: "VERIFY_IDENTITY", c: Config{Mode: VerifyIdentity, CA: both, Cert: j.pem(t)},
			options: append(files(d), "CAfile = "+both, "verifyPeer = yes", "checkHost = localhost")},
		{name: "VERIFY_CA, with an unknown certificate", c: Config{Mode: VerifyCA, CA: tca, Cert: j.pem(t)}, options: files(stranger), refused: []string{"self-signed"}},
		{name: "VERIFY_CA, without a certificate", c: Config{Mode: VerifyCA, CA: tca, Cert: j.pem(t)}, refused: []string{"sent no certificate"}},
		{name: "VERIFY_IDENTITY, with a certificate that only the authority knows", c: Config{Mode: VerifyIdentity, CA: tca, Cert: j.pem(t)}, options: files(d),
			refused: []string{"is not itself in"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.Role = Joiner
			ch := load(t, tt.c)
			ln := loopback(t)
			port := porttest.Free(t)
			startStunnel(t, append(tt.options, "client = yes", "[rsync]",
				fmt.Sprintf("accept = 127.0.0.1:%d", port), fmt.Sprintf("connect = 127.0.0.1:%d", portOf(ln)), "TIMEOUTclose = 0")...)
			untilListening(t, port)
			client, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			raw, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := ch.Server(t.Context(), raw)
			wantErr(t, "joiner", err, tt.refused...)
			if err != nil {
				return
			}
			defer conn.Close()
			if conn.Own() {
				t.Error("a stunnel passes for one of us")
			}
			client.Write([]byte("hello\n"))
			if line, err := bufio.NewReader(conn).ReadString('\n'); line != "hello\n" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
}

// A joiner that breaks off resumed connections gets full ones.
func TestAPeerThatRefusesItsOwnTickets(t *testing.T) {
	id := issue(t, spec{cn: "localhost"})
	joiner := load(t, Config{Mode: Required, Role: Joiner, Cert: id.pem(t)})
	donor := load(t, Config{Mode: Required, Role: Donor})
	port := porttest.Free(t) // the same for both, since a ticket is kept by address
	for _, refuse := range []bool{false, true} {
		if err := meetAt(t, joiner, donor, port, refuse); err != nil {
			t.Fatal(err)
		}
	}
	if donor.resumes() {
		t.Error("tickets are offered on")
	}
}

// meetAt connects; with refuse the first connection is broken off.
func meetAt(t *testing.T, joiner, donor *Channel, port int, refuse bool) error {
	t.Helper()
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			raw, err := ln.Accept()
			if err != nil {
				return
			}
			if refuse {
				refuse = false
				raw.Close()
				continue
			}
			if conn, err := joiner.Server(t.Context(), raw); err == nil {
				conn.Write([]byte("@"))
				conn.Close()
			}
		}
	}()
	defer func() { ln.Close(); <-done }()
	conn, err := donor.Dial(t.Context(), "127.0.0.1", port)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}
