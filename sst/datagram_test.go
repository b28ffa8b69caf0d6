package sst

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wsrep_sst_rsync_tunnel/tls/dtls/udplink"
)

// An SST over DTLS is the same SST: what is tried here is that it comes to the same,
// and that a network that loses connections in a way of its own does no harm.

const byDatagrams = "transport=dtls"

// udpLink puts a network before the joiner at port.
func udpLink(t *testing.T, port int, o udplink.Options) *udplink.Link {
	t.Helper()
	l, err := udplink.New(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(port)), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// udpSockets are those of a node's program that is running.
func udpSockets(t *testing.T, n *node) (count int) {
	t.Helper()
	tables := ""
	for _, name := range []string{"udp", "udp6"} {
		text, err := os.ReadFile("/proc/net/" + name)
		if err != nil {
			t.Fatal(err)
		}
		tables += string(text)
	}
	found := false
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		text, _ := os.ReadFile(file)
		args := strings.Split(string(text), "\x00")
		if filepath.Base(args[0]) != "wsrep_sst_rsync_tunnel" || !strings.Contains(string(text), n.dir) {
			continue
		}
		found = true
		fds, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "fd", "*"))
		for _, fd := range fds {
			to, _ := os.Readlink(fd)
			if inode, ok := strings.CutPrefix(to, "socket:["); ok && strings.Contains(tables, " "+strings.TrimSuffix(inode, "]")+" ") {
				count++
			}
		}
	}
	if !found {
		t.Fatal("the program of the node is not found in /proc")
	}
	return count
}

func TestAnSSTOverDTLS(t *testing.T) {
	donor, joiner := newCluster(t).pair(byDatagrams, "backup-threads=3")
	port := joiner.ready()
	link := udpLink(t, port, udplink.Options{})
	if n := udpSockets(t, joiner); n != 1 {
		t.Errorf("the joiner has %d UDP sockets", n)
	}
	donor.donate(link.Addr().Port, "")
	donor.expect("flush tables")
	if n := udpSockets(t, donor); n != 1 {
		t.Errorf("the donor has %d UDP sockets, so many associations", n)
	}
	complete(donor, joiner)
	if link.Passed() < databaseBytes {
		t.Errorf("%d bytes went over UDP", link.Passed())
	}
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	donor.nothingLeft()
	joiner.nothingLeft()
	donor.says("DTLS 1.2 over UDP", "joiner 127.0.0.1 (certificate CN=localhost) connected", "rsync_tunnel SST completed on donor")
	joiner.says("DTLS 1.2 over UDP", "donor 127.0.0.1 (certificate CN=localhost) connected", "rsync_tunnel SST completed on joiner")
	for _, n := range []*node{donor, joiner} {
		if strings.Contains(n.said(), "[ERROR]") || strings.Contains(n.said(), "[WARNING]") {
			t.Errorf("a good run complains:\n%s", n.said())
		}
	}
}

func TestWithoutTransportNoUDPSocketIsOpen(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	port := joiner.ready()
	atReady := udpSockets(t, joiner)
	donor.donate(port, "")
	donor.expect("flush tables")
	if n, m := udpSockets(t, donor), udpSockets(t, joiner); atReady+n+m != 0 {
		t.Errorf("UDP sockets: %d of the joiner at its ready, %d of it and %d of the donor under the lock", atReady, m, n)
	}
	complete(donor, joiner)
}

func TestAnISTOverDTLS(t *testing.T) {
	donor, joiner := newCluster(t).pair("sockopt=method=DTLS1.2")
	database(t, joiner.dir)
	content := state(t, joiner.dir)
	donor.donate(joiner.ready(), "--bypass")
	donor.expect("continue")
	donor.expect("done " + testUUID + ":7 0")
	donor.exit(0)
	joiner.expect(testUUID + ":7 0")
	joiner.exit(0)
	joiner.says("DTLS 1.2 over UDP")
	if diff := cmp.Diff(content, state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
}

// One end has transport=dtls only: that is said before anything is locked or removed.
func TestOneEndOnlySpeaksDTLS(t *testing.T) {
	for name, c := range map[string]struct{ donor, joiner, says string }{
		"the donor":  {byDatagrams, "transport=tls", "nothing listens on that port by UDP"},
		"the joiner": {"transport=tls", byDatagrams, "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := newCluster(t)
			donor := cluster.node(cluster.certificate("localhost", true), c.donor)
			joiner := cluster.node(cluster.certificate("localhost", true), c.joiner)
			database(t, donor.dir)
			database(t, joiner.dir)
			same := untouched(joiner)
			began := time.Now()
			donor.donate(joiner.ready(), "")
			donor.end()
			donor.isFailed()
			donor.says("[ERROR]", c.says, "transport=dtls")
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %v", took)
			}
			joiner.signal(syscall.SIGTERM)
			joiner.exit(exitSignal)
			same()
		})
	}
}

func TestCertificatesThatDoNotFitOverDTLS(t *testing.T) {
	for _, c := range []struct {
		name                  string
		donorTrusted          bool
		joinerName            string
		donorSays, joinerSays string
	}{
		{"the joiner does not trust the donor's", false, "localhost", "refused our certificate", "is self-signed and not in"},
		{"the joiner's bears another name", true, "elsewhere", "its certificate bears CN=elsewhere", "refused our certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cluster := newCluster(t)
			joiner := cluster.node(cluster.certificate(c.joinerName, true), byDatagrams)
			donor := cluster.node(cluster.certificate("localhost", c.donorTrusted), byDatagrams)
			database(t, donor.dir)
			database(t, joiner.dir)
			same := untouched(joiner)
			donor.donate(joiner.ready(), "")
			donor.end()
			donor.isFailed()
			donor.says("[ERROR]", c.donorSays)
			waitFor(t, "the joiner to say why", func() bool { return strings.Contains(joiner.said(), c.joinerSays) })
			joiner.signal(syscall.SIGTERM)
			joiner.exit(exitSignal)
			joiner.says("datadir untouched")
			same()
			donor.nothingLeft()
		})
	}
}

// What was on its way is lost in the middle, and whoever sends from the same port is not
// heard any more, as when a firewall forgets.
func TestAnAssociationThatIsCutInTheMiddle(t *testing.T) {
	if os.Getenv("E2E_LONG") == "" {
		t.Skip("takes the 10 s after which an association counts as dead: E2E_LONG=1")
	}
	donor, joiner := newCluster(t).pair(byDatagrams)
	link := udpLink(t, joiner.ready(), udplink.Options{})
	var once sync.Once
	link.OnPassed(func(total int64) {
		if total >= databaseBytes/2 {
			once.Do(link.Cut)
		}
	})
	donor.donate(link.Addr().Port, "")
	donor.expect("flush tables")
	complete(donor, joiner)
	donor.says("the control connection broke and was made again")
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
}

func TestALinkOverUDPThatIsDead(t *testing.T) {
	donor, joiner := newCluster(t).pair(append([]string{byDatagrams, "sst-connect-timeout=1"}, hurried...)...)
	database(t, joiner.dir)
	write(t, joiner.dir, grastateFile, "")
	link := udpLink(t, joiner.ready(), udplink.Options{})
	dead := make(chan struct{})
	var once sync.Once
	link.OnPassed(func(total int64) {
		if total >= databaseBytes/2 {
			once.Do(func() {
				link.Die(true)
				close(dead)
			})
		}
	})
	donor.donate(link.Addr().Port, "")
	reach(t, dead)
	began := time.Now()
	donor.end()
	donor.isFailed()
	donor.says("[ERROR]", "joiner 127.0.0.1")
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("the donor needed %v", took)
	}
	joiner.fails(exitPipe)
	joiner.says("[ERROR]", "incomplete")
	donor.nothingLeft()
	theNextOneSucceeds(donor, joiner)
}
