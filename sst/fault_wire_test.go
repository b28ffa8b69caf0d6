package sst

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/tls/porttest"
)

// What can happen to an SST on its way, at a certain byte. e2e/faults_test.go has the
// list of all faults.

// hurried are time limits that let a test see them all.
var hurried = []string{"sst-timeout=2", "sst-timeout-locked=2", "sst-reconnect-timeout=1", "sst-reconnect-timeout-locked=1"}

// holdAt makes the wire hold everything, both ways, once so many bytes have gone towards
// the joiner. reached is closed then; release lets everything go on.
func (w *wire) holdAt(at int64) (reached <-chan struct{}, release func()) {
	there, gone := make(chan struct{}), make(chan struct{})
	var once, over sync.Once
	w.onPassed(func(total int64) {
		if total >= at {
			once.Do(func() { close(there) })
			<-gone
		}
	})
	release = func() { over.Do(func() { close(gone) }) }
	w.t.Cleanup(release)
	return there, release
}

// reach waits for a wire to hold.
func reach(t *testing.T, reached <-chan struct{}) {
	t.Helper()
	select {
	case <-reached:
	case <-time.After(30 * time.Second):
		t.Fatal("the copy did not come to that point within 30 s")
	}
}

// theNextOneSucceeds runs another SST without a wire.
func theNextOneSucceeds(donor, joiner *node) {
	donor.t.Helper()
	whole(donor, joiner)
	if diff := cmp.Diff(state(donor.t, donor.dir), state(donor.t, joiner.dir)); diff != "" {
		donor.t.Error(diff)
	}
	donor.nothingLeft()
	joiner.nothingLeft()
}

// databaseBytes is about what goes over the wire of database.
const databaseBytes = 14_243_000

func TestConnectionsCutAtAnyPoint(t *testing.T) {
	for _, percent := range []int64{1, 50, 99} {
		t.Run(fmt.Sprintf("%d percent", percent), func(t *testing.T) {
			donor, joiner := newCluster(t).pair()
			w := newWire(t, joiner.ready())
			var once sync.Once
			w.onPassed(func(total int64) {
				if total >= databaseBytes*percent/100 {
					once.Do(w.cut)
				}
			})
			donor.donate(w.port(), "")
			donor.expect("flush tables")
			complete(donor, joiner)
			cut := true
			once.Do(func() { cut = false })
			if !cut {
				t.Error("nothing was cut")
			}
			if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
				t.Error(diff)
			}
			donor.nothingLeft()
			joiner.nothingLeft()
		})
	}
}

func TestOneOfSeveralConnectionsIsCut(t *testing.T) {
	donor, joiner := newCluster(t).pair("backup-threads=4")
	large(t, donor.dir)
	w := newWire(t, joiner.ready())
	var once sync.Once
	w.onPassed(func(total int64) {
		if total >= 20<<20 {
			once.Do(func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				last := w.conns[len(w.conns)-2] // the donor's end of the youngest
				last.(*net.TCPConn).SetLinger(0)
				last.Close()
			})
		}
	})
	donor.donate(w.port(), "")
	donor.expect("flush tables")
	complete(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
}

// A link that carries nothing any more, and says nothing of it: no reset, no end.
func TestALinkThatIsDead(t *testing.T) {
	t.Run("before the lock", func(t *testing.T) {
		donor, joiner := newCluster(t).pair(hurried...)
		database(t, joiner.dir)
		write(t, joiner.dir, grastateFile, "")
		w := newWire(t, joiner.ready())
		reached, _ := w.holdAt(databaseBytes / 2)
		donor.donate(w.port(), "")
		reach(t, reached)
		began := time.Now()
		donor.end()
		donor.isFailed()
		donor.says("[ERROR]", "joiner 127.0.0.1")
		joiner.fails(exitPipe)
		joiner.says("[ERROR]", "donor 127.0.0.1", "datadir incomplete")
		joiner.noInnoDB()
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("that took %v", took)
		}
		theNextOneSucceeds(donor, joiner)
	})
	t.Run("under the lock", func(t *testing.T) {
		donor, joiner := newCluster(t).pair(append(hurried, "precopy=off")...)
		w := newWire(t, joiner.ready())
		reached, _ := w.holdAt(databaseBytes / 2)
		donor.donate(w.port(), "")
		donor.expect("flush tables")
		donor.flushed(42)
		reach(t, reached)
		began := time.Now()
		donor.end() // the lock goes with the program
		if took := time.Since(began); took > 12*time.Second {
			t.Errorf("the tables were locked for %v", took)
		}
		donor.isFailed()
		donor.nothingLeft()
		joiner.fails(exitPipe)
		joiner.says("[ERROR]", "datadir incomplete")
		theNextOneSucceeds(donor, joiner)
	})
}

// A side that is stopped neither ends nor answers; its kernel does.
func TestAStoppedPeerIsGivenUp(t *testing.T) {
	for _, who := range []string{"donor", "joiner"} {
		t.Run(who, func(t *testing.T) {
			donor, joiner := newCluster(t).pair(append(hurried, "precopy=off")...)
			w := newWire(t, joiner.ready())
			reached, release := w.holdAt(databaseBytes / 2)
			donor.donate(w.port(), "")
			donor.expect("flush tables")
			donor.flushed(42)
			reach(t, reached)
			stopped, other := donor, joiner
			if who == "joiner" {
				stopped, other = joiner, donor
			}
			stopped.signal(syscall.SIGSTOP)
			release()
			if who == "donor" {
				other.fails(exitPipe)
				other.says("[ERROR]", "donor 127.0.0.1", "datadir incomplete")
			} else {
				other.end()
				other.isFailed()
				other.says("[ERROR]", "joiner 127.0.0.1")
				other.nothingLeft()
			}
			stopped.signal(syscall.SIGKILL) // as a supervisor would
			stopped.cmd.Process.Kill()
			stopped.end()
			theNextOneSucceeds(donor, joiner)
		})
	}
}

// tmpfs mounts a small file system, for one test; skips it for who may not.
func tmpfs(t *testing.T, dir, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("NOT TESTED: mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// The joiner's disk is filled up by somebody else in the middle: both sides name the
// file and the cause.
func TestTheJoinersDiskFullInTheMiddle(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	tmpfs(t, joiner.dir, "size=24M")
	w := newWire(t, joiner.ready())
	reached, release := w.holdAt(databaseBytes / 2)
	donor.donate(w.port(), "")
	reach(t, reached)
	filler := filepath.Join(joiner.dir, "somebody else's")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := bytes.Repeat([]byte("x"), 1<<16); err == nil; {
		_, err = f.Write(block)
	}
	f.Close()
	release()
	donor.end()
	donor.isFailed()
	donor.says("[ERROR]", "no space left on device")
	joiner.fails(exitPipe)
	joiner.says("[ERROR]", "no space left on device", "datadir incomplete")
	joiner.noInnoDB()
	for _, n := range []*node{donor, joiner} {
		if !namesAFile(n.said(), "no space left on device") {
			t.Errorf("no file is named:\n%s", n.said())
		}
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	theNextOneSucceeds(donor, joiner)
}

// namesAFile says whether an error of the log names a file of the database beside a cause.
func namesAFile(log, cause string) bool {
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "[ERROR]") || !strings.Contains(line, cause) {
			continue
		}
		for _, name := range []string{".ibd", "ibdata1", "ib_logfile0", "undo00", ".MYI", ".frm", "aria_log"} {
			if strings.Contains(line, name) {
				return true
			}
		}
	}
	return false
}

func TestTooLittleSpaceIsSeenBefore(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	tmpfs(t, joiner.dir, "size=10M")
	write(t, joiner.dir, "ibdata1", "the old one")
	donor.donate(joiner.ready(), "")
	donor.end()
	donor.isFailed()
	donor.says("will not take this SST", "not enough space", joiner.dir)
	joiner.fails(exitPipe)
	joiner.says("not enough space", "datadir untouched")
	if b, _ := os.ReadFile(filepath.Join(joiner.dir, "ibdata1")); string(b) != "the old one" {
		t.Error("the old data is gone")
	}
	donor.nothingLeft()
}

func TestAReadOnlyFileSystem(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	tmpfs(t, joiner.dir, "size=32M")
	if err := unix.Mount("", joiner.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	joiner.start(fmt.Sprintf("--role joiner --address localhost:%d --parent $PPID", porttest.Free(t)))
	joiner.end() // without ready
	joiner.isFailed()
	joiner.says("[ERROR]", progressFile, "read-only file system")
	if err := unix.Mount("", joiner.dir, "", unix.MS_REMOUNT, "size=32M"); err != nil {
		t.Fatal(err)
	}
	theNextOneSucceeds(donor, joiner)
}

// Anybody can connect to the joiner's port. What they send must not disturb an SST, nor
// fill the log.
func TestGarbageConnectionsDuringAnSST(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	port := joiner.ready()
	w := newWire(t, port)
	reached, release := w.holdAt(databaseBytes / 2)
	donor.donate(w.port(), "")
	reach(t, reached)
	var garbage sync.WaitGroup
	for i := range 200 {
		garbage.Go(func() {
			conn, err := net.Dial("tcp", fmt.Sprintf("localhost:%d", port))
			if err != nil {
				return
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			switch i % 4 {
			case 0: // says nothing, until it is tired
				conn.SetDeadline(time.Now().Add(time.Second))
			case 1:
				fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			case 2:
				conn.Write(bytes.Repeat([]byte{0x16, 3, 1, 0xff, 0xff}, 4000))
			case 3:
				fmt.Fprintf(conn, "@RSYNCD: 31.0\nrsync_tunnel_sst\n")
			}
			conn.Read(make([]byte, 1000))
		})
	}
	garbage.Wait()
	release()
	donor.expect("flush tables")
	complete(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(joiner.said(), "turned away"); n == 0 || n > 30 {
		t.Errorf("%d lines about 200 connections", n)
	}
}

// A program that cannot get rid of its log lines goes on: mariadbd's log may be a pipe
// that nobody reads.
func TestStderrThatNobodyReads(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	port := joiner.ready()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	donor.stderr = w
	donor.donate(port, "")
	w.Close()
	donor.expect("flush tables")
	donor.flushed(42)
	donor.expect("continue")
	donor.expect("done " + testUUID + ":42 0")
	joiner.expect(testUUID + ":42 0")
	joiner.exit(0)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
}
