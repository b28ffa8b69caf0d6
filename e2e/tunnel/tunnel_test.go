package tunnel

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

const uuid = "3098c6fd-e766-11f1-a4b4-477c3b5b7c8d"

// node is a host with a data directory, a redo log apart from it, and what TLS needs.
type node struct {
	*host
	cert, key, ca, sockopt string
	rsync, socat           string
}

func (n *node) path(name string) string { return filepath.Join(n.dir, name) }
func (n *node) data() string            { return n.path("data") }
func (n *node) redo() string            { return n.path("redo-of-" + n.space) }

// configure writes the option file of our binary.
func (n *node) configure(t *testing.T) {
	t.Helper()
	lines := []string{"[mysqld]", "datadir=" + n.data(), "innodb_log_group_home_dir=" + n.redo(), "[sst]", "tcert=" + n.cert}
	for key, value := range map[string]string{"tkey": n.key, "tca": n.ca, "sockopt": n.sockopt} {
		if value != "" {
			lines = append(lines, key+"="+value)
		}
	}
	if err := os.WriteFile(n.path("my.cnf"), []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// write makes files whose content depends on their name and on salt.
func (n *node) write(t *testing.T, dir, salt string, sizes map[string]int) {
	t.Helper()
	for name, size := range sizes {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, size)
		rand.NewChaCha8(sha256.Sum256([]byte(name + salt))).Read(b)
		if err := os.WriteFile(path, b, 0o660); err != nil {
			t.Fatal(err)
		}
	}
}

// database fills both nodes: the donor as a member, the joiner as one that was a member once.
func database(t *testing.T, donor, joiner *node) {
	t.Helper()
	donor.write(t, donor.data(), "donor", map[string]int{
		"ibdata1": 3 << 20, "aria_log_control": 52, "aria_log.00000001": 16384, "undo001": 1 << 20, "ib_buffer_pool": 100, "server-key.pem": 1700,
		"db1/t.ibd": 5 << 20, "db1/t#P#p0.ibd": 1 << 20, "db1/with blank.ibd": 200_000, "db1/\xff\xfe.ibd": 100_000, "db1/db.opt": 65,
		"@0023odd/x.ibd": 300_000, "performance_schema/db.opt": 65, "mysql/user.frm": 900, "grastate.dat": 200,
	})
	donor.write(t, donor.redo(), "donor", map[string]int{"ib_logfile0": 2 << 20, "other": 20})
	joiner.write(t, joiner.data(), "joiner", map[string]int{
		"ibdata1": 1 << 20, "aria_log_control": 52, "aria_log.00000001": 8192, "undo001": 1 << 20, "server-key.pem": 1704, "notes.txt": 50,
		"db1/t.ibd": 4 << 20, "db1/dropped.ibd": 50_000, "dropped/t.ibd": 70_000, "mysql/user.frm": 900,
	})
	joiner.write(t, joiner.redo(), "joiner", map[string]int{"ib_logfile0": 1 << 20, "ib_logfile101": 512, "other": 21})
	// what the provider leaves there while it waits for an SST
	zero := "# GALERA saved state\nversion: 2.1\nuuid:    00000000-0000-0000-0000-000000000000\nseqno:   -1\nsafe_to_bootstrap: 0\n"
	if err := os.WriteFile(filepath.Join(joiner.data(), "grastate.dat"), []byte(zero), 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(donor.data(), "empty"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// carried is what an SST has to make equal. A donor that is the script sends neither undo logs nor Aria's.
func carried(t *testing.T, n *node, byScript bool) tree.Tree {
	t.Helper()
	all := tree.Tree{}
	for prefix, dir := range map[string]string{"data/": n.data(), "redo/": n.redo()} {
		one, err := tree.Read(dir, tree.Options{Skip: func(name string) bool {
			switch {
			case name == "." || strings.Contains(name, "/"):
				return false
			case dir == n.redo():
				return !strings.HasPrefix(name, "ib_logfile")
			case strings.HasPrefix(name, "undo"), strings.HasPrefix(name, "aria_log"):
				return byScript
			}
			info, err := os.Stat(filepath.Join(dir, name))
			return err == nil && !info.IsDir() && name != "ibdata1"
		}})
		if err != nil {
			t.Fatal(err)
		}
		delete(one, ".")
		for name, node := range one {
			all[prefix+name] = node
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d files to compare: the test compares the wrong thing", len(all))
	}
	return all
}

// everything is a node's files, for what must not be touched.
func everything(t *testing.T, n *node) tree.Tree {
	t.Helper()
	all, err := tree.Read(n.dir, tree.Options{Mtimes: true, Skip: func(name string) bool { return !strings.Contains(name, "/") && name != "." && filepath.Ext(name) != "" }})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "data", filepath.Base(n.redo())} { // whose times change by files that come and go
		node := all[name]
		node.Mtime = 0
		all[name] = node
	}
	return all
}

func TestTheTunnelScriptIsOnTheOtherNode(t *testing.T) {
	socat, openssl := peers.Need(t, "socat"), peers.Need(t, "openssl")
	rsyncs := map[string]string{"the installed rsync": peers.Need(t, "rsync")}
	for _, release := range []string{"bullseye", "trixie"} {
		if r, ok := peers.FindRelease(release); ok && os.Getenv("E2E_LONG") != "" {
			rsyncs["rsync "+r.Version("rsync")] = r.Program(t, "rsync")
		}
	}
	for _, scenario := range []struct {
		name  string
		trust func(t *testing.T, donor, joiner *node)
	}{
		{"self-signed certificates, key in the certificate's file", func(t *testing.T, donor, joiner *node) {
			var certs []string
			for _, n := range []*node{donor, joiner} {
				key, cert := certificate(t, openssl, n.dir, "node", n.address, "")
				n.cert = bundle(t, n.path("mysql.pem"), key, cert)
				certs = append(certs, cert)
			}
			for _, n := range []*node{donor, joiner} {
				n.ca = bundle(t, n.path("all.pem"), certs...)
			}
		}},
		{"self-signed certificates of any name, not verified", func(t *testing.T, donor, joiner *node) {
			for _, n := range []*node{donor, joiner} {
				key, cert := certificate(t, openssl, n.dir, "node", "somebody.example", "")
				n.cert, n.ca, n.sockopt = bundle(t, n.path("mysql.pem"), key, cert), cert, "verify=0"
			}
		}},
		{"certificates from a CA, with the ciphers of a deployment tool", func(t *testing.T, donor, joiner *node) {
			run(t, openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", donor.path("ca.key"), "-days", "3650",
				"-subj", "/O=Example/CN=authority", "-out", donor.path("ca.crt"), "-batch")
			for _, n := range []*node{donor, joiner} {
				n.key, n.cert = certificate(t, openssl, n.dir, "node", n.address, donor.dir)
				n.ca = donor.path("ca.crt")
				n.sockopt = "cipher=!SSLv2:kEECDH:kRSA:kEDH:kPSK:+3DES:!aNULL:!eNULL:!MD5:!EXP:!RC4:!SEED:!IDEA:!DES:!SSLv3:!TLSv1"
			}
		}},
	} {
		for name, rsync := range rsyncs {
			pair := func(t *testing.T) (donor, joiner *node) {
				d, j := hosts(t)
				donor, joiner = &node{host: d, rsync: rsync, socat: socat}, &node{host: j, rsync: rsync, socat: socat}
				scenario.trust(t, donor, joiner)
				database(t, donor, joiner)
				donor.configure(t)
				joiner.configure(t)
				return donor, joiner
			}
			t.Run(scenario.name+", "+name, func(t *testing.T) {
				t.Run("SST from the script to us", func(t *testing.T) { fromScript(t, pair) })
				t.Run("SST from us to the script", func(t *testing.T) { toScript(t, pair) })
				t.Run("bypass from the script to us", func(t *testing.T) { bypassFromScript(t, pair) })
				t.Run("bypass from us to the script", func(t *testing.T) { bypassToScript(t, pair) })
			})
		}
	}
}

func (n *node) joins(t *testing.T) *ours {
	t.Helper()
	o := n.asMariadbd(t, fmt.Sprintf("--role 'joiner' --address '%s:%d' --parent %d --progress 0", n.address, port, os.Getpid()))
	o.expect(t, fmt.Sprintf("ready %s:%d/rsync_tunnel_sst", n.address, port))
	return o
}

func (n *node) donates(t *testing.T, joiner, more string) *ours {
	t.Helper()
	return n.asMariadbd(t, fmt.Sprintf("--role 'donor' --address '%s:%d/rsync_tunnel_sst' --local-port 3306 --socket '/run/x.sock' --progress 0 "+
		"--gtid '%s:7' --gtid-domain-id 0 %s", joiner, port, uuid, more))
}

func fromScript(t *testing.T, pair func(*testing.T) (donor, joiner *node)) {
	donor, joiner := pair(t)
	o := joiner.joins(t)
	donor.donatesByScript(t, joiner.address, false, uuid+":42 0")
	o.expect(t, uuid+":42 0")
	o.good(t)
	for _, d := range tree.Diff(carried(t, joiner, true), carried(t, donor, true)) {
		t.Error(d)
	}
	joiner.keepsItsOwn(t)
	for _, gone := range []string{"data/dropped", "data/rsync_tunnel_sst_complete", "data/sst_in_progress"} {
		if _, err := os.Lstat(joiner.path(gone)); !os.IsNotExist(err) {
			t.Errorf("the joiner has %s after the SST (%v)", gone, err)
		}
	}
}

// isLocked does mariadbd's part of a donor's SST to its good end: it locks its tables when it is asked.
func (n *node) isLocked(t *testing.T, o *ours) {
	t.Helper()
	o.expect(t, "flush tables")
	flushed := filepath.Join(n.data(), "tables_flushed")
	if err := os.WriteFile(flushed+".tmp", []byte(uuid+":42 0\n"), 0o660); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(flushed+".tmp", flushed); err != nil {
		t.Fatal(err)
	}
	o.expect(t, "continue")
	o.expect(t, "done "+uuid+":42 0")
	o.good(t)
}

func toScript(t *testing.T, pair func(*testing.T) (donor, joiner *node)) {
	donor, joiner := pair(t)
	joiner.joinsByScript(t)
	o := donor.donates(t, joiner.address, "")
	donor.isLocked(t, o)
	magic, err := os.ReadFile(filepath.Join(joiner.data(), "rsync_tunnel_sst_complete"))
	if err != nil || string(magic) != uuid+":42 0\n" {
		t.Errorf("the script's magic file says %q (%v)", magic, err)
	}
	for _, d := range tree.Diff(carried(t, joiner, false), carried(t, donor, false)) {
		t.Error(d)
	}
	joiner.keepsItsOwn(t)
	if _, err := os.Lstat(filepath.Join(donor.data(), "rsync_tunnel_sst_complete")); !os.IsNotExist(err) {
		t.Errorf("the donor keeps its magic file (%v)", err)
	}
}

// keepsItsOwn checks that an SST has left alone what is none of its business.
func (n *node) keepsItsOwn(t *testing.T) {
	t.Helper()
	for name, size := range map[string]int64{n.path("data/server-key.pem"): 1704, n.path("data/notes.txt"): 50, n.redo() + "/other": 21} {
		if info, err := os.Stat(name); err != nil || info.Size() != size {
			t.Errorf("the joiner's %s was touched: %v, %v", name, info, err)
		}
	}
}

func bypassFromScript(t *testing.T, pair func(*testing.T) (donor, joiner *node)) {
	donor, joiner := pair(t)
	before := everything(t, joiner)
	o := joiner.joins(t)
	donor.donatesByScript(t, joiner.address, true, uuid+":7 0")
	o.expect(t, uuid+":7 0")
	o.good(t)
	for _, d := range tree.Diff(everything(t, joiner), before) {
		t.Errorf("an IST has touched the joiner: %s", d)
	}
}

func bypassToScript(t *testing.T, pair func(*testing.T) (donor, joiner *node)) {
	donor, joiner := pair(t)
	before := everything(t, joiner)
	joiner.joinsByScript(t)
	o := donor.donates(t, joiner.address, "--bypass")
	o.expect(t, "continue")
	o.expect(t, "done "+uuid+":7 0")
	o.good(t)
	name := filepath.Join(joiner.data(), "rsync_tunnel_sst_complete")
	magic, err := os.ReadFile(name)
	if err != nil || string(magic) != uuid+":7 0\n" {
		t.Errorf("the script's magic file says %q (%v)", magic, err)
	}
	os.Remove(name)
	for _, d := range tree.Diff(everything(t, joiner), before) {
		t.Errorf("an IST has touched the joiner: %s", d)
	}
}
