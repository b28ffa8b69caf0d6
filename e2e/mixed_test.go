package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// Clusters in which one node runs the stock script, with rsync and stunnel, and the other our binary under the stock
// method's name: what an operator has who replaces one node at a time.

// mixed is one such cluster.
type mixed struct {
	donor, joiner string // "ours" or "stock"
	method        string // rsync or rsync_wan
	security      security
	always        bool // also in the short run
}

func (m mixed) name() string {
	return fmt.Sprintf("%s donor, %s joiner, method %s, %s", m.donor, m.joiner, m.method, m.security.name)
}

// security is how the nodes are configured.
type security struct {
	name string
	// setUp writes the [sst] of both nodes.
	setUp func(t *testing.T, c *cluster)
	// mode is what ssl-mode comes to; empty without TLS.
	mode string
	// warns is what our program warns of each time.
	warns []string
}

var (
	inTheClear = security{
		name:  "no TLS",
		setUp: func(t *testing.T, c *cluster) {},
		warns: []string{"travels over the network unencrypted"},
	}
	elsewhere = security{
		name: "no TLS, InnoDB, undo and Aria files elsewhere on each node",
		setUp: func(t *testing.T, c *cluster) {
			for _, n := range []*node{c.donor, c.joiner} {
				n.conf.mysqld = append(n.conf.mysqld, n.scattered(t)...)
			}
			c.donor.scatter(t)
		},
		warns: []string{"travels over the network unencrypted"},
	}
	joinerElsewhere = security{
		name: "no TLS, InnoDB, undo and Aria files elsewhere on the joiner alone",
		setUp: func(t *testing.T, c *cluster) {
			c.joiner.conf.mysqld = append(c.joiner.conf.mysqld, c.joiner.scattered(t)...)
		},
		warns: []string{"travels over the network unencrypted"},
	}
	required = security{
		name: "REQUIRED, since there are certificates and no CA",
		mode: "REQUIRED",
		setUp: func(t *testing.T, c *cluster) {
			i := newIssuer(t, c)
			for _, n := range []*node{c.donor, c.joiner} {
				id := i.selfSigned(t, n.name, n.name+".elsewhere")
				n.conf.sst = []string{"tcert=" + id.cert, "tkey=" + id.key}
			}
		},
		warns: []string{"ssl-mode=REQUIRED:"},
	}
	verifyCA = security{
		name:  "VERIFY_CA, since there is a CA",
		mode:  "VERIFY_CA",
		setUp: func(t *testing.T, c *cluster) { c.fromAuthority(t, "node2.example", "") },
	}
	verifyCAOfServer = security{
		name: "VERIFY_CA with the files of the server, and another CA in a directory",
		mode: "VERIFY_CA",
		setUp: func(t *testing.T, c *cluster) {
			i := newIssuer(t, c)
			ca := i.authority(t, "authority")
			dir := i.path("authorities")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			command(t, "cp", ca.cert, dir)
			command(t, "openssl", "rehash", dir)
			for _, n := range []*node{c.donor, c.joiner} {
				id := i.signed(t, ca, n.name, n.name+".example", "")
				n.conf.mysqld = append(n.conf.mysqld, "ssl_ca="+ca.cert, "ssl_cert="+id.cert, "ssl_key="+id.key)
				n.conf.sst = []string{"ssl-mode=verify_ca", "ssl-server-ca=" + dir, "ssl-client-capath=" + dir}
			}
		},
	}
	verifyIdentity = security{
		name: "VERIFY_IDENTITY",
		mode: "VERIFY_IDENTITY",
		setUp: func(t *testing.T, c *cluster) {
			i := newIssuer(t, c)
			one, two := i.selfSigned(t, "node1", "node1.example"), i.selfSigned(t, "node2", "Node2.example")
			all := i.join(t, "all.crt", one.cert, two.cert)
			c.donor.conf.sst = append(trio(all, one), "ssl-mode=VERIFY_IDENTITY")
			c.joiner.conf.sst = append(trio(all, two), "ssl-mode=VERIFY_IDENTITY")
		},
	}
)

// mixtures are all of them: each side, each security, each method.
func mixtures() []mixed {
	short := []mixed{
		{donor: "stock", joiner: "ours", method: "rsync", security: verifyCA},
		{donor: "ours", joiner: "stock", method: "rsync_wan", security: verifyIdentity},
	}
	var all []mixed
	for _, sides := range [][2]string{{"stock", "ours"}, {"ours", "stock"}, {"ours", "ours"}} {
		for _, method := range []string{"rsync", "rsync_wan"} {
			for _, s := range []security{inTheClear, elsewhere, joinerElsewhere, required, verifyCA, verifyCAOfServer, verifyIdentity} {
				if sides[0] == "stock" && s.name == elsewhere.name {
					// The stock script looks for its own separate directories as joiner only (create_dirs): as donor it
					// sends nothing from them, and a stock joiner is not filled either (10.11.19, tried 2026-11-24).
					continue
				}
				m := mixed{donor: sides[0], joiner: sides[1], method: method, security: s}
				m.always = slices.ContainsFunc(short, func(o mixed) bool { return o.name() == m.name() })
				all = append(all, m)
			}
		}
	}
	return all
}

func TestClustersOfTheStockScriptAndOurs(t *testing.T) {
	t.Parallel()
	for _, m := range mixtures() {
		if !m.always && os.Getenv("E2E_LONG") == "" {
			continue
		}
		t.Run(m.name(), func(t *testing.T) {
			peers.Need(t, "rsync")
			peers.Need(t, "stunnel")
			peers.Need(t, "lsof")
			c := newCluster(t, m.method)
			m.security.setUp(t, c)
			for _, side := range []struct {
				*node
				program string
			}{{c.donor, m.donor}, {c.joiner, m.joiner}} {
				if side.program == "ours" {
					side.node.overrides(t, "wsrep_sst_"+m.method, product(t))
				}
			}
			c.bootstrap(t)
			c.donor.exec(t, schema...)
			c.linkedDatabase(t)

			story(t, "an empty data directory is filled by SST while a client writes", func(t *testing.T) { m.sst(t, c) })
			if os.Getenv("E2E_LONG") != "" {
				story(t, "a stale data directory is refilled and loses what the donor does not have", func(t *testing.T) {
					c.joiner.stop(t)
					c.donor.exec(t, laterChanges...)
					c.makeStale(t)
					m.sst(t, c)
					c.staleIsGone(t)
				})
			}
			story(t, "after a short absence the node rejoins by IST", func(t *testing.T) { m.ist(t, c) })
		})
	}
}

// overrides makes a program the SST program of this node under a name that is installed, too. mariadbd puts its own
// folder in front of PATH unless that very text is in it already.
func (n *node) overrides(t *testing.T, name, program string) {
	t.Helper()
	if err := os.Symlink(program, filepath.Join(n.programs, name)); err != nil {
		t.Fatal(err)
	}
	n.lastPath = "/usr//bin"
}

func (m mixed) sst(t *testing.T, c *cluster) {
	t.Helper()
	marks := c.marks()
	var took float64
	w := whileWriting(t, c.donor, func() { took = c.join(t).Seconds() })
	t.Logf("%s: joined after %.1f s; %d transactions meanwhile, the longest took %.2f s", m.name(), took, w.transactions, w.stall.Seconds())
	if bypassed, asked := c.donorRan(marks); !asked || bypassed {
		t.Errorf("the donor's SST program was started: %v, to bypass: %v; want an SST", asked, bypassed)
	}
	m.good(t, c, marks, "SST")
	if m.donor == "ours" && (m.joiner == "stock" || m.security.mode == "") {
		// A script is sent its sessions before the lock, too, where that gains something.
		want := "round 1 before the lock: "
		if m.method == "rsync" {
			want = "nothing is copied before the lock: the database is small"
		}
		if log := c.donor.log(marks.donor); strings.Count(log, want) != 1 {
			t.Errorf("the donor did not say %q once", want)
		}
	}
}

func (m mixed) ist(t *testing.T, c *cluster) {
	t.Helper()
	c.joiner.stop(t)
	for i := range 50 {
		if err := c.donor.transaction(100000 + i); err != nil {
			t.Fatal(err)
		}
	}
	marks := c.marks()
	took := c.join(t)
	t.Logf("%s: rejoined by IST after %.1f s", m.name(), took.Seconds())
	if bypassed, asked := c.donorRan(marks); !asked || !bypassed {
		t.Errorf("the donor's SST program was started: %v, to bypass: %v; want an IST", asked, bypassed)
	}
	m.good(t, c, marks, "IST")
}

// good checks what holds after any join: equal tables, two nodes that serve, nothing left behind, and the lines in the
// logs that tools look for.
func (m mixed) good(t *testing.T, c *cluster, at marks, kind string) {
	t.Helper()
	c.samePosition(t)
	sameTables(t, c.donor, c.joiner)
	c.serves(t)
	c.tidy(t)
	started := "SST" // a joiner does not know yet what it will be
	m.logged(t, c.joiner, m.joiner, c.joiner.log(at.joiner), m.method+" "+started+" started on joiner", m.method+" "+kind+" completed on joiner")
	m.logged(t, c.donor, m.donor, c.donor.log(at.donor), m.method+" "+kind+" started on donor", m.method+" "+kind+" completed on donor")
}

func (m mixed) logged(t *testing.T, n *node, program, log string, once ...string) {
	t.Helper()
	switch m.security.mode {
	case "":
	case "VERIFY_CA":
		once = append(once, "Verifying peer certificate chain for ssl-mode=VERIFY_CA")
		fallthrough
	default:
		once = append(once, "Using stunnel for SSL encryption", "ssl-mode='"+m.security.mode+"'")
	}
	for _, text := range once {
		if got := strings.Count(log, text); got != 1 {
			t.Errorf("%s logged %q %d times, want once", n.name, text, got)
		}
	}
	// What only we say, so that this is not the stock script twice.
	if ran := strings.Contains(log, "WSREP_SST: [INFO] listening on") || strings.Contains(log, "WSREP_SST: [INFO] joiner 127.0.0.1"); ran != (program == "ours") && !strings.Contains(log, "IST completed on donor") {
		t.Errorf("our program ran on %s: %v, but it should be %s", n.name, ran, program)
	}
	if program != "ours" {
		return
	}
	for _, text := range m.security.warns {
		if got := strings.Count(log, text); got != 1 {
			t.Errorf("%s warned %d times of %q, want once", n.name, got, text)
		}
	}
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "WSREP_SST:") || slices.ContainsFunc(m.security.warns, func(w string) bool { return strings.Contains(line, w) }) {
			continue
		}
		if upper := strings.ToUpper(line); strings.Contains(upper, "[ERROR]") || strings.Contains(upper, "[WARNING]") || strings.Contains(line, "DONOR") {
			t.Errorf("%s logged in a good %s: %s", n.name, m.method, strings.TrimSpace(line))
		}
	}
}

// With many schemas towards a stock joiner, small ones share connections, TLS sessions are resumed, and work overlaps. The
// stock donor, to which each schema is a connection of its own, is the ruler.
func TestManySchemasTowardsTheStockScript(t *testing.T) {
	t.Parallel()
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("only in the long run (E2E_LONG=1)")
	}
	const schemas = 300
	for _, donor := range []string{"ours", "stock"} {
		t.Run(donor+" donor", func(t *testing.T) {
			peers.Need(t, "rsync")
			peers.Need(t, "stunnel")
			peers.Need(t, "lsof")
			m := mixed{donor: donor, joiner: "stock", method: "rsync", security: verifyCA}
			c := newCluster(t, m.method)
			m.security.setUp(t, c)
			if donor == "ours" {
				c.donor.overrides(t, "wsrep_sst_"+m.method, product(t))
			}
			c.bootstrap(t)
			c.donor.exec(t, small...)
			for i := range schemas {
				c.donor.exec(t, fmt.Sprintf("CREATE DATABASE s%03d", i), fmt.Sprintf("CREATE TABLE s%03d.t (id INT PRIMARY KEY) ENGINE=Aria", i))
			}
			at := c.marks()
			took := c.join(t)
			t.Logf("%s donor, stock joiner, %d schemas: joined after %.1f s", donor, schemas, took.Seconds())
			m.good(t, c, at, "SST")
		})
	}
}
