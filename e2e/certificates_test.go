package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// identity is a key and its certificate, as files that mariadbd's user can read.
type identity struct {
	key, cert string
	pem       string // both in one file
}

// issuer makes certificates with the commands of the script's README, in a node's folder.
type issuer struct {
	dir   string
	owner owner
}

func newIssuer(t *testing.T, c *cluster) *issuer {
	t.Helper()
	peers.Need(t, "openssl")
	i := &issuer{dir: filepath.Join(filepath.Dir(c.donor.dir), "tls"), owner: c.donor.owner}
	if err := os.Mkdir(i.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *issuer) path(name string) string { return filepath.Join(i.dir, name) }

func (i *issuer) key(t *testing.T, name string) string {
	t.Helper()
	path := i.path(name + ".key")
	command(t, "openssl", "genrsa", "-out", path, "2048")
	return path
}

// selfSigned is scenario 1 of the README: the same two commands, the same thousand years of validity.
func (i *issuer) selfSigned(t *testing.T, name, cn string) identity {
	t.Helper()
	id := identity{key: i.key(t, name), cert: i.path(name + ".crt")}
	command(t, "openssl", "req", "-new", "-key", id.key, "-x509", "-days", "365000", "-subj", "/CN="+cn, "-out", id.cert, "-batch")
	return i.bundled(t, name, id)
}

func (i *issuer) bundled(t *testing.T, name string, id identity) identity {
	t.Helper()
	id.pem = i.join(t, name+".pem", id.key, id.cert)
	for _, path := range []string{id.key, id.pem} {
		i.owner.own(t, path)
		if err := os.Chmod(path, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// join concatenates files into a new one.
func (i *issuer) join(t *testing.T, name string, parts ...string) string {
	t.Helper()
	var all []byte
	for _, p := range parts {
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	path := i.path(name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // one of before may be read-only
		t.Fatal(err)
	}
	if err := os.WriteFile(path, all, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// authority makes a CA, for scenario 3.
func (i *issuer) authority(t *testing.T, name string) identity {
	t.Helper()
	id := identity{key: i.key(t, name), cert: i.path(name + ".crt")}
	command(t, "openssl", "req", "-new", "-key", id.key, "-x509", "-days", "3650", "-subj", "/O=Example/CN="+name, "-out", id.cert, "-batch")
	return id
}

// signed makes a certificate signed by a CA. san is as in openssl's subjectAltName, or empty.
func (i *issuer) signed(t *testing.T, ca identity, name, cn, san string) identity {
	t.Helper()
	id := identity{key: i.key(t, name), cert: i.path(name + ".crt")}
	request := i.path(name + ".csr")
	command(t, "openssl", "req", "-new", "-key", id.key, "-subj", "/O=Example/CN="+cn, "-out", request, "-batch")
	extensions := "basicConstraints=CA:FALSE\n"
	if san != "" {
		extensions += "subjectAltName=" + san + "\n"
	}
	ext := i.path(name + ".ext")
	if err := os.WriteFile(ext, []byte(extensions), 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, "openssl", "x509", "-req", "-in", request, "-CA", ca.cert, "-CAkey", ca.key, "-CAcreateserial",
		"-days", "365", "-extfile", ext, "-out", id.cert)
	return i.bundled(t, name, id)
}

// selfSignedBoth configures both nodes as scenario 1 of the README: a bundle each, and a list of both certificates.
func (c *cluster) selfSignedBoth(t *testing.T) *issuer {
	t.Helper()
	i := newIssuer(t, c)
	one, two := i.selfSigned(t, "node1", "127.0.0.1"), i.selfSigned(t, "node2", "127.0.0.1")
	all := i.join(t, "all.crt", one.cert, two.cert)
	c.donor.conf.sst = []string{"tca=" + all, "tcert=" + one.pem}
	c.joiner.conf.sst = []string{"tca=" + all, "tcert=" + two.pem}
	if c.joiner.conf.method == "rsync" { // which cannot find a key in tcert
		c.donor.conf.sst, c.joiner.conf.sst = trio(all, one), trio(all, two)
	}
	return i
}

// fromAuthority configures both nodes as scenario 3: one CA, certificate and key in files of their own. cn and san are
// what the joiner's certificate says; the donor's has a name of its own, which nobody checks.
func (c *cluster) fromAuthority(t *testing.T, cn, san string) *issuer {
	t.Helper()
	i := newIssuer(t, c)
	ca := i.authority(t, "authority")
	one, two := i.signed(t, ca, "node1", "node1.example", ""), i.signed(t, ca, "node2", cn, san)
	c.donor.conf.sst = trio(ca.cert, one)
	c.joiner.conf.sst = trio(ca.cert, two)
	return i
}

func trio(ca string, id identity) []string {
	return []string{"tca=" + ca, "tcert=" + id.cert, "tkey=" + id.key}
}
