package sst

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listenUnix makes a socket with a short path.
func listenUnix(t *testing.T) (string, *net.UnixListener) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return path, l
}

// mariadbd shuts down while a large file is copied before the lock, and waits for us.
func TestADonorEndsWhenItsServerShutsDown(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	donor.slow()
	socket, l := listenUnix(t)
	port := joiner.ready()
	donor.start(strings.Replace(donorArgs(port, ""), "/tmp/x.sock", socket, 1))
	waitFor(t, "the slow file", func() bool {
		_, err := os.Stat(filepath.Join(joiner.dir, "db1/huge.ibd"))
		return err == nil
	})
	began := time.Now()
	l.Close()
	donor.exit(exitPipe)
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	donor.says("mariadbd is shutting down")
	donor.nothingLeft()
	joiner.fails(exitPipe)
	joiner.says("gave up: mariadbd is shutting down", "datadir incomplete")
}

func TestASocketThatSomebodyRemovedIsNotClosed(t *testing.T) {
	socket, l := listenUnix(t)
	l.SetUnlinkOnClose(false)
	if isClosed(socket, "/proc/net/unix") {
		t.Error("closed, though it is there")
	}
	if err := os.Remove(socket); err != nil {
		t.Fatal(err)
	}
	if isClosed(socket, "/proc/net/unix") {
		t.Error("closed, though the server listens")
	}
	l.Close()
	if !isClosed(socket, "/proc/net/unix") || !isClosed(socket, "/nowhere") {
		t.Error("not closed")
	}
}
