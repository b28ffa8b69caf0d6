package certs

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/tls"
)

// makeNode makes what a node needs, and gives tcert.
func makeNode(t *testing.T, dir string, s Self) (pem string) {
	t.Helper()
	s.Dir, s.Days = dir, 30
	if err := s.Make(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, fileName(s.Name)+".pem")
}

// What certs makes is what an SST needs: two nodes let each other in, in both roles and
// with both kinds of keys, and a third that is not in the bundle is kept out.
func TestNodesWithWhatCertsMadeMeet(t *testing.T) {
	dir := t.TempDir()
	one := makeNode(t, dir, Self{Name: "127.0.0.1"})
	two := makeNode(t, dir, Self{Name: "localhost", More: []string{"127.0.0.1"}, RSA: true})
	stranger := makeNode(t, filepath.Join(dir, "other"), Self{Name: "127.0.0.1"})
	all := filepath.Join(dir, "all.crt")
	b := Bundle{Files: []string{strings.TrimSuffix(one, ".pem") + ".crt", strings.TrimSuffix(two, ".pem") + ".crt"}, Out: all}
	if err := b.Make(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, joiner, donor string
		joinerErr, donorErr string
	}{
		{"ECDSA receives, RSA sends", one, two, "", ""},
		{"RSA receives, ECDSA sends", two, one, "", ""},
		{"a stranger sends", one, stranger, "self-signed and not in tca", ""},
		{"a stranger receives", stranger, one, "", "self-signed and not in tca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			joinerErr, donorErr := meet(t,
				tls.Config{Role: tls.Joiner, CA: all, Cert: c.joiner},
				tls.Config{Role: tls.Donor, CA: all, Cert: c.donor, Host: "127.0.0.1"})
			for _, e := range []struct {
				who, want string
				err       error
				other     string
			}{{"joiner", c.joinerErr, joinerErr, c.donorErr}, {"donor", c.donorErr, donorErr, c.joinerErr}} {
				switch {
				case e.want != "" && (e.err == nil || !strings.Contains(e.err.Error(), e.want)):
					t.Errorf("the %s: %v, want %q", e.who, e.err, e.want)
				case e.want == "" && e.other == "" && e.err != nil:
					t.Errorf("the %s: %v", e.who, e.err)
				}
			}
		})
	}
}

// meet makes a handshake over loopback, and one byte in each direction.
func meet(t *testing.T, j, d tls.Config) (joinerErr, donorErr error) {
	t.Helper()
	joiner, err := tls.Load(j)
	if err != nil {
		t.Fatal(err)
	}
	donor, err := tls.Load(d)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		raw, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		c, err := joiner.Server(ctx, raw)
		if err == nil {
			_, err = c.Write([]byte("@"))
			defer c.Close()
		}
		done <- err
	}()
	c, err := donor.Dial(ctx, "127.0.0.1", ln.Addr().(*net.TCPAddr).Port)
	if err == nil {
		_, err = c.Read(make([]byte, 1))
		c.Close()
	}
	return <-done, err
}

// The other node may run the shell script: its socat asks OpenSSL.
func TestOpenSSLTakesThem(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	dir := t.TempDir()
	for _, s := range []Self{{Name: "node1.example.com"}, {Name: "node2.example.com", RSA: true}} {
		crt := strings.TrimSuffix(makeNode(t, dir, s), ".pem") + ".crt"
		for _, purpose := range []string{"sslserver", "sslclient"} {
			out, err := exec.CommandContext(t.Context(), "openssl", "verify", "-CAfile", crt, "-purpose", purpose, "-verify_hostname", s.Name, crt).CombinedOutput()
			if err != nil {
				t.Errorf("%s as %s: %v\n%s", s.Name, purpose, err, out)
			}
		}
	}
}

func TestNobodyElseReadsTheKey(t *testing.T) {
	dir := t.TempDir()
	pem := makeNode(t, dir, Self{Name: "*.example.com"})
	for name, want := range map[string]fs.FileMode{"_.example.com.key": 0o600, "_.example.com.crt": 0o644, filepath.Base(pem): 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	owner, err := FindOwner("12345:23456")
	if err != nil || owner.UID != 12345 || owner.GID != 23456 {
		t.Errorf("an owner in numbers: %+v, %v", owner, err)
	}
	if os.Geteuid() == 0 {
		return // may give files to anybody
	}
	// Who may not give a file away leaves nothing behind.
	err = Self{Name: "n", Dir: dir, Days: 1, Owner: owner}.Make(&bytes.Buffer{})
	if left, _ := filepath.Glob(filepath.Join(dir, "n.*")); err == nil || len(left) > 0 {
		t.Errorf("%v, left behind: %v", err, left)
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range []struct {
		name string
		cn   string
		more []string
		want string // part of the error, "" for none
	}{
		{"a host", "node1.example.com", nil, ""},
		{"an address", "fd00::1", nil, ""},
		{"a wildcard", "*.example.com", nil, ""},
		{"an underscore, as containers have", "db_1", nil, ""},
		{"nothing", "", nil, "is needed"},
		{"a port", "node1:4444", nil, "is needed"},
		{"brackets", "[::1]", nil, "is needed"},
		{"a zone", "fe80::1%eth0", nil, "is needed"},
		{"a way out of the folder", "../node1", nil, "is needed"},
		{"a wildcard within", "node*.example.com", nil, "is needed"},
		{"a further one that is none", "node1", []string{"a b"}, "is needed"},
		{"longer than a CN may be", long + ".example.com", nil, "--san"},
		{"the same as a further name", "node1", []string{long + ".example.com"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			err := Self{Name: c.cn, More: c.more, Dir: dir, Days: 1}.Make(&bytes.Buffer{})
			if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if left, _ := os.ReadDir(dir); err != nil && len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
