package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

func TestBinaryIsStaticAndSmall(t *testing.T) {
	t.Parallel()
	binary := product(t)
	if out := command(t, peers.Need(t, "file"), binary); !strings.Contains(out, "statically linked") || strings.Contains(out, "interpreter") {
		t.Errorf("file says: %s", out)
	}
	// ldd exits 1 for a static program.
	if out, _ := exec.Command(peers.Need(t, "ldd"), binary).CombinedOutput(); !strings.Contains(string(out), "not a dynamic executable") {
		t.Errorf("ldd says: %s", out)
	}
	if out := command(t, binary, "version"); !strings.Contains(out, "commit  "+productStamp+"\n") {
		t.Errorf("the binary does not name the commit that the Makefile was told: %s", out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the binary has %.1f MB", float64(info.Size())/1e6)
	if info.Size() >= 15_000_000 {
		t.Errorf("the binary has %d bytes; 15 MB is the limit", info.Size())
	}
}

// Nothing else has to be installed, so nothing else is ever started: both nodes' SST programs run under strace, which
// records every execve of theirs. Not even to find out the server's version: a group of another one sets places that are
// nowhere, and an SST that did not know the version would end with an error.
func TestTransferStartsNoOtherProgram(t *testing.T) {
	t.Parallel()
	strace := peers.Need(t, "strace")
	c := newCluster(t, "rsync_tunnel")
	c.selfSignedBoth(t)
	for _, n := range []*node{c.donor, c.joiner} {
		n.conf.mysqld = append(n.conf.mysqld, "", "[mariadb-5.1]")
		for _, p := range places {
			n.conf.mysqld = append(n.conf.mysqld, p.setting+"=/nowhere")
		}
		// -D keeps strace out of the line of parents that the program climbs to find mariadbd.
		n.script(t, "exec "+strace+" -D -f -qq -e trace=execve,execveat -o "+n.path("tmp")+"/strace.$$ "+product(t)+` "$@"`)
	}
	c.bootstrap(t)
	c.donor.exec(t, small...)
	c.join(t)
	c.samePosition(t)
	sameTables(t, c.donor, c.joiner)
	c.joiner.stop(t)
	c.donor.stop(t)

	for _, n := range []*node{c.donor, c.joiner} {
		traces, err := filepath.Glob(n.path("tmp/strace.*"))
		if err != nil || len(traces) != 1 {
			t.Fatalf("%s has traces %v (%v), want one", n.name, traces, err)
		}
		text, err := os.ReadFile(traces[0])
		if err != nil {
			t.Fatal(err)
		}
		calls := regexp.MustCompile(`execve(at)?\(.*`).FindAllString(string(text), -1)
		if len(calls) != 1 || !strings.Contains(calls[0], product(t)) {
			t.Errorf("%s: want one execve, the program's own, got:\n%s", n.name, strings.Join(calls, "\n"))
		}
	}
}
