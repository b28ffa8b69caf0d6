package sst

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLeftoversOfScriptsThatAreGoneAreRemoved(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rsync_sst.pid": "4711\n", "rsync_sst.conf": "pid file = " + dir + "/rsync_sst.pid\n",
		"rsync_tunnel_sst.pid": "600\n", // went to cron
		"stunnel.pid":          "500\n", // a zombie
		"stunnel.conf":         "key = \npid = " + dir + "/stunnel.pid\n", "rsync_tunnel_sst-socat.pid": "\n",
		"rsync_sst_complete": "x", "rsync_tunnel_sst_complete": "x", "wsrep_sst_binlog.tar": "x",
		newPrefix + "ibdata1": "for the next SST", oldPrefix + "ibdata1": "for the next SST",
		"my.pid": "4711\n", "ibdata1": "x",
	} {
		write(t, dir, name, text)
	}
	var said []string
	l := testLocker(t, newFamily())
	l.say = func(s string) { said = append(said, s) }
	if err := l.clearLeftovers(openRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{newPrefix + "ibdata1", oldPrefix + "ibdata1", "ibdata1", "my.pid"}, names(t, dir)); diff != "" {
		t.Error(diff)
	}
	if len(said) != 1 || !strings.Contains(said[0], "stunnel.conf") {
		t.Errorf("said %q", said)
	}
}

func TestWhatMayBelongToSomebodyStays(t *testing.T) {
	family := newFamily()
	family.commands[700] = "stunnel /data/stunnel.conf"
	files := map[string]string{
		"stunnel.pid": "700\n", "stunnel.conf": "pid = /data/stunnel.pid\n", // it lives
		"rsync_sst.pid":  "not a number of any script\n",
		"rsync_sst.conf": "[module]\npath = /data\n", // an operator's
	}
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	var warned []string
	l := testLocker(t, family)
	l.warn = func(s string) { warned = append(warned, s) }
	l.say = func(s string) { t.Error(s) }
	if err := l.clearLeftovers(openRoot(t, dir)); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != len(files) {
		t.Errorf("left: %q", got)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "process 700") {
		t.Errorf("warned %q", warned)
	}
}

// Everything that an SST before may have left, of ours and of the scripts, at once.
func TestStaleLeftoversOfEveryKindDoNotBlock(t *testing.T) {
	donor, joiner := newCluster(t).pair()
	database(t, joiner.dir)
	write(t, joiner.dir, grastateFile, "")
	for _, n := range []*node{donor, joiner} {
		for name, text := range map[string]string{
			pidFile: "4194305\n", progressFile: "", flushedFile: testUUID + ":1 0\n", failedFile: "",
			"rsync_tunnel_sst_complete": testUUID + ":1 0\n", "rsync_sst_complete": testUUID + ":1\n", "wsrep_sst_binlog.tar": "half an archive",
			"rsync_sst.pid": "4194305\n", "rsync_sst.conf": "pid file = " + n.dir + "/rsync_sst.pid\n",
			"rsync_tunnel_sst.pid": "4194305\n", "rsync_tunnel_sst.conf": "pid file = " + n.dir + "/rsync_tunnel_sst.pid\n",
			"stunnel.pid": "4194305\n", "stunnel.conf": "pid = " + n.dir + "/stunnel.pid\n", "rsync_tunnel_sst-socat.pid": "4194305\n",
		} {
			write(t, n.dir, name, text)
		}
	}
	write(t, joiner.dir, newPrefix+"ibdata1", "received by half")
	write(t, joiner.dir, newPrefix+"undo009", "of another donor")
	write(t, joiner.dir, oldPrefix+"ibdata1", "the oldest")
	whole(donor, joiner)
	if diff := cmp.Diff(state(t, donor.dir), state(t, joiner.dir)); diff != "" {
		t.Error(diff)
	}
	for _, n := range []*node{donor, joiner} {
		for _, name := range names(t, n.dir) {
			if strings.HasSuffix(name, ".pid") || strings.HasSuffix(name, ".conf") || strings.HasPrefix(name, ".wsrep") ||
				strings.HasSuffix(name, "_complete") || strings.HasSuffix(name, ".tar") || strings.HasPrefix(name, "sst_") || name == flushedFile {
				t.Errorf("%s is left in %s", name, n.dir)
			}
		}
	}
}

// A donor whose mariadbd closes its socket ends; a file that somebody removed is no end.
func TestEndOfTheSocketIsTheEndOfMariadbd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := untilShutdown(t.Context(), name)
	defer stop()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if isClosed(name, "/proc/net/unix") {
		t.Error("a socket without its file counts as closed")
	}
	l.Close()
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, errShutdown) {
		t.Error(err)
	}
}
