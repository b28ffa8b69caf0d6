package tunnel

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

// TestManySchemasTowardsTheTunnelScriptAreFewHandshakes: socat verifies, so OpenSSL refuses to resume any TLS session
// with it, and each connection is a full handshake. The joiner has a stale state of every schema.
func TestManySchemasTowardsTheTunnelScriptAreFewHandshakes(t *testing.T) {
	const schemas, most = 300, 20
	socat, openssl, rsync := peers.Need(t, "socat"), peers.Need(t, "openssl"), peers.Need(t, "rsync")
	d, j := hosts(t)
	donor, joiner := &node{host: d, rsync: rsync, socat: socat}, &node{host: j, rsync: rsync, socat: socat}
	var certs []string
	for _, n := range []*node{donor, joiner} {
		key, cert := certificate(t, openssl, n.dir, "node", n.address, "")
		n.cert = bundle(t, n.path("mysql.pem"), key, cert)
		certs = append(certs, cert)
	}
	for _, n := range []*node{donor, joiner} {
		n.ca, n.sockopt = bundle(t, n.path("all.pem"), certs...), "verify=1"
	}
	database(t, donor, joiner)
	donor.configure(t)
	ofDonor, ofJoiner := map[string]int{"big/t.ibd": 40 << 20}, map[string]int{"big/dropped.ibd": 10}
	for i := range schemas {
		for _, name := range []string{"db.opt", "t.frm", "t.MAI", "t.MAD"} {
			ofDonor[fmt.Sprintf("s%03d/%s", i, name)] = 60 + i
		}
		ofJoiner[fmt.Sprintf("s%03d/t.MAD", i)] = 50
		ofJoiner[fmt.Sprintf("s%03d/dropped/t.MAD", i)] = 50
	}
	donor.write(t, donor.data(), "donor", ofDonor)
	joiner.write(t, joiner.data(), "joiner", ofJoiner)

	listener := joiner.joinsByScript(t)
	began := time.Now()
	o := donor.donates(t, joiner.address, "")
	donor.isLocked(t, o)
	took := time.Since(began)

	connections := strings.Count(listener.said(), "accepting connection from")
	t.Logf("%d schemas to the tunnel script's joiner in %.1f s, %d connections", schemas, took.Seconds(), connections)
	if connections < 5 || connections > most {
		t.Errorf("%d TLS connections for %d schemas, want at most %d", connections, schemas, most)
	}
	for _, d := range tree.Diff(carried(t, joiner, false), carried(t, donor, false)) {
		t.Error(d)
	}
	joiner.keepsItsOwn(t)
	if _, err := os.Lstat(joiner.path("data/dropped")); !os.IsNotExist(err) {
		t.Errorf("the joiner keeps a database that the donor does not have (%v)", err)
	}
}
