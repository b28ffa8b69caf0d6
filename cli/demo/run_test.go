package demo

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
)

// A program that plays an SST badly. Its file is a shell script; joiner and donor are
// what the roles do, after $datadir and $role have been found.
func badProgram(t *testing.T, joiner, donor string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("NOT TESTED: no sh to write a bad program in")
	}
	file := filepath.Join(t.TempDir(), "program")
	text := `#!/bin/sh
while [ $# -gt 0 ]; do
	case $1 in
	--role) role=$2 ;;
	--datadir) datadir=$2 ;;
	--mysqld-args) break ;;
	esac
	shift
done
position='` + mariadbd.Position + ` 0'
flushed() { until [ -s tables_flushed ]; do sleep 0.02; done; rm -f tables_flushed; }
if [ "$role" = joiner ]; then
` + joiner + `
else
` + donor + `
fi
`
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

const (
	goodJoiner = `echo ready 127.0.0.1:4444/rsync_tunnel_sst; until [ -e ../over ]; do sleep 0.02; done; echo "$position"`
	goodDonor  = `echo flush tables; flushed; echo continue; echo "done $position"; : >../over`
)

// A demo that is green must mean something: each of these has to fail, in time, with
// the reason, and leave nothing behind.
func TestADemoOfABadProgramFails(t *testing.T) {
	for _, c := range []struct {
		name, joiner, donor string
		wants, says         string
	}{
		{"copies nothing", goodJoiner, goodDonor, "data directories are not as they should be", `"ibdata1": content differs`},
		{"copies everything, as cp does", `echo ready x; until [ -e ../over ]; do sleep 0.02; done; cp -r ../donor/. .; echo "$position"`, goodDonor,
			"data directories are not as they should be", `should not be there`},
		{"does not answer", "exit 0", goodDonor, "joiner ended well without giving a position", ""},
		{"fails at once", "echo 'no certificate' >&2; exit 22", goodDonor, "joiner: exit status 22", "no certificate"},
		{"says something else than ready", "echo hello world; sleep 60", goodDonor, `joiner: the first line is "hello world"`, ""},
		{"is ready nowhere", "echo 'ready '; sleep 60", goodDonor, `the first line is "ready "`, ""},
		{"gives the position of another cluster", `echo ready x; echo 11111111-2222-3333-4444-555555555555:3 0; sleep 60`, "sleep 60",
			"should be the donor's position", ""},
		{"says more than it should", `echo ready x; echo "$position"; echo bye; sleep 60`, "sleep 60", `the line "bye" is one too many`, ""},
		{"leaves a line open", `echo ready x; printf %s "$position"`, "sleep 60", "has no end", ""},
		{"has a donor that sends nothing and claims success", goodJoiner, ": >../over", "donor ended well without saying", ""},
		{"has a donor that goes on before the lock", goodJoiner, "echo continue; sleep 60", `donor: the line is "continue"`, ""},
		{"has a donor that breaks off under the lock", goodJoiner, "echo flush tables; flushed; echo 'no such table' >&2; exit 255",
			"donor: exit status 255", "no such table"},
		{"has a donor that says too much at once", goodJoiner, `head -c 200 /dev/zero | tr '\0' x; echo; sleep 60`, "longer than mariadbd's buffer", ""},
		{"fails after all is done", goodJoiner, goodDonor + "; exit 7", "donor: exit status 7", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			program := badProgram(t, c.joiner, c.donor)
			tmp := demoIn(t)
			var out strings.Builder
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			d := newDemo(program, &out)
			err := d.run(ctx, tmp)
			if err == nil || !strings.Contains(err.Error(), c.wants) {
				t.Errorf("got %v, want %q\n%s", err, c.wants, out.String())
			}
			if !strings.Contains(out.String(), c.says) {
				t.Errorf("nothing says %q:\n%s", c.says, out.String())
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		})
	}
}

func newDemo(program string, out io.Writer) *demo {
	return &demo{Options: Options{Megabytes: 1, Program: program, Out: out}, grace: time.Second, times: newTimeline(out)}
}

// demoIn is a directory for the temporary folder of a demo.
func demoIn(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "demo-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Both nodes hang, and one of them does not care for signals.
func TestADemoThatIsEndedKillsWhatHangs(t *testing.T) {
	program := badProgram(t, `trap '' TERM; echo ready x; sleep 600`, `echo flush tables; sleep 600`)
	tmp := demoIn(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &watched{until: " locked ", then: cancel}
	d := newDemo(program, out)
	if err := d.run(ctx, tmp); err == nil {
		t.Error("no error")
	}
	if strings.Contains(out.text.String(), "the end of the") {
		t.Errorf("shows logs to somebody who ended it himself:\n%s", out.text.String())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil || len(links) == 0 {
		t.Skipf("NOT TESTED whether processes are left: no /proc (%v)", err)
	}
	for _, link := range links {
		if dir, _ := os.Readlink(link); strings.HasPrefix(dir, tmp) {
			t.Errorf("%s still runs in %s", filepath.Dir(link), dir)
		}
	}
}

// watched calls then when a text has been written.
type watched struct {
	text  strings.Builder
	until string
	then  func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.text.Write(p)
	if strings.Contains(string(p), w.until) {
		w.then()
	}
	return len(p), nil
}

func TestManyDifferencesAreNotAllListed(t *testing.T) {
	program := badProgram(t, goodJoiner, goodDonor)
	tmp := demoIn(t)
	var out strings.Builder
	d := newDemo(program, &out)
	if err := d.run(t.Context(), tmp); err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(out.String(), "\n  \""); n != maxShown || !strings.Contains(out.String(), "\n  and ") {
		t.Errorf("%d lines\n%s", n, out.String())
	}
}
