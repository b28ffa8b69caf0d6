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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"wsrep_sst_rsync_tunnel/tls/porttest"
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
	port := porttest.Free(t)
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

// A joiner that waits for its donor: check finds nothing wrong with the port that it
// has, and a handshake tried on it disturbs nobody.
func TestCheckBesideARunningJoiner(t *testing.T) {
	program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pem := filepath.Join(dir, "node.pem")
	if err := writeCertificate("localhost", pem); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	port := porttest.Free(t)
	cnf := filepath.Join(dir, "my.cnf")
	text := fmt.Sprintf("[mariadb]\nwsrep_sst_method=rsync_tunnel\nwsrep_sst_receive_address=localhost:%d\ndatadir=%s\n[sst]\ntca=%s\ntcert=%s\n", port, data, pem, pem)
	if err := os.WriteFile(cnf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	joiner := exec.CommandContext(t.Context(), program, "--role", "joiner", "--address", fmt.Sprintf("localhost:%d", port), "--datadir", data, "--defaults-file", cnf)
	var log strings.Builder
	joiner.Stderr = &log
	out, err := joiner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := joiner.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "ready ") {
		t.Errorf("the joiner says %q", lines.Text())
	}
	check := func(arg ...string) string {
		b, _ := exec.CommandContext(t.Context(), program, append([]string{"check", "--defaults-file=" + cnf}, arg...)...).CombinedOutput()
		return string(b)
	}
	here, peer, again := check(), check(fmt.Sprintf("--peer=localhost:%d", port)), check()
	if err := joiner.Process.Signal(os.Interrupt); err != nil {
		t.Error(err)
	}
	if lines.Scan() {
		t.Errorf("the joiner says %q", lines.Text())
	}
	_ = joiner.Wait() // its status is that of a signal
	want := fmt.Sprintf("the SST that runs on this node (process %d) listens there", joiner.Process.Pid)
	for _, said := range []string{here, again} {
		if !strings.Contains(said, want) || strings.Contains(said, "error ") {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if !strings.Contains(peer, "a joiner that waits for its SST, or another program with TLS. It was not disturbed") {
		t.Errorf("--peer says\n%s", peer)
	}
	if !strings.Contains(log.String(), "ended by the signal interrupt") || !strings.Contains(log.String(), "datadir untouched") {
		t.Errorf("the joiner's log:\n%s", log.String())
	}
	if t.Failed() || testing.Verbose() {
		t.Log("\n" + here + peer + log.String())
	}
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
