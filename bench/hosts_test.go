package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// A listener under test.
type heard struct {
	port   int
	secret string
	over   chan error
}

var invitation = regexp.MustCompile(`^wsrep_sst_rsync_tunnel bench --connect 127\.0\.0\.1:(\d+) --(?:secret ([A-Z2-7]{26})|node)$`)

// listening starts a Listen and reads what it tells the other host.
func listenHere(t *testing.T, ctx context.Context, o HostOptions) *heard {
	t.Helper()
	port, err := mariadbd.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	o.Address, o.Out = fmt.Sprintf("127.0.0.1:%d", port), w
	h := &heard{port: port, over: make(chan error, 1)}
	go func() {
		err := Listen(ctx, o)
		w.CloseWithError(errors.Join(err, io.EOF))
		h.over <- err
	}()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if m := invitation.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			h.secret = m[2]
			go io.Copy(io.Discard, r)
			return h
		}
	}
}

func (h *heard) address() string { return fmt.Sprintf("127.0.0.1:%d", h.port) }

// emptyTemp is a directory for temporary files that has to be empty in the end.
func emptyTemp(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	})
}

func TestTwoHostsMeasureAndWriteNothing(t *testing.T) {
	emptyTemp(t)
	h := listenHere(t, t.Context(), HostOptions{})
	r, err := Connect(t.Context(), HostOptions{Address: h.address(), Secret: strings.ToLower(h.secret), Megabytes: 8, Runs: 1, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-h.over; err != nil {
		t.Errorf("the listener ends with %v", err)
	}
	names := ""
	for _, result := range r.Results {
		names += result.Name + " "
		if result.MBps <= 0 || result.DonorPeak < 1 || result.JoinerPeak < 1 {
			t.Errorf("%+v", result)
		}
	}
	if names != "ours tls network " || r.Bytes != 8<<20 || r.BoundBy == "" || r.Memory != "nothing is written" {
		t.Errorf("%s: %+v", names, r)
	}
}

func TestTwoHostsMeasureWithDirectories(t *testing.T) {
	emptyTemp(t)
	from, to := t.TempDir(), t.TempDir()
	for name, size := range map[string]int{"a/x.ibd": 300_000, "a/deep/y.ibd": 5, "b/z.ibd": 0, "top.txt": 70_000} {
		file := filepath.Join(from, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, make([]byte, size), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	h := listenHere(t, t.Context(), HostOptions{Dir: to})
	r, err := Connect(t.Context(), HostOptions{Address: h.address(), Secret: h.secret, Dir: from, Runs: 2, Threads: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-h.over; err != nil {
		t.Errorf("the listener ends with %v", err)
	}
	if len(r.Results) != 5 || r.Bytes != 370_005 || r.Files != 4 || !strings.HasPrefix(r.Memory, "written to ") {
		t.Errorf("%+v", r)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) > 0 {
		t.Errorf("left behind where was written: %v (%v)", left, err)
	}
}

// With a node's own certificates, as an SST has them.
func TestTwoHostsMeasureWithTheCertificatesOfTheNode(t *testing.T) {
	emptyTemp(t)
	f, err := mariadbd.NewFolder(t.TempDir(), "certs-", true, 0)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := mariadbd.NewCertificates(f, mariadbd.Host, "donor", "joiner")
	if err != nil {
		t.Fatal(err)
	}
	node := func(name string) HostOptions {
		file := f.Path(name + ".cnf")
		text := fmt.Sprintf("[sst]\ntca=%s\ntcert=%s\n", certs.All, certs.Bundles[name])
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return HostOptions{Node: true, Defaults: mycnf.Args{HasFile: true, File: file}}
	}
	h := listenHere(t, t.Context(), node("joiner"))
	o := node("donor")
	o.Address, o.Megabytes, o.Runs = h.address(), 1, 1
	if _, err := Connect(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := <-h.over; err != nil {
		t.Errorf("the listener ends with %v", err)
	}
}

// Who does not know the secret gets nowhere, and does not end the listener.
func TestStrangersGetNowhere(t *testing.T) {
	emptyTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := listenHere(t, ctx, HostOptions{})
	for _, secret := range []string{"", "short", strings.Repeat("1", 26)} {
		if _, err := Connect(ctx, HostOptions{Address: h.address(), Secret: secret}); err == nil || !strings.Contains(report.Hint(err), "bench --listen prints") {
			t.Errorf("the secret %q: %v", secret, err)
		}
	}
	if _, err := Connect(ctx, HostOptions{Address: h.address(), Secret: strings.Repeat("A", 26), Megabytes: 1}); err == nil {
		t.Error("another secret is good enough")
	}
	for name, said := range map[string]string{
		"no token":        `{"op":"data"}` + "\n",
		"a wrong token":   `{"op":"data","token":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}` + "\n",
		"not our line":    "GET / HTTP/1.0\n\n",
		"no end":          strings.Repeat("x", maxTalk+10),
		"a half of TLS":   "\x16\x03\x01\x00\x05hello",
		"nothing at all":  "",
		"a big handshake": "\x16\x03\x01\xff\xff" + strings.Repeat("x", 70_000),
	} {
		conn, err := net.Dial("tcp", h.address())
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(said)) // may be refused in the middle
		conn.(*net.TCPConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) || len(got) > 100 {
			t.Errorf("%s: gets %q, %v", name, got, err)
		}
		conn.Close()
	}
	if _, err := Connect(ctx, HostOptions{Address: h.address(), Secret: h.secret, Megabytes: 1, Runs: 1}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := <-h.over; err != nil {
		t.Errorf("the listener ends with %v", err)
	}
}

func TestAListenerEndsWithItsContext(t *testing.T) {
	emptyTemp(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	h := listenHere(t, ctx, HostOptions{})
	reason := errors.New("a signal")
	cancel(reason)
	if err := <-h.over; !errors.Is(err, reason) {
		t.Errorf("ends with %v", err)
	}
}

func FuzzReceiveLine(f *testing.F) {
	f.Add([]byte(`{"op":"hello","bytes":1}` + "\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		a, b := net.Pipe()
		go func() { a.Write(said); a.Close() }()
		var r request
		for receiveLine(b, &r, time.Minute) == nil {
		}
		b.Close()
	})
}
