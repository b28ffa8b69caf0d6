package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// shown runs a program to its good end, with one of its streams at a terminal, and gives what that shows.
func shown(t *testing.T, cmd *exec.Cmd, stream *io.Writer) string {
	t.Helper()
	terminal, other := openTerminal(t)
	*stream = other
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	other.Close()
	said, _ := io.ReadAll(terminal) // ends with an error: the other end is closed
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return string(said)
}

// A role that a person starts at a terminal shows how far it is in a line that is written
// over and over, and the log above it.
func TestARoleAtATerminalHasALiveLine(t *testing.T) {
	program, err := exec.LookPath("wsrep_sst_rsync_tunnel")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if out, err := exec.CommandContext(t.Context(), program, "certs", "self", "--cn", "localhost", "--out", in("tls")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, d := range []string{"old/mysql", "new"} {
		if err := os.MkdirAll(in(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"old/ibdata1": strings.Repeat("x", 3<<20), "old/ib_logfile0": "x",
		"my.cnf": fmt.Sprintf("[sst]\ntca=%s\ntcert=%s\nstatus-file=off\nrlimit=2m\n", in("tls/localhost.crt"), in("tls/localhost.pem")),
	} {
		if err := os.WriteFile(in(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	receive := exec.CommandContext(t.Context(), program, "receive", "--defaults-file="+in("my.cnf"), "--datadir", in("new"), "--address", fmt.Sprintf("localhost:%d", porttest.Free(t)))
	stdout, err := receive.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := receive.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), " send ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	send := exec.CommandContext(t.Context(), program, "send", "--defaults-file="+in("my.cnf"), "--datadir", in("old"), address)
	said := shown(t, send, &send.Stderr)
	if err := receive.Wait(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(said, "\r\x1b[Kdonor: "); n < 3 || !strings.Contains(said, " of 3.0 MiB), about ") {
		t.Errorf("the line is written %d times:\n%q", n, said)
	}
	if !strings.Contains(said, "\r\x1b[KWSREP_SST: [INFO] Sending continue to donor") {
		t.Errorf("the log does not stand above the line:\n%q", said)
	}
}

// The demo shows the donor's progress, and what happens above it.
func TestTheDemoAtATerminalHasALiveLine(t *testing.T) {
	demo := exec.CommandContext(t.Context(), "wsrep_sst_rsync_tunnel", "demo", "--mb", "256")
	demo.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	said := shown(t, demo, &demo.Stdout)
	line := regexp.MustCompile(`\r\x1b\[K[0-9]+ % \([0-9.]+ (bytes|[KM]iB) of [0-9.]+ MiB\), (about|round|donor|[0-9]+ MB/s) `)
	if n := len(line.FindAllString(said, -1)); n < 2 { // a copy that takes no time at all shows its beginning and its end
		t.Errorf("the line is written %d times:\n%q", n, said)
	}
	if _, after, found := strings.Cut(said, "\r\x1b[Kequal: "); !found || line.MatchString(after) || !regexp.MustCompile(`(\n|\x1b\[K) +[0-9.]+ s  locked +donor`).MatchString(said) {
		t.Errorf("what happens does not stand above the line, or that is still there at the end:\n%q", said)
	}
}
