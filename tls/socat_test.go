package tls

import (
	"bufio"
	"bytes"
	"context"
	stdtls "crypto/tls"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// tool is the path of a program of the outside world; without it the test is skipped.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED AGAINST THE REAL THING: %s is not installed", name)
	}
	return path
}

// output runs a program that ends by itself.
func output(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// process is a running peer; log has what it wrote to stderr.
type process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	lines  chan string // stderr, closed at its end
	mu     sync.Mutex
	text   strings.Builder
}

func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	p := &process{cmd: exec.CommandContext(ctx, name, args...), lines: make(chan string, 10000)}
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	stderr, err3 := p.cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, p.cmd.Start()); err != nil {
		cancel()
		t.Fatal(err)
	}
	p.stdin, p.stdout = stdin, bufio.NewReader(stdout)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			p.mu.Lock()
			p.text.WriteString(s.Text() + "\n")
			p.mu.Unlock()
			p.lines <- s.Text()
		}
	})
	t.Cleanup(func() {
		stdin.Close()
		cancel()
		reading.Wait()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("%s %v:\n%s", name, args, p.log())
		}
	})
	return p
}

func (p *process) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// await reads the log up to a line with one of the texts.
func (p *process) await(t *testing.T, texts ...string) {
	t.Helper()
	for line := range p.lines {
		for _, text := range texts {
			if strings.Contains(line, text) {
				return
			}
		}
	}
	t.Fatalf("the peer never said any of %q:\n%s", texts, p.log())
}

// socatJoiner is the joiner of the stock script, with an echo in place of rsync.
func socatJoiner(t *testing.T, options string) (*process, int) {
	t.Helper()
	port := porttest.Free(t)
	p := start(t, tool(t, "socat"), "-d", "-d", fmt.Sprintf("openssl-listen:%d,bind=localhost,reuseaddr,fork,%s", port, options), "PIPE")
	p.await(t, "listening on")
	return p, port
}

// socatFiles are certificates as in the README of the script, with RSA keys.
type socatFiles struct {
	tca                   string
	joiner, donor         string // for localhost
	foreign               string // by an authority that is not in tca
	joinerID, foreignedID *ident
}

func newSocatFiles(t *testing.T) socatFiles {
	t.Helper()
	ca, other := issue(t, spec{cn: "CA", ca: true, key: rsaKey()}), newCA(t, "other CA")
	j := issue(t, spec{cn: "localhost", by: ca, key: rsaKey()})
	f := issue(t, spec{cn: "localhost", by: other, key: rsaKey()})
	return socatFiles{
		tca: bundle(t, ca), joiner: j.pem(t), donor: issue(t, spec{cn: "donor", by: ca, key: rsaKey()}).pem(t),
		foreign: f.pem(t), joinerID: j, foreignedID: f,
	}
}

// echo sends data, ends its direction, and wants the same data back and the end.
func echo(t *testing.T, conn *Conn, data []byte) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := conn.Write(data); err != nil {
			t.Error("write:", err)
		}
		if err := conn.Conn.(*stdtls.Conn).CloseWrite(); err != nil {
			t.Error("close write:", err)
		}
	})
	got, err := io.ReadAll(conn)
	wg.Wait()
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(data), conn.Explain(err))
	}
}

func TestDonorToSocat(t *testing.T) {
	tool(t, "socat")
	f := newSocatFiles(t)
	list18, list17 := ",cipher="+tripleO2018, ",cipher="+tripleO2017
	for _, tt := range []struct {
		name    string
		socat   string // beside cert and cafile
		cert    string // socat's
		config  Config // the donor's, beside CA
		version string
		cipher  string
		sees    []string
	}{
		{name: "as in the README, with an authority", version: "TLS 1.3"},
		{name: "socat does not verify", socat: ",verify=0", config: Config{Cert: f.foreign}, version: "TLS 1.3"},
		{name: "the donor does not verify", cert: f.foreign, config: Config{Sockopt: "verify=0"}, version: "TLS 1.3"},
		{name: "neither does", cert: f.foreign, socat: ",verify=0", config: Config{Cert: f.foreign, Sockopt: "verify=0"}, version: "TLS 1.3"},
		{name: "TLS 1.2", socat: ",max-version=TLS1.2", version: "TLS 1.2"},
		{name: "C1 the TripleO list of 2018, TLS 1.2", socat: list18 + ",max-version=TLS1.2", config: Config{Sockopt: list18}, version: "TLS 1.2", cipher: "TLS_ECDHE_RSA_WITH_AES_"},
		{name: "C1d the TripleO list of 2017, TLS 1.2: RSA key exchange", socat: list17 + ",max-version=TLS1.2", config: Config{Sockopt: list17}, version: "TLS 1.2", cipher: "TLS_RSA_WITH_AES_"},
		{name: "socat checks the donor's name", socat: ",commonname=donor", version: "TLS 1.3"},
		{name: "socat wants another name of the donor", socat: ",commonname=foo", sees: []string{"joiner 127.0.0.1:", "closed the connection after the handshake without a word", "tca or its sockopt commonname"}},
		{name: "A15 socat does not trust the donor", config: Config{Cert: f.foreign}, sees: []string{"joiner 127.0.0.1:", "does not know the authority that signed our certificate (tcert " + f.foreign}},
		{name: "A15 the same with TLS 1.2", socat: ",max-version=TLS1.2", config: Config{Cert: f.foreign}, sees: []string{"does not know the authority"}},
		{name: "A16 the donor does not trust socat", cert: f.foreign, sees: []string{"was issued by CN=other CA, which is not in tca"}},
		{name: "A17 socat's certificate bears another name", config: Config{Host: "node7"}, sees: []string{"bears CN=localhost and not the wanted name node7"}},
		{name: "no version in common", socat: ",max-version=TLS1.2", config: Config{Sockopt: "min-version=TLS1.3"}, sees: []string{"does not speak our TLS versions"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cert == "" {
				tt.cert = f.joiner
			}
			p, port := socatJoiner(t, "cert="+tt.cert+",cafile="+f.tca+tt.socat)
			c := tt.config
			c.Role, c.CA = Donor, f.tca
			if c.Cert == "" {
				c.Cert = f.donor
			}
			if c.Host == "" {
				c.Host = "localhost"
			}
			conn, err := load(t, c).Dial(t.Context(), "127.0.0.1", port)
			if len(tt.sees) > 0 {
				if err == nil {
					_, err = conn.Read(make([]byte, 1))
					err = conn.Explain(err)
					conn.Close()
				}
				wantErr(t, "donor", err, tt.sees...)
				return
			}
			if err != nil {
				t.Fatalf("%v\nsocat: %s", err, p.log())
			}
			defer conn.Close()
			if conn.Own() {
				t.Error("socat passes for one of us")
			}
			if got := conn.Peer(); got.Version != tt.version || !strings.HasPrefix(got.Cipher, tt.cipher) || got.CommonName != "localhost" {
				t.Errorf("%+v, want %s with %s", got, tt.version, tt.cipher)
			}
			echo(t, conn, random(3<<20))
		})
	}
}

// TestManyConnectionsToOneSocat: its listener verifies without a session id
// context, and OpenSSL would break off a connection that offers it a ticket.
func TestManyConnectionsToOneSocat(t *testing.T) {
	f := newSocatFiles(t)
	for _, version := range []string{"TLS1.2", "TLS1.3"} {
		_, port := socatJoiner(t, "cert="+f.joiner+",cafile="+f.tca+",max-version="+version)
		donor := load(t, Config{Role: Donor, CA: f.tca, Cert: f.donor, Host: "localhost"})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 5 {
					conn, err := donor.Dial(t.Context(), "127.0.0.1", port)
					if err != nil {
						t.Error(version, err)
						return
					}
					echo(t, conn, []byte("again"))
					conn.Close()
				}
			})
		}
		wg.Wait()
	}
}

func TestSocatToJoiner(t *testing.T) {
	socat := tool(t, "socat")
	f := newSocatFiles(t)
	list18, list17 := ",cipher="+tripleO2018, ",cipher="+tripleO2017
	with := func(cert string) string { return "cert=" + cert + ",cafile=" + f.tca }
	for _, tt := range []struct {
		name    string
		socat   string // options of the address
		config  Config // the joiner's, beside CA
		version string
		cipher  string
		cn      string
		sees    []string // the joiner
		says    string   // socat's log: of an alert after its own handshake it says nothing
	}{
		{name: "as in the README, with an authority", socat: with(f.donor), version: "TLS 1.3", cn: "donor"},
		{name: "socat does not verify", socat: with(f.donor) + ",verify=0", config: Config{Cert: f.foreign}, version: "TLS 1.3", cn: "donor"},
		{name: "B3 the joiner does not verify", socat: with(f.foreign), config: Config{Sockopt: "verify=0"}, version: "TLS 1.3"},
		{name: "B3 and socat has no certificate", socat: "cafile=" + f.tca, config: Config{Sockopt: "verify=0"}, version: "TLS 1.3"},
		{name: "TLS 1.2", socat: with(f.donor) + ",max-version=TLS1.2", version: "TLS 1.2", cn: "donor"},
		{name: "C1 the TripleO list of 2018, TLS 1.2", socat: with(f.donor) + ",max-version=TLS1.2" + list18, config: Config{Sockopt: list18}, version: "TLS 1.2", cipher: "TLS_ECDHE_RSA_WITH_AES_", cn: "donor"},
		{name: "C1d the TripleO list of 2017, TLS 1.2: RSA key exchange", socat: with(f.donor) + ",max-version=TLS1.2" + list17, config: Config{Sockopt: list17}, version: "TLS 1.2", cipher: "TLS_RSA_WITH_AES_", cn: "donor"},
		{name: "A13 the joiner wants the donor's name", socat: with(f.donor), config: Config{Sockopt: "commonname=donor"}, version: "TLS 1.3", cn: "donor"},
		{name: "A13 the joiner wants another name", socat: with(f.donor), config: Config{Sockopt: "commonname=foo"}, sees: []string{"bears CN=donor and not the wanted name foo"}, says: "is at EOF"},
		{name: "A14 socat has no certificate", socat: "cafile=" + f.tca, sees: []string{"sent no certificate"}, says: "is at EOF"},
		{name: "A15 the joiner does not trust socat", socat: with(f.foreign), sees: []string{"was issued by CN=other CA"}, says: "is at EOF"},
		{name: "H4 the same with TLS 1.2", socat: with(f.foreign) + ",max-version=TLS1.2", sees: []string{"was issued by CN=other CA"}, says: "alert unknown ca"},
		{name: "A16 socat does not trust the joiner", socat: with(f.donor), config: Config{Cert: f.foreign}, sees: []string{"does not know the authority that signed our certificate (tcert " + f.foreign}, says: "certificate verify failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits half a second for socat to end
			c := tt.config
			c.Role, c.CA = Joiner, f.tca
			if c.Cert == "" {
				c.Cert = f.joiner
			}
			joiner := load(t, c)
			ln, err := joiner.Listen(t.Context(), "127.0.0.1", 0)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			p := start(t, socat, "-d", "-d", "-", fmt.Sprintf("openssl:localhost:%d,pf=ip4,%s", portOf(ln), tt.socat))
			raw, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := joiner.Server(t.Context(), raw)
			if len(tt.sees) > 0 {
				wantErr(t, "joiner", err, tt.sees...)
				p.await(t, tt.says)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if got := conn.Peer(); conn.Own() || got.Version != tt.version || !strings.HasPrefix(got.Cipher, tt.cipher) || got.CommonName != tt.cn {
				t.Errorf("own %v, %+v, want %s with %s by %s", conn.Own(), got, tt.version, tt.cipher, tt.cn)
			}
			sent := random(3 << 20)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := conn.Write(sent); err != nil {
					t.Error(err)
				}
				conn.Conn.(*stdtls.Conn).CloseWrite()
			})
			got, err := io.ReadAll(p.stdout)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("socat passed on %d bytes of %d, %v", len(got), len(sent), err)
			}
			wg.Wait()
		})
	}
}

func TestSocatSendsToTheEnd(t *testing.T) {
	socat := tool(t, "socat")
	f := newSocatFiles(t)
	joiner := load(t, Config{Role: Joiner, CA: f.tca, Cert: f.joiner})
	ln := loopback(t)
	sent := random(3 << 20)
	p := start(t, socat, "-u", "-", fmt.Sprintf("openssl:localhost:%d,pf=ip4,cert=%s,cafile=%s", portOf(ln), f.donor, f.tca))
	var wg sync.WaitGroup
	wg.Go(func() {
		p.stdin.Write(sent)
		p.stdin.Close()
	})
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := joiner.Server(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived of %d: %v", len(got), len(sent), err)
	}
	wg.Wait()
}
