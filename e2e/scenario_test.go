package e2e

import (
	"net"
	"testing"
)

// small is a database just large enough to see that a join has worked.
var small = []string{
	"CREATE DATABASE plain",
	"CREATE TABLE plain.ledger (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT NOT NULL, v VARBINARY(600), KEY (k))",
	"INSERT INTO plain.ledger (k, v) SELECT seq, RANDOM_BYTES(500) FROM seq_1_to_1000",
	"CREATE TABLE plain.aria (id INT PRIMARY KEY, v VARCHAR(300)) ENGINE=Aria",
	"INSERT INTO plain.aria SELECT seq, REPEAT('a', seq MOD 300) FROM seq_1_to_1000",
}

// Other ways to configure a node; each is one join of a small database.
func TestNodeJoinsWithOtherSettings(t *testing.T) {
	t.Parallel()
	for _, scenario := range []struct {
		name   string
		setUp  func(t *testing.T, c *cluster)
		warned []string
	}{
		{"certificates that nobody verifies (verify=0), each unknown to the other node and to the wrong name", func(t *testing.T, c *cluster) {
			i := newIssuer(t, c)
			for _, n := range []*node{c.donor, c.joiner} {
				own := i.selfSigned(t, n.name, n.name+".elsewhere")
				n.conf.sst = append(trio(own.cert, own), `sockopt="verify=0"`)
			}
		}, []string{"verify=0"}},
		{"an IPv6 address that is the SAN of a certificate from a CA", func(t *testing.T, c *cluster) {
			l, err := net.Listen("tcp", "[::1]:0")
			if err != nil {
				t.Skipf("NOT TESTED: no IPv6 on loopback: %v", err)
			}
			l.Close()
			c.fromAuthority(t, "node2.example", "DNS:node2.example,IP:::1")
			c.joiner.conf.host = "[::1]"
		}, nil},
		{"InnoDB, undo and Aria files outside the data directory, in other places on each node", func(t *testing.T, c *cluster) {
			c.selfSignedBoth(t)
			for _, n := range []*node{c.donor, c.joiner} {
				n.conf.mysqld = n.scattered(t)
			}
			c.donor.scatter(t)
		}, nil},
	} {
		t.Run(scenario.name, func(t *testing.T) {
			c := newCluster(t, method())
			scenario.setUp(t, c)
			c.bootstrap(t)
			c.donor.exec(t, small...)
			marks := c.marks()
			took := c.join(t)
			t.Logf("%s: joined after %.1f s", c.joiner.conf.method, took.Seconds())
			c.samePosition(t)
			sameTables(t, c.donor, c.joiner)
			c.serves(t)
			c.tidy(t)
			c.quietLogs(t, marks, scenario.warned...)
		})
	}
}
