package sst

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst/status"
	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// told reads a node's status file.
func told(t *testing.T, name string) status.File {
	t.Helper()
	file, err := status.Read(name, -1)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A mistake in the option file is told where a probe looks, too; but not while another
// SST of this directory tells of itself there.
func TestTheStatusFileTellsOfAMistakeInTheSettings(t *testing.T) {
	c := newCluster(t)
	name := filepath.Join(t.TempDir(), "joiner.json")
	joiner := c.node(c.certificate("localhost", true), "status-file="+name, "[mariadb-10.11]", "innodb_undo_directory=/elsewhere")
	lock, err := os.Open(joiner.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := flock(lock); err != nil {
		t.Fatal(err)
	}
	fails := func() {
		t.Helper()
		joiner.start("--role 'joiner' --address 'localhost:" + fmt.Sprint(porttest.Free(t)) + "' --parent $PPID --progress 0")
		joiner.end()
		joiner.says("which one runs is not known", "[ERROR]")
	}
	fails()
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("told although another SST has the directory: %v", err)
	}
	lock.Close()
	fails()
	file := told(t, name)
	if len(file.Last) != 1 || file.Last[0].Phase != status.Failed || !strings.Contains(file.Last[0].Reason, "which one runs is not known") {
		t.Errorf("told %+v", file)
	}
	if v, why := file.Judge(time.Now()); v != status.Broken {
		t.Errorf("%v: %s", v, why)
	}
}

func TestTheStatusFileTellsOfAnSSTFromItsStartToItsEnd(t *testing.T) {
	c := newCluster(t)
	dir := t.TempDir()
	at := func(role string) string { return filepath.Join(dir, role+".json") }
	donor := c.node(c.certificate("localhost", true), "status-file="+at("donor"))
	joiner := c.node(c.certificate("localhost", true), "status-file="+at("joiner"))
	database(t, donor.dir)

	port := joiner.ready()
	waitFor(t, "a joiner that waits", func() bool { return told(t, at("joiner")).Current.Phase == status.Waiting })
	donor.donate(port, "")
	donor.expect("flush tables")
	waitFor(t, "a donor that waits for the lock", func() bool { return told(t, at("donor")).Current.Phase == status.Waiting })
	if v, why := told(t, at("donor")).Judge(time.Now()); v != status.Running {
		t.Errorf("donor under way: %v, %s", v, why)
	}

	donor.signal(syscall.SIGUSR1)
	waitFor(t, "the progress in the log", func() bool {
		return strings.Contains(donor.said(), "SIGUSR1: waiting for") && strings.Contains(donor.said(), "waiting for mariadbd to flush")
	})

	donor.flushed(7)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":7 0")
	donor.exit(0)
	joiner.expect(testUUID + ":7 0")
	joiner.exit(0)
	for _, role := range []string{"donor", "joiner"} {
		file := told(t, at(role))
		if v, why := file.Judge(time.Now()); v != status.Idle || len(file.Last) != 1 {
			t.Fatalf("%s: %v (%s), %+v", role, v, why, file)
		}
		last := file.Last[0]
		if last.Role != role || last.Phase != status.Complete || last.Bytes == 0 || last.Peer == "" || !last.Locked.IsZero() {
			t.Errorf("%s: %+v", role, last)
		}
	}
	if last := told(t, at("joiner")).Last[0]; last.Datadir != saysComplete {
		t.Errorf("joiner: %+v", last)
	}
}

func TestTheStatusFileKeepsTheReasonOfAFailure(t *testing.T) {
	c := newCluster(t)
	name := filepath.Join(t.TempDir(), "status.json")
	joiner := c.node(c.certificate("localhost", true), "status-file="+name)
	joiner.ready()
	joiner.signal(syscall.SIGTERM)
	joiner.exit(exitSignal)
	file := told(t, name)
	if v, why := file.Judge(time.Now()); v != status.Broken || !strings.Contains(why, "ended by the signal terminated") {
		t.Errorf("%v: %s", v, why)
	}
	if last := file.Last[0]; last.Exit != exitSignal || last.Datadir != saysUntouched {
		t.Errorf("%+v", last)
	}
}

// Whoever asks later must find the file by the option files alone.
func TestWhereTheStatusFileIs(t *testing.T) {
	temp := func(s []string) bool {
		return len(s) > 0 && filepath.Dir(s[len(s)-1]) == filepath.Clean(os.TempDir()) && strings.HasPrefix(filepath.Base(s[len(s)-1]), "wsrep_sst-status-")
	}
	for _, tc := range []struct {
		name, cnf string
		first     string
		n         int
		temp      bool
		warns     string
	}{
		{"nothing is set", "", "", 1, true, ""},
		{"a socket", "[mysqld]\nsocket=/run/mysqld/mysqld2.sock\n", "/run/mysqld/mysqld2.sst-status.json", 2, true, ""},
		{"a socket in the data directory", "[mysqld]\nsocket=/data/mysql.sock\n", "", 1, true, ""},
		{"a file", "[sst]\nstatus-file=/run/sst.json\n", "/run/sst.json", 1, false, ""},
		{"off", "[sst]\nstatus_file=off\n", "", 0, false, ""},
		{"no absolute path", "[sst]\nstatus-file=sst.json\n", "", 0, false, "no absolute path"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cnf := filepath.Join(t.TempDir(), "my.cnf")
			if err := os.WriteFile(cnf, []byte(tc.cnf), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := LoadSettings(Args{Datadir: "/data", Defaults: mycnf.Args{File: cnf, HasFile: true}}, mycnf.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got := s.StatusFiles
			if len(got) != tc.n || tc.first != "" && got[0] != tc.first || tc.temp != temp(got) {
				t.Errorf("%q", got)
			}
			if all := strings.Join(s.Warnings, "\n"); !strings.Contains(all, tc.warns) || tc.warns == "" && all != "" {
				t.Errorf("warnings: %s", all)
			}
		})
	}
}

func TestProgressInOneLine(t *testing.T) {
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	r := status.Run{Phase: status.Transferring, Doing: "sending", Peer: "node2", Began: now.Add(-90 * time.Second),
		Bytes: 5 << 30, Total: 10 << 30, Locked: now.Add(-time.Second)}
	want := "SIGUSR1: transferring for 90 s, sending, with node2, " + bytesText(5<<30) + " of " + bytesText(10<<30) + ", tables locked for 1.0 s"
	if got := progressText(r, now); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A folder that cannot be written to is passed over for the next place.
func TestTheFirstPlaceThatCanBeWrittenIsUsed(t *testing.T) {
	good := filepath.Join(t.TempDir(), "status.json")
	r := &run{settings: &Settings{StatusFiles: []string{filepath.Join(t.TempDir(), "no", "folder", "x.json"), good}},
		count: new(atomic.Int64).Load, log: nil}
	r.begin()
	defer r.end(context.Canceled)
	if _, err := status.Read(good, -1); err != nil {
		t.Error(err)
	}
}
