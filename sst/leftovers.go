package sst

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"wsrep_sst_rsync_tunnel/sst/plan"
)

// The stock scripts and the original tunnel script keep helpers while they run: a file
// with the number of each, and its configuration. Killed, they leave them behind, at
// times with the helper still at work and on the port (sst-contract.md, section 5).
var helpers = []struct {
	pid, conf string
	program   string // what its command line has in it
}{
	{"rsync_sst.pid", "rsync_sst.conf", "rsync"},
	{"rsync_tunnel_sst.pid", "rsync_tunnel_sst.conf", "rsync"},
	{"stunnel.pid", "stunnel.conf", "stunnel"},
	{"rsync_tunnel_sst-socat.pid", "", "socat"},
}

// signs tell others of an SST: that it runs, that it is complete, what mariadbd has
// answered; and binlogs come in an archive. Between two SSTs none of them is of any use.
var signs = []string{progressFile, flushedFile, failedFile, "rsync_sst_complete", "rsync_tunnel_sst_complete", plan.BinlogArchive}

// clearLeftovers removes what SSTs of before left in the data directory, ours or the
// scripts'. The lock is held, so none is running. What belongs to a process that lives
// stays, and is said: most likely it holds the port.
//
// What a joiner of ours set aside or received in part is no leftover: the next SST to
// this directory builds on it, and ends with its removal.
func (l locker) clearLeftovers(root *os.Root) error {
	var removed []string
	remove := func(name string) error {
		if _, err := root.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		removed = append(removed, name)
		return removeControl(root, name)
	}
	for _, name := range signs {
		if err := remove(name); err != nil {
			return err
		}
	}
	for _, h := range helpers {
		pid, isText := numberIn(root, h.pid)
		if pid > 0 && l.runs(pid, h.program) {
			l.warn(fmt.Sprintf("%s: process %d, started by an SST script that is gone, still runs; if the port is taken, end it", h.pid, pid))
			continue
		}
		if isText {
			if err := remove(h.pid); err != nil {
				return err
			}
		}
		if h.conf != "" && madeByScript(root, h.conf, h.pid) {
			if err := remove(h.conf); err != nil {
				return err
			}
		}
	}
	if len(removed) > 0 {
		l.say("removed what an SST before this one left: " + strings.Join(removed, " "))
	}
	return nil
}

// numberIn reads the number in a file. isText is true for a file that can be one of a
// script's, with a number or cut short.
func numberIn(root *os.Root, name string) (pid int, isText bool) {
	text, err := readControl(root, name, 32)
	if err != nil {
		return 0, false
	}
	text = strings.TrimSpace(text)
	pid, err = strconv.Atoi(text)
	return pid, err == nil || text == ""
}

// runs says whether a process lives that has a program's name in its command line. In
// doubt it does.
func (l locker) runs(pid int, program string) bool {
	p, err := l.table.process(pid)
	if errors.Is(err, fs.ErrNotExist) || err == nil && p.dead {
		return false
	}
	command, err := l.table.commandLine(pid)
	return err != nil && !errors.Is(err, fs.ErrNotExist) || strings.Contains(command, program)
}

// madeByScript says whether a configuration file names the script's own file for the
// number of its helper: somebody else's stunnel.conf does not.
func madeByScript(root *os.Root, name, pid string) bool {
	text, err := readControl(root, name, 16<<10)
	if err != nil {
		return false
	}
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); key != "pid" && key != "pid file" {
			continue
		}
		if filepath.Base(strings.TrimSpace(value)) == pid {
			return true
		}
	}
	return false
}
