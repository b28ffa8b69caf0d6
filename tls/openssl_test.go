package tls

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"testing"
)

func TestOpenSSLClientToJoiner(t *testing.T) {
	openssl := tool(t, "openssl")
	f := newSocatFiles(t)
	joiner := load(t, Config{Role: Joiner, CA: f.tca, Cert: f.joiner})
	for _, tt := range []struct {
		name string
		args []string
		own  bool
		cert string // openssl's
		sees []string
		says string // openssl's stderr
	}{
		{name: "with our ALPN it counts as one of us", args: []string{"-alpn", ALPN}, own: true},
		{name: "without ALPN", args: nil},
		{name: "I4 P-256 only, as socat", args: []string{"-groups", "P-256"}},
		{name: "I4 wider than socat: X25519 only", args: []string{"-groups", "X25519"}},
		{name: "TLS 1.2 with P-384", args: []string{"-tls1_2", "-groups", "P-384"}},
		{name: "TLS 1.1", args: []string{"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"}, sees: []string{"no TLS version in common"}, says: "alert protocol version"},
		{name: "A15 the reason for refusing it reaches the peer", cert: f.foreign, sees: []string{"was issued by CN=other CA"}, says: "alert unknown ca"},
		{name: "A16 the joiner learns what openssl holds of its certificate", args: []string{"-CAfile", f.foreign},
			sees: []string{"does not know the authority that signed our certificate (tcert " + f.joiner}, says: "certificate verify failed"},
		{name: "A16 the same with TLS 1.2", args: []string{"-CAfile", f.foreign, "-tls1_2"},
			sees: []string{"does not know the authority that signed our certificate (tcert " + f.joiner}, says: "certificate verify failed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln := loopback(t)
			if tt.cert == "" {
				tt.cert = f.donor
			}
			args := append([]string{"s_client", "-connect", ln.Addr().String(), "-cert", tt.cert, "-CAfile", f.tca, "-verify_return_error", "-quiet"}, tt.args...)
			p := start(t, openssl, args...)
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
			if conn.Own() != tt.own {
				t.Errorf("own %v, want %v", conn.Own(), tt.own)
			}
			if _, err := conn.Write([]byte("hello\n")); err != nil {
				t.Error(err)
			}
			for {
				line, err := p.stdout.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if line == "hello\n" {
					break
				}
			}
		})
	}
}

// TestANewKeyInTheMiddleOfBatches: openssl asks for a change of keys ("K") while
// large writes are under way; the answer of crypto/tls must find its place
// between the records that are being collected.
func TestANewKeyInTheMiddleOfBatches(t *testing.T) {
	openssl := tool(t, "openssl")
	f := newSocatFiles(t)
	joiner := load(t, Config{Role: Joiner, CA: f.tca, Cert: f.joiner})
	ln := loopback(t)
	p := start(t, openssl, "s_client", "-connect", ln.Addr().String(), "-cert", f.donor, "-CAfile", f.tca, "-tls1_3")
	raw, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := joiner.Server(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const rounds = 40
	chunk := bytes.Repeat([]byte("0123456789abcde\n"), 256<<10/16)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			if _, err := conn.Write(chunk); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		if _, err := io.CopyN(io.Discard, p.stdout, int64(rounds*len(chunk))); err != nil {
			t.Error(err)
		}
	})
	// crypto/tls takes only a few changes in a row without data between, and
	// openssl takes a command only when it reads nothing else with it.
	lines := bufio.NewReader(conn)
	for range rounds {
		io.WriteString(p.stdin, "K\n")
		p.await(t, "KEYUPDATE")
		io.WriteString(p.stdin, "data\n")
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
