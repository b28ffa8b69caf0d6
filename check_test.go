package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Two processes, as on two nodes: one waits, the other comes, each says what it saw.
func TestCheckBetweenTwoProcesses(t *testing.T) {
	program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pem := filepath.Join(dir, "node.pem")
	if err := writeCertificate("localhost", pem); err != nil {
		t.Fatal(err)
	}
	port := freePort()
	cnf := filepath.Join(dir, "my.cnf")
	text := fmt.Sprintf("[mariadb]\nwsrep_sst_method=rsync_tunnel\nwsrep_sst_receive_address=localhost:%d\n[sst]\ntca=%s\ntcert=%s\n", port, pem, pem)
	if err := os.WriteFile(cnf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	listen := exec.CommandContext(t.Context(), program, "check", "--defaults-file="+cnf, "--listen", "--timeout=1m")
	out, err := listen.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	var there strings.Builder
	here := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&there, lines.Text())
		if strings.HasPrefix(lines.Text(), "listening on ") {
			b, err := exec.CommandContext(t.Context(), program, "check", "--defaults-file="+cnf, fmt.Sprintf("--peer=localhost:%d", port)).CombinedOutput()
			if err != nil {
				t.Errorf("--peer: %v", err)
			}
			here = string(b)
		}
	}
	if err := listen.Wait(); err != nil {
		t.Errorf("--listen: %v", err)
	}
	for _, said := range []string{here, there.String()} {
		for _, want := range []string{"ok       handshake     with ", ": TLS 1.3, TLS_", "ok       peer          CN=localhost, issued by CN=localhost", "ok       seen there ", "ok       clocks "} {
			if !strings.Contains(said, want) {
				t.Errorf("no %q in\n%s", want, said)
			}
		}
	}
}

// freePort is one that nobody has at this moment; 0 if there is none.
func freePort() int {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificate is a command of the scripts: "certificate NAME FILE" makes a self-signed
// certificate for NAME and writes it with its key to FILE.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: certificate NAME FILE")
	}
	ts.Check(writeCertificate(args[0], ts.MkAbs(args[1])))
}

// writeCertificate makes one.
func writeCertificate(name, file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	return os.WriteFile(file, text, 0o600)
}
