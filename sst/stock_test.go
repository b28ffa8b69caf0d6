package sst

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls/porttest"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// Both roles under the names of the stock methods. The stock script itself, with rsync
// and stunnel, is in e2e.

// stockNode is a node whose [sst] holds nothing but the given lines.
func (c *cluster) stockNode(lines ...string) *node {
	c.t.Helper()
	n := &node{cluster: c, dir: c.t.TempDir()}
	n.cnf = filepath.Join(c.t.TempDir(), "my.cnf")
	write(c.t, filepath.Dir(n.cnf), "my.cnf", "[sst]\n"+strings.Join(lines, "\n")+"\n")
	return n
}

// stockReady starts a joiner and returns its port and what stands before the address.
func (n *node) stockReady(program string) (port int, auth string) {
	n.t.Helper()
	port = porttest.Free(n.t)
	n.startAs(program, fmt.Sprintf("--role joiner --address localhost:%d --parent $PPID --progress 0", port))
	select {
	case line := <-n.line:
		rest, ok := strings.CutSuffix(line, fmt.Sprintf("localhost:%d/rsync_sst", port))
		auth, at := strings.CutSuffix(strings.TrimPrefix(rest, "ready "), "@")
		if !ok || !at && auth != "" {
			n.t.Fatalf("stdout: %q\n%s", line, n.said())
		}
		return port, auth
	case <-time.After(30 * time.Second):
		n.t.Fatalf("stdout: nothing\n%s", n.said())
	}
	return 0, ""
}

// stockDonate starts a donor as a server does that knows what stands before the
// address. program may begin with an assignment to the environment, or a pipe.
func (n *node) stockDonate(program string, port int, more string) {
	n.t.Helper()
	n.startAs(program, fmt.Sprintf("--role donor --address localhost:%d/rsync_sst --local-port 3306 --socket /tmp/x.sock --progress 0 --gtid %s:7 --gtid-domain-id 0 %s",
		port, testUUID, more))
}

func inEnvironment(auth, program string) string {
	return fmt.Sprintf("WSREP_SST_OPT_REMOTE_AUTH='%s' %s", auth, program)
}

func onStdin(auth, program string) string {
	user, secret, _ := strings.Cut(auth, ":")
	return fmt.Sprintf(`printf 'sst_user=u\nsst_password=p\nsst_remote_user=%%s\nsst_remote_password=%%s\n' '%s' '%s' | %s`, user, secret, program)
}

// stockWhole runs an SST to its end.
func stockWhole(donor, joiner *node, program string, tell func(auth, program string) string) (auth string) {
	donor.t.Helper()
	port, auth := joiner.stockReady(program)
	donor.stockDonate(tell(auth, program), port, "")
	donor.expect("flush tables")
	complete(donor, joiner)
	return auth
}

func TestStockMethods(t *testing.T) {
	for _, tt := range []struct {
		name, program string
		mode          string // with TLS, "" without
		tell          func(auth, program string) string
		auth          string // expression
	}{
		{"rsync without TLS", "wsrep_sst_rsync", "", inEnvironment, `^$`},
		{"rsync_wan without TLS", "wsrep_sst_rsync_wan", "", inEnvironment, `^$`},
		{"rsync, REQUIRED", "wsrep_sst_rsync", "REQUIRED", inEnvironment, `^$`},
		{"rsync, VERIFY_CA, the secret in the environment", "wsrep_sst_rsync", "VERIFY_CA", inEnvironment, `^localhost:[0-9a-f]{32}$`},
		{"rsync, VERIFY_IDENTITY, the secret on stdin", "wsrep_sst_rsync", "VERIFY_IDENTITY", onStdin, `^localhost:[0-9a-f]{32}$`},
		{"rsync_wan, VERIFY_IDENTITY", "wsrep_sst_rsync_wan", "VERIFY_IDENTITY", inEnvironment, `^localhost:[0-9a-f]{32}$`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := newCluster(t)
			var nodes [2]*node
			for i := range nodes {
				if tt.mode == "" {
					nodes[i] = cluster.stockNode()
					continue
				}
				// The key is in the certificate's file, which is more than the stock script can.
				cert := cluster.certificate("localhost", true)
				nodes[i] = cluster.stockNode("ssl-mode="+tt.mode, "tca="+cluster.ca, "tcert="+cert, "sockopt=,verify=0,nonsense")
			}
			donor, joiner := nodes[0], nodes[1]
			database(t, donor.dir)
			auth := stockWhole(donor, joiner, tt.program, tt.tell)
			if ok, _ := regexp.MatchString(tt.auth, auth); !ok {
				t.Errorf("before the address stands %q", auth)
			}
			if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			os.Remove(filepath.Join(joiner.dir, flushedFile))
			donor.nothingLeft()
			joiner.nothingLeft()
			method := strings.TrimPrefix(tt.program, "wsrep_sst_")
			joiner.saysOnce(method+" SST started on joiner", method+" SST completed on joiner")
			donor.saysOnce(method+" SST started on donor", method+" SST completed on donor")
			for _, n := range nodes {
				if tt.mode == "" {
					n.saysOnce("[WARNING]", "travels over the network unencrypted")
				} else {
					n.saysOnce("Using stunnel for SSL encryption", "ssl-mode='"+tt.mode+"'")
				}
				if _, secret, _ := strings.Cut(auth, ":"); secret != "" && strings.Contains(n.said(), secret) {
					t.Error("the secret is in the log")
				}
				if tt.mode == "VERIFY_CA" {
					n.saysOnce("Verifying peer certificate chain for ssl-mode=VERIFY_CA")
				}
			}
			// With TLS the two know each other, and the control connection is up.
			if known := strings.Contains(joiner.said(), "connected, version"); known != (tt.mode != "") {
				t.Errorf("the joiner knows its own kind: %t\n%s", known, joiner.said())
			}
		})
	}
}

// saysOnce checks that the log has each of the texts exactly once.
func (n *node) saysOnce(texts ...string) {
	n.t.Helper()
	for _, text := range texts {
		if got := strings.Count(n.said(), text); got != 1 {
			n.t.Errorf("%q is %d times in the log:\n%s", text, got, n.said())
		}
	}
}

func TestStockIST(t *testing.T) {
	for _, mode := range []string{"", "VERIFY_CA"} {
		t.Run("ssl-mode "+mode, func(t *testing.T) {
			cluster := newCluster(t)
			var nodes [2]*node
			for i := range nodes {
				nodes[i] = cluster.stockNode()
				if mode != "" {
					cert := cluster.certificate("localhost", true)
					nodes[i] = cluster.stockNode("tca="+cluster.ca, "tcert="+cert)
				}
			}
			donor, joiner := nodes[0], nodes[1]
			database(t, joiner.dir)
			same := untouched(joiner)
			port, auth := joiner.stockReady("wsrep_sst_rsync")
			donor.stockDonate(inEnvironment(auth, "wsrep_sst_rsync"), port, "--bypass")
			donor.expect("continue")
			donor.expect("done " + testUUID + ":7 0")
			donor.exit(0)
			joiner.expect(testUUID + ":7 0")
			joiner.exit(0)
			joiner.saysOnce("rsync SST started on joiner", "rsync IST completed on joiner")
			donor.saysOnce("rsync IST started on donor", "rsync IST completed on donor")
			same()
		})
	}
}

// A donor that the cluster has not chosen does not know the secret.
func TestStockJoinerRefusesWhoDoesNotKnowItsSecret(t *testing.T) {
	for name, tell := range map[string]func(auth, program string) string{
		"another secret": func(auth, program string) string {
			user, _, _ := strings.Cut(auth, ":")
			return inEnvironment(user+":00000000000000000000000000000000", program)
		},
		"no secret": func(_, program string) string { return program },
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donorCert, joinerCert := cluster.certificate("localhost", true), cluster.certificate("localhost", true)
			donor, joiner := cluster.stockNode("tca="+cluster.ca, "tcert="+donorCert), cluster.stockNode("tca="+cluster.ca, "tcert="+joinerCert)
			database(t, joiner.dir)
			same := untouched(joiner)
			port, auth := joiner.stockReady("wsrep_sst_rsync")
			donor.stockDonate(tell(auth, "wsrep_sst_rsync"), port, "--bypass")
			donor.end2lines("continue", "done "+testUUID+":7 0")
			joiner.exit(exitPipe)
			joiner.says("[ERROR] donor does not know my secret", "hint:")
			joiner.removeMagic()
			same()
		})
	}
}

// end2lines reads what is left of stdout; what comes of it is not the test's business.
func (n *node) end2lines(want ...string) {
	n.t.Helper()
	for _, line := range want {
		n.expect(line)
	}
	n.end()
}

func (n *node) removeMagic() {
	n.t.Helper()
	if err := os.Remove(filepath.Join(n.dir, "rsync_sst_complete")); err != nil && !os.IsNotExist(err) {
		n.t.Error(err)
	}
}

// A node that speaks TLS and one that does not: each is told what the matter is, before
// anything is locked.
func TestStockNodesOfDifferentSettings(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		donorTLS              bool
		donorSays, joinerSays string
	}{
		{"the donor alone has TLS", true, "speaks plain rsync and no TLS", "speaks TLS, and this node is configured to go without"},
		{"the joiner alone has TLS", false, "it may speak TLS", "speaks plain rsync and no TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cluster := newCluster(t)
			cert := cluster.certificate("localhost", true)
			lines := []string{"ssl-mode=REQUIRED", "tcert=" + cert}
			donor, joiner := cluster.stockNode(lines...), cluster.stockNode()
			if !tt.donorTLS {
				donor, joiner = cluster.stockNode(), cluster.stockNode(lines...)
			}
			database(t, donor.dir)
			port, _ := joiner.stockReady("wsrep_sst_rsync")
			donor.stockDonate("wsrep_sst_rsync", port, "")
			donor.end()
			donor.says("[ERROR]", tt.donorSays, "ssl-mode")
			waitFor(t, "the joiner to say what it met", func() bool { return strings.Contains(joiner.said(), tt.joinerSays) })
		})
	}
}

// Without certificates the SST belongs to the address that it began from.
func TestAnSSTInTheClearBelongsToAnAddress(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.stockNode(), cluster.stockNode()
	database(t, donor.dir)
	port, _ := joiner.stockReady("wsrep_sst_rsync")
	clearRuns(t, port, "127.0.0.1", donor.dir)
	if err := clearMagic(t, port, "127.0.0.2", testUUID+":42 0\n"); err == nil {
		t.Fatal("another address completed the SST")
	}
	waitFor(t, "the refusal", func() bool { return strings.Contains(joiner.said(), "this SST belongs to 127.0.0.1") })
	if err := clearMagic(t, port, "127.0.0.1", testUUID+":42 0\nbypass\n"); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
}

// clearDial connects from an address of loopback.
func clearDial(t *testing.T, port int, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// clearRuns are R1 to R6 of script-sessions.md.
func clearRuns(t *testing.T, port int, from, dir string) {
	t.Helper()
	run := func(dir string, recursive bool, module, path string, rules ...string) {
		t.Helper()
		list, err := filter.Parse(rules...)
		if err != nil {
			t.Fatal(err)
		}
		src, err := transfer.NewDirSource(openTestRoot(t, dir), transfer.DirSourceOptions{Rules: list, Recursive: recursive, Links: true, Specials: true})
		if err != nil {
			t.Fatal(err)
		}
		defer src.Close()
		o := base(module, path, list)
		o.Recursive, o.Dirs = recursive, !recursive
		if _, err := transfer.Push(t.Context(), clearDial(t, port, from), src, o); err != nil {
			t.Fatal(err)
		}
	}
	run(dir, false, "rsync_sst", "", "- /lost+found", "- /.zfs", "- /.fseventsd", "- /.Trashes", "- /.pid", "- /.conf", "- /.snapshot/",
		"+ /wsrep_sst_binlog.tar", "- "+dir+"/ib_lru_dump", "- "+dir+"/ibdata*", "- "+dir+"/undo*", "- "+dir+"/ib_logfile[0-9]*",
		"- "+dir+"/aria_log_control", "- "+dir+"/aria_log.*", "+ /*/", "- /*")
	run(dir, false, "rsync_sst-data_dir", "", "+ /ibdata*", "+ /ib_lru_dump", "- **")
	run(dir, false, "rsync_sst-log_dir", "", "+ /ib_logfile0", "- **")
	run(dir, false, "rsync_sst-undo_dir", "", "+ /undo*", "- **")
	run(dir, false, "rsync_sst-aria_log", "", "+ /aria_log_control", "+ /aria_log.*", "- **")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil && info.IsDir() && e.Name() != "lost+found" && e.Name() != ".zfs" {
			run(filepath.Join(dir, e.Name()), true, "rsync_sst", "./"+e.Name(), "- $ib_home_dir/ib_lru_dump", "- $ib_home_dir/ibdata*",
				"- $ib_undo_dir/undo*", "- $ib_log_dir/ib_logfile[0-9]*", "- $ar_log_dir/aria_log_control", "- $ar_log_dir/aria_log.*")
		}
	}
}

// clearMagic is R7.
func clearMagic(t *testing.T, port int, from, text string) error {
	t.Helper()
	file := transfer.BytesFile([]byte(text), 0o660, time.Now())
	_, err := transfer.Push(t.Context(), clearDial(t, port, from), transfer.NewFileSource("rsync_sst_complete", file), transfer.PushOptions{
		Module: "rsync_sst", Recursive: true, Links: true, Perms: true, Times: true, Group: true, Owner: true,
		Devices: true, Specials: true, Checksum: true,
	})
	return err
}

// The stock donor follows a database that is a link, and removes the joiner's directory
// of that name first; a joiner with a link of its own keeps it. What belongs to the
// joiner's file system stays.
func TestStockDonorAndOddPlaces(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.stockNode(), cluster.stockNode()
	database(t, donor.dir)
	elsewhere, own := t.TempDir(), t.TempDir()
	for _, name := range []string{"linked", "both"} {
		write(t, elsewhere, name+"/db.opt", "x")
		write(t, elsewhere, name+"/t.ibd", "new")
		if err := os.Symlink(filepath.Join(elsewhere, name), filepath.Join(donor.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, donor.dir, "lost+found/x", "the donor's")
	write(t, donor.dir, ".zfs/x", "the donor's")
	write(t, joiner.dir, "lost+found/x", "the joiner's")
	write(t, joiner.dir, ".zfs/x", "the joiner's")
	write(t, joiner.dir, "linked/stale.ibd", "old")
	write(t, joiner.dir, "dropped/t.ibd", "old")
	write(t, joiner.dir, "server-key.pem", "the joiner's")
	write(t, own, "db.opt", "x")
	write(t, own, "stale.ibd", "old")
	if err := os.Symlink(own, filepath.Join(joiner.dir, "both")); err != nil {
		t.Fatal(err)
	}
	gone := t.TempDir()
	write(t, gone, "db.opt", "x")
	write(t, gone, "t.ibd", "old")
	if err := os.Symlink(gone, filepath.Join(joiner.dir, "gone")); err != nil {
		t.Fatal(err)
	}
	port, _ := joiner.stockReady("wsrep_sst_rsync")
	clearRuns(t, port, "127.0.0.1", donor.dir)
	if err := clearMagic(t, port, "127.0.0.1", testUUID+":42 0\n"); err != nil {
		t.Fatal(err)
	}
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	joiner.saysOnce("the donor has no database gone")
	for name, want := range map[string]string{
		"lost+found/x": "the joiner's", ".zfs/x": "the joiner's", "server-key.pem": "the joiner's",
		"linked/t.ibd": "new", "linked/db.opt": "x", "both/t.ibd": "new",
	} {
		if b, err := os.ReadFile(filepath.Join(joiner.dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	for _, name := range []string{"dropped", "linked/stale.ibd", "both/stale.ibd", "gone"} {
		if _, err := os.Lstat(filepath.Join(joiner.dir, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if names := names(t, gone); len(names) > 0 {
		t.Errorf("a database that the donor does not have still has %q", names)
	}
	if target, err := os.Readlink(filepath.Join(joiner.dir, "both")); err != nil || target != own {
		t.Errorf("the joiner's own link: %s, %v", target, err)
	}
	if info, err := os.Lstat(filepath.Join(joiner.dir, "linked")); err != nil || !info.IsDir() {
		t.Errorf("what is a link at the donor: %v, %v", info, err)
	}
}

// A health check on the port of a joiner without TLS is no news.
func TestAProbeOfAJoinerInTheClear(t *testing.T) {
	joiner := newCluster(t).stockNode()
	port, _ := joiner.stockReady("wsrep_sst_rsync")
	clearDial(t, port, "127.0.0.1").Close()
	half := clearDial(t, port, "127.0.0.1")
	if _, err := half.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second to be turned away", func() bool { return strings.Contains(joiner.said(), "turned away") })
	joiner.saysOnce("turned away")
}

// A stockJoiner is the stock script as joiner, without TLS: five modules on one
// directory.
type stockJoiner struct {
	dir     string
	port    int
	literal atomic.Int64 // bytes that travelled as they are
	stop    func()
}

func newStockJoiner(t *testing.T) *stockJoiner {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	j := &stockJoiner{dir: t.TempDir(), port: l.Addr().(*net.TCPAddr).Port}
	store, err := transfer.NewDirStore(openTestRoot(t, j.dir), transfer.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d := &transfer.Daemon{}
	for _, suffix := range []string{"", "-log_dir", "-data_dir", "-undo_dir", "-aria_log"} {
		d.Modules = append(d.Modules, transfer.Module{Name: "rsync_sst" + suffix, Store: store})
	}
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				result, err := d.Serve(t.Context(), conn)
				if err != nil {
					t.Logf("stock joiner: %v", err)
				}
				j.literal.Add(result.Literal)
			})
		}
	})
	j.stop = func() { l.Close(); work.Wait(); store.Close() }
	return j
}

// Towards a stock joiner: the secret goes back to it, and _wan sends what is not there
// already.
func TestStockScriptAsJoiner(t *testing.T) {
	for program, sendsAll := range map[string]bool{"wsrep_sst_rsync": true, "wsrep_sst_rsync_wan": false} {
		t.Run(program, func(t *testing.T) {
			cluster := newCluster(t)
			donor, script := cluster.stockNode(), newStockJoiner(t)
			defer script.stop()
			database(t, donor.dir)
			// os.CopyFS will not have all names.
			if out, err := exec.Command("cp", "-a", donor.dir+"/.", script.dir).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			write(t, script.dir, "dropped/t.ibd", "old")
			donor.stockDonate(inEnvironment("node2:0123456789abcdef", program), script.port, "")
			donor.expect("flush tables")
			donor.flushed(42)
			donor.expect("continue")
			donor.expect("done " + testUUID + ":42 0")
			donor.exit(0)
			if b, err := os.ReadFile(filepath.Join(script.dir, "rsync_sst_complete")); err != nil || string(b) != testUUID+":42 0\nsecret 0123456789abcdef\n" {
				t.Errorf("magic file %q, %v", b, err)
			}
			if diff := cmp.Diff(state(t, donor.dir), state(t, script.dir)); diff != "" {
				t.Error(diff)
			}
			if n := script.literal.Load(); n < 10<<20 == sendsAll || !sendsAll && n > 100_000 {
				t.Errorf("%d bytes travelled as they are", n)
			}
		})
	}
}

func TestStockScriptAsJoinerOfAnIST(t *testing.T) {
	donor, script := newCluster(t).stockNode(), newStockJoiner(t)
	defer script.stop()
	donor.stockDonate("wsrep_sst_rsync", script.port, "--bypass")
	donor.expect("continue")
	donor.expect("done " + testUUID + ":7 0")
	donor.exit(0)
	if b, err := os.ReadFile(filepath.Join(script.dir, "rsync_sst_complete")); err != nil || string(b) != testUUID+":7 0\nbypass\n" {
		t.Errorf("magic file %q, %v", b, err)
	}
}
