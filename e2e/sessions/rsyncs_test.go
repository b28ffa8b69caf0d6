package sessions

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
)

// rsync is one build of rsync, with what its --version says.
type rsync struct {
	name     string // of the release of Debian it comes from
	program  string
	version  string
	protocol int      // the highest it speaks
	sums     []string // what it can check files with, "none" among them
}

// rsyncs are the installed rsync and those of other releases of Debian that are there. A release that is absent is
// named in the log, and fails the test where nothing may be missing.
func rsyncs(t *testing.T) []rsync {
	t.Helper()
	found := []rsync{describe(t, "installed", peers.Need(t, "rsync"))}
	for _, release := range peers.Releases {
		r, ok := peers.FindRelease(release)
		if !ok {
			t.Run("rsync of "+release, func(t *testing.T) { peers.OfRelease(t, release) })
			continue
		}
		one := describe(t, release, r.Program(t, "rsync"))
		one.version = r.Version("rsync")
		found = append(found, one)
	}
	return found
}

var (
	versionLine  = regexp.MustCompile(`rsync +version (\S+) +protocol version (\d+)`)
	checksumList = regexp.MustCompile(`(?s)Checksum list:\n\s+([^\n]+)`)
)

func describe(t *testing.T, name, program string) rsync {
	t.Helper()
	out, err := exec.Command(program, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v: %s", program, err, out)
	}
	version, sums := versionLine.FindStringSubmatch(string(out)), checksumList.FindStringSubmatch(string(out))
	if version == nil || sums == nil {
		t.Fatalf("%s --version tells no protocol or no checksums:\n%s", program, out)
	}
	r := rsync{name: name, program: program, version: version[1]}
	if r.protocol, err = strconv.Atoi(version[2]); err != nil {
		t.Fatal(err)
	}
	r.sums = slices.DeleteFunc(strings.Fields(sums[1]), func(s string) bool { return s == "(xxhash)" })
	return r
}

// matrix is what a run varies beyond the scripts; its zero value is the installed rsync left to itself.
type matrix struct {
	rsync  *rsync
	sum    string // the checksum to be agreed on
	choose bool   // by --checksum-choice, else by offering no other
}

func (v variant) program(t *testing.T) string {
	t.Helper()
	if v.rsync == nil {
		return peers.Need(t, "rsync")
	}
	return v.rsync.program
}

// clientArgs are the options of an rsync client that bring a variant about in a run. rsync refuses "none" for the magic
// file, which is sent with --checksum.
func (v variant) clientArgs(r run) []string {
	var args []string
	if v.rsync == nil || v.protocol <= v.rsync.protocol {
		args = append(args, fmt.Sprintf("--protocol=%d", v.protocol))
	}
	if v.choose && !(v.sum == "none" && r.file != "") {
		args = append(args, "--checksum-choice="+v.sum)
	}
	return args
}

func (v variant) clientEnv() []string {
	if v.sum == "" || v.choose {
		return nil
	}
	return []string{"RSYNC_CHECKSUM_LIST=" + v.sum}
}

// offered is clientEnv for us.
func (v variant) offered() []string {
	if v.sum == "" {
		return nil
	}
	return []string{v.sum}
}

// spoken checks that a session was what the variant asks for: a matrix whose sessions are all alike would prove little.
func (v variant) spoken(protocol int, sum string) error {
	want := v.protocol
	if v.rsync != nil {
		want = min(want, v.rsync.protocol)
	}
	if want != 0 && protocol != want {
		return fmt.Errorf("protocol %d was spoken, want %d", protocol, want)
	}
	if v.sum != "" && v.sum != "none" && sum != v.sum {
		return fmt.Errorf("files were checked with %s, want %s", sum, v.sum)
	}
	return nil
}
