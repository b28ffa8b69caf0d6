package sst

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// TestSSTsWithSockopt: whatever socat takes, an SST between two of ours comes to its
// end with it, the same line on both sides.
func TestSSTsWithSockopt(t *testing.T) {
	for name, sockopt := range map[string]string{
		"as TripleO writes it":                    `"cipher=!SSLv2:kEECDH:kRSA:kEDH:kPSK:+3DES:!aNULL:!eNULL:!MD5:!EXP:!RC4:!SEED:!IDEA:!DES:!SSLv3:!TLSv1,pf=ip4"`,
		"one session at a time":                   "max-children=1",
		"a local port, which one connection has":  fmt.Sprintf("sourceport=%d", porttest.Free(t)),
		"a range, attempts, time limits":          "range=127.0.0.0/8,retry=3,interval=0.5,connect-timeout=5,accept-timeout=60,backlog=3",
		"options of sockets":                      "nodelay,sndbuf=1048576,rcvbuf=1048576,keepalive,keepidle=30,tos=8,mss=1400,if=lo",
		"options without a use here":              ",,linger=10,fork,dhparam=/none,su=nobody,shut-down,",
		"a name on both sides, which the CN must": "commonname=localhost,no-sni",
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donor, joiner := cluster.pair("sockopt="+sockopt, "backup-threads=4")
			before := state(t, donor.dir)
			whole(donor, joiner)
			if diff := cmp.Diff(before, state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			for _, n := range []*node{donor, joiner} {
				if strings.Count(n.said(), "TLS 1.2 to TLS 1.3; own certificate") != 1 {
					t.Errorf("the settings are not said once:\n%s", n.said())
				}
				for what, line := range map[string]string{
					"linger=10": "[WARNING] sockopt linger=10 has no effect here",
					"sndbuf=":   "so-sndbuf=1048576; so-rcvbuf=1048576",
				} {
					if strings.Contains(sockopt, what) && !strings.Contains(n.said(), line) {
						t.Errorf("no line with %q:\n%s", line, n.said())
					}
				}
			}
		})
	}
}

func TestSockoptThatCannotBeTakenEndsBothSidesAtOnce(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair("sockopt=cafile="+cluster.ca, "# twice")
	same := untouched(joiner)
	joiner.start(fmt.Sprintf("--role 'joiner' --address 'localhost:%d'", porttest.Free(t)))
	joiner.exit(exitInvalid)
	donor.donate(porttest.Free(t), "")
	donor.exit(exitInvalid) // and nothing on stdout: no table was locked
	for _, n := range []*node{donor, joiner} {
		n.says("[ERROR]", "stands beside tca "+cluster.ca, "hint: name the file you want in tca, and remove cafile from sockopt")
	}
	same()
}

func TestAcceptTimeout(t *testing.T) {
	cluster := newCluster(t)
	joiner := cluster.node(cluster.certificate("localhost", true), "sockopt=accept-timeout=0.3", "sst-initial-timeout=600")
	joiner.ready()
	joiner.exit(exitPipe)
	joiner.says("no donor has come within 300ms (accept-timeout in sockopt)")
}

// TestFilesNamedInSockoptAreNoData: a key below the data directory is neither sent
// nor overwritten, wherever it is configured.
func TestFilesNamedInSockoptAreNoData(t *testing.T) {
	cluster := newCluster(t)
	cert := cluster.certificate("localhost", true)
	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	nodes := make([]*node, 2)
	for i, own := range []string{"the donor's", "the joiner's"} {
		n := cluster.node(cert, "sockopt=key=tls/node.key")
		// The first key of the file counts; what stands behind it tells whose it is.
		write(t, n.dir, "tls/node.key", string(pem)+own)
		nodes[i] = n
	}
	donor, joiner := nodes[0], nodes[1]
	database(t, donor.dir)
	whole(donor, joiner)
	got, err := os.ReadFile(filepath.Join(joiner.dir, "tls/node.key"))
	if err != nil || !strings.HasSuffix(string(got), "the joiner's") {
		t.Errorf("the joiner's key: %q, %v", got, err)
	}
}

// deafChannel answers no call before its end.
type deafChannel struct{ channel }

func (deafChannel) Dial(ctx context.Context, _ string, _ int) (link, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestAJoinerThatIsGoneIsGivenUp whatever sockopt says of retry and forever: tables
// may be locked, and a joiner behind a script has no control connection that breaks.
func TestAJoinerThatIsGoneIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &donor{run: &run{settings: &Settings{Silence: 300 * time.Second}}, channel: deafChannel{}, joiner: tls.Peer{Addr: "10.0.0.2:4444"}}
		began := time.Now()
		_, err := d.dialRaw(t.Context())
		if err == nil || !strings.Contains(err.Error(), "no connection for 5m0s (sst-timeout)") || time.Since(began) != d.settings.Silence {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

func TestForeverEndsWithTheJoiner(t *testing.T) {
	cluster := newCluster(t)
	donor, joiner := cluster.pair("sockopt=forever,interval=0.1", "sst-reconnect-timeout=1", "sst-reconnect-timeout-locked=1", "sst-connect-timeout=1")
	donor.donate(joiner.ready(), "")
	donor.expect("flush tables")
	joiner.signal(syscall.SIGKILL)
	donor.flushed(42)
	donor.end()
	donor.isFailed()
}
