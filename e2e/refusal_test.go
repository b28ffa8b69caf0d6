package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/e2e/internal/tree"
)

// mistake is something an operator has configured wrongly, and what has to be said about it.
type mistake struct {
	name string
	make func(t *testing.T, c *cluster, i *issuer)
	// What the logs have to say: every one of these patterns in one line of the log. The words of the finding side name
	// the object and the cause; the other side, if it was asked at all, at least that it was refused.
	onJoiner, onDonor []string
}

// The patterns are loose on wording and strict on names: an operator must find the file and the reason.
var mistakes = []mistake{
	{
		name: "the joiner's tca does not know the donor's certificate",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.joiner.conf.sst = replace(c.joiner.conf.sst, "tca", c.joiner.setting("tcert"))
		},
		onJoiner: []string{`(?i)(unknown|not (signed|trusted|in)|verif|authority)`, `\[(ERROR|WARNING|Warning)\]`},
		onDonor:  []string{`(?i)\[ERROR\].*(refuse|reject|unknown.*(ca|authority)|bad.*certificate)`},
	},
	{
		name: "the donor's tca does not know the joiner's certificate",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.donor.conf.sst = replace(c.donor.conf.sst, "tca", c.donor.setting("tcert"))
		},
		onDonor:  []string{`\[ERROR\]`, `(?i)(unknown|not (signed|trusted|in)|verif|authority)`, `node1\.crt`},
		onJoiner: []string{`(?i)(refuse|reject|unknown.*(ca|authority)|bad.*certificate)`},
	},
	{
		name: "the joiner's certificate bears another name than the host the donor connects to",
		make: func(t *testing.T, c *cluster, i *issuer) {
			other := i.selfSigned(t, "other", "node2.elsewhere")
			all := i.join(t, "all-and-other.crt", i.path("all.crt"), other.cert)
			c.joiner.conf.sst = trio(all, other)
			c.donor.conf.sst = replace(c.donor.conf.sst, "tca", all)
		},
		onDonor:  []string{`\[ERROR\]`, `node2\.elsewhere`, `127\.0\.0\.1`},
		onJoiner: []string{`(?i)(refuse|reject|bad.*certificate|closed)`},
	},
	{
		name: "the donor has no certificate to show",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.donor.conf.sst = []string{"tca=" + c.donor.setting("tca")}
		},
		onDonor: []string{`\[ERROR\]`, `tcert`},
	},
	{
		name: "a foreign donor comes without a client certificate",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.donor.script(t, fmt.Sprintf("openssl s_client -connect 127.0.0.1:%d </dev/null >&2; exit 22", c.joiner.ports.sst))
		},
		onJoiner: []string{`(?i)certificate`, `(?i)(no |without|didn't provide|did not|missing)`, `127\.0\.0\.1`},
	},
	{
		name: "the joiner's key does not belong to its certificate",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.joiner.conf.sst = replace(c.joiner.conf.sst, "tkey", i.copyOf(t, "node1.key", "foreign.key"))
		},
		onJoiner: []string{`\[ERROR\]`, `foreign\.key`, `node2\.crt`, `(?i)(match|belong)`},
	},
	{
		name: "the donor's key does not belong to its certificate",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.donor.conf.sst = replace(c.donor.conf.sst, "tkey", i.copyOf(t, "node2.key", "foreign.key"))
		},
		onDonor: []string{`\[ERROR\]`, `foreign\.key`, `node1\.crt`, `(?i)(match|belong)`},
	},
	{
		name: "the joiner's key cannot be read",
		make: func(t *testing.T, c *cluster, i *issuer) {
			key := i.copyOf(t, "node2.key", "locked.key")
			if err := os.Chmod(key, 0); err != nil {
				t.Fatal(err)
			}
			c.joiner.conf.sst = replace(c.joiner.conf.sst, "tkey", key)
		},
		onJoiner: []string{`\[ERROR\]`, `tkey`, `locked\.key`, `(?i)permission denied`},
	},
	{
		name: "the donor's list of certificates is not there",
		make: func(t *testing.T, c *cluster, i *issuer) {
			c.donor.conf.sst = replace(c.donor.conf.sst, "tca", i.path("gone.crt"))
		},
		onDonor: []string{`\[ERROR\]`, `tca`, `gone\.crt`, `(?i)no such file`},
	},
	{
		name: "the joiner's port is taken by another program",
		make: func(t *testing.T, c *cluster, i *issuer) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.joiner.ports.sst))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		},
		onJoiner: []string{`\[ERROR\]`, `PORT`, `(?i)in use`},
	},
}

// After each mistake the cluster has to be as before: no lock on the donor, nothing changed in the joiner's data
// directory, that of a former member. Once the mistakes are mended it joins.
func TestMistakesEndTheTransferBeforeAnyHarm(t *testing.T) {
	t.Parallel()
	c := newCluster(t, method())
	i := c.selfSignedBoth(t)
	all := i.path("all.crt")
	good := [2][]string{
		trio(all, identity{key: i.path("node1.key"), cert: i.path("node1.crt")}),
		trio(all, identity{key: i.path("node2.key"), cert: i.path("node2.crt")}),
	}
	c.donor.conf.sst, c.joiner.conf.sst = good[0], good[1]
	c.bootstrap(t)
	c.donor.exec(t, small...)
	c.join(t)
	c.joiner.stop(t)
	c.forgetState(t)
	former := c.joiner.path("former")
	command(t, "cp", "-a", c.joiner.datadir, former)

	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			c.donor.conf.sst, c.joiner.conf.sst = good[0], good[1]
			c.ourProgram(t)
			command(t, "rm", "-rf", c.joiner.datadir)
			command(t, "cp", "-a", former, c.joiner.datadir)
			m.make(t, c, i)
			defer c.joiner.kill(t)
			c.fails(t, m)
		})
	}
	t.Run("with all of it mended the node joins", func(t *testing.T) {
		c.donor.conf.sst, c.joiner.conf.sst = good[0], good[1]
		c.ourProgram(t)
		c.donor.writeOptionFile(t)
		c.join(t)
		c.samePosition(t)
		sameTables(t, c.donor, c.joiner)
	})
}

// ourProgram puts the donor's SST program back in its place.
func (c *cluster) ourProgram(t *testing.T) {
	t.Helper()
	if c.donor.conf.method == "rsync_tunnel" {
		c.donor.install(t, product(t))
	}
}

// fails starts node 2 and expects its mariadbd to end, by its own decision, with nothing harmed.
func (c *cluster) fails(t *testing.T, m mistake) {
	t.Helper()
	before := c.joiner.contents(t)
	marks := c.marks()
	c.donor.writeOptionFile(t) // the running donor's next SST program reads it

	began := time.Now()
	c.joiner.start(t)
	// "Within seconds": a second or two for Galera on either side of the attempt, and no time-out of anything.
	c.joiner.awaitEnd(t, 25*time.Second)
	t.Logf("node 2 gave up after %.1f s", time.Since(began).Seconds())
	if c.joiner.run.err == nil {
		t.Error("node 2's mariadbd ended as if all were well")
	}
	c.joiner.leftovers(t)

	c.unlocked(t)
	if d := tree.Diff(c.joiner.contents(t), before); len(d) > 0 {
		t.Errorf("the joiner's data directory has changed:\n%s", strings.Join(d, "\n"))
	}
	expectLine(t, c.joiner, marks.joiner, m.onJoiner)
	expectLine(t, c.donor, marks.donor, m.onDonor)
}

// unlocked checks that the donor is an ordinary member again: no SST program runs, and clients can write.
func (c *cluster) unlocked(t *testing.T) {
	t.Helper()
	c.donor.synced(t, 20*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.donor.db.ExecContext(ctx, "INSERT INTO plain.ledger (k, v) VALUES (-3, 'after the failure')"); err != nil {
		t.Errorf("the donor does not take a write after the failure: %v", err)
	}
	c.donor.eventually(t, 10*time.Second, "be alone in its process group", func(context.Context) (bool, string) {
		members := groupMembers(c.donor.run.pid)
		return strings.Count(members, "\n") == 0, members
	})
}

// contents is a data directory without what mariadbd and the provider write for themselves at each start.
func (n *node) contents(t *testing.T) tree.Tree {
	t.Helper()
	got, err := tree.Read(n.datadir, tree.Options{Mtimes: false, Skip: func(name string) bool {
		for _, own := range []string{"grastate.dat", "gvwstate.dat", "galera.cache", "gcache.page.*", "ddl_recovery*.log", "tc.log"} {
			if ok, _ := path.Match(own, name); ok {
				return true
			}
		}
		return false
	}})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// expectLine waits for one line of the SST program's that fits all patterns: a node's server is at times done with a
// failure before the other node's program has said it.
func expectLine(t *testing.T, n *node, from int64, patterns []string) {
	t.Helper()
	if len(patterns) == 0 {
		return
	}
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		var own []string
		for line := range strings.Lines(n.log(from)) {
			if !strings.HasPrefix(line, "WSREP_SST:") {
				continue
			}
			own = append(own, line)
			if n.fits(line, patterns) {
				t.Logf("%s says: %s", n.name, strings.TrimSpace(line))
				return
			}
		}
		if time.Now().After(deadline) {
			t.Errorf("no line of %s fits %q; its SST program logged:\n%s", n.name, patterns, strings.Join(own, ""))
			return
		}
	}
}

// fits: all patterns match; PORT in one is the node's SST port.
func (n *node) fits(line string, patterns []string) bool {
	for _, p := range patterns {
		if !regexp.MustCompile(strings.ReplaceAll(p, "PORT", fmt.Sprint(n.ports.sst))).MatchString(line) {
			return false
		}
	}
	return true
}

// setting is the value of an [sst] key.
func (n *node) setting(key string) string {
	for _, line := range n.conf.sst {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return value
		}
	}
	return ""
}

// replace sets a key of an [sst] group.
func replace(lines []string, key, value string) []string {
	var out []string
	for _, line := range lines {
		if strings.HasPrefix(line, key+"=") {
			line = key + "=" + value
		}
		out = append(out, line)
	}
	return out
}

// copyOf copies one of the issuer's files, for the server's user to read.
func (i *issuer) copyOf(t *testing.T, from, to string) string {
	t.Helper()
	path := i.join(t, to, i.path(from))
	i.owner.own(t, path)
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}
