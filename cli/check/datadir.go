package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst"
)

// saneClock is when there may be a node that runs this program at all.
var saneClock = [2]time.Time{time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}

func (n *node) clock() {
	now := n.o.Now()
	if now.Before(saneClock[0]) || now.After(saneClock[1]) {
		n.r.fail("clock", "set the clock (timedatectl set-ntp true): certificates are refused by a wrong one", "it is %s here", now.UTC().Format(time.RFC3339))
		return
	}
	n.r.ok("clock", "%s", now.UTC().Format(time.RFC3339))
}

// keys looks for the key files of encrypted tables: they are never sent, and without
// them the tables that arrive cannot be opened.
func (n *node) keys() {
	for _, key := range []string{"file-key-management-filename", "file-key-management-filekey"} {
		value := n.server(key)
		if key == "file-key-management-filekey" {
			file, named := strings.CutPrefix(value, "FILE:")
			if !named {
				continue // the key itself, which nobody shall read here
			}
			value = file
		}
		if value == "" {
			continue
		}
		file := value
		if !filepath.IsAbs(file) {
			file = filepath.Join(n.joiner.Args.Datadir, file)
		}
		name := strings.ReplaceAll(key, "-", "_")
		if err := opens(file); err != nil {
			n.r.fail("table keys", "copy the file from another node: an SST does not send it, and all nodes need the same",
				"%s %s cannot be read, so encrypted tables of a donor could not be opened here: %v", name, file, withoutName(err))
			continue
		}
		n.r.ok("table keys", "%s %s", name, file)
	}
}

// opens says why a file cannot be read.
func opens(file string) error {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return err
}

func withoutName(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// running says whether an SST works on the data directory.
func (n *node) running() bool {
	pid, who := sst.Running(n.joiner.Args.Datadir)
	if pid == 0 {
		return false
	}
	n.r.ok("running SST", "%s works on %s at this moment: leftovers are not looked for", who, n.joiner.Args.Datadir)
	return true
}

// datadir looks at the directory and at who we are; false if it cannot be looked into.
func (n *node) datadir() bool {
	dir := n.joiner.Args.Datadir
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		n.r.fail("datadir", "check datadir of the option files, or name it: check --datadir=DIR", "%s: %v", dir, withoutName(err))
		return false
	case !info.IsDir():
		n.r.fail("datadir", "check datadir of the option files, or name it: check --datadir=DIR", "%s is not a directory", dir)
		return false
	}
	st, known := info.Sys().(*syscall.Stat_t)
	uid := os.Geteuid()
	switch {
	case !known:
	case uid == 0 && st.Uid != 0:
		n.r.warn("user", fmt.Sprintf("run it as the owner of %s: sudo -u '#%d' wsrep_sst_rsync_tunnel check", dir, st.Uid),
			"this is root, who may read everything: whether mariadbd's user may was not tested")
	case uint32(uid) != st.Uid:
		n.r.warn("user", fmt.Sprintf("run it as the owner of %s: sudo -u '#%d' wsrep_sst_rsync_tunnel check", dir, st.Uid),
			"this is user %d, and %s belongs to user %d", uid, dir, st.Uid)
	}
	if err := unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS); err != nil {
		n.r.fail("datadir", "run check as the user that mariadbd runs as; for that user: chown and chmod the directory",
			"%s may not be read and written: %v", dir, err)
		return false
	}
	n.r.ok("datadir", "%s, read and written by this user", dir)
	return true
}

// leftovers of earlier SSTs.
func (n *node) leftovers() {
	left, err := n.joiner.Leftovers()
	if err != nil {
		n.r.failed("leftovers", err)
		return
	}
	if len(left.Waiting) > 0 {
		n.r.warn("leftovers", "start mariadbd on this node: it asks for an SST, which goes on with these files and removes them at its end",
			"an SST was not completed here: %s", some(left.Waiting))
	}
	if len(left.Stale) > 0 {
		n.r.warn("leftovers", "they do no harm: the next SST removes them; so can you while no SST runs",
			"an SST that ended without cleaning up left %s", some(left.Stale))
	}
	if len(left.Waiting)+len(left.Stale) == 0 {
		n.r.ok("leftovers", "none of an earlier SST")
	}
}

// some names a few of many.
func some(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], " "), len(names)-most)
	}
	return strings.Join(names, " ")
}

// places makes the plans of both roles.
func (n *node) places(ctx context.Context) {
	receive, err := n.joiner.JoinerPlan()
	if err != nil {
		n.r.failed("as joiner", err)
	} else {
		for _, w := range receive.Warnings {
			n.r.warn("as joiner", "", "%s", w)
		}
		if len(receive.Missing) > 0 {
			n.r.ok("as joiner", "an SST would make %s; as donor this node is not looked at without", strings.Join(receive.Missing, " "))
			return
		}
	}
	if !n.inhabited() {
		n.r.ok("as donor", "there is no database here yet")
		n.room(ctx, nil, 0)
		return
	}
	send, e := n.donor.DonorPlan(ctx)
	if e != nil {
		n.r.failed("as donor", e)
		return
	}
	for _, w := range send.Warnings {
		n.r.warn("as donor", "", "%s", w)
	}
	n.r.ok("as donor", "an SST from here sends %s in %d files", sst.BytesText(send.Total.Allocated), send.Total.Files)
	if err == nil {
		n.room(ctx, send.Needs(), send.Total.Allocated)
	}
}

// inhabited says whether there is a whole database: not in a new directory, nor in one
// that an SST has begun to fill.
func (n *node) inhabited() bool {
	left, err := n.joiner.Leftovers()
	if err == nil && len(left.Waiting) > 0 {
		return false
	}
	info, err := os.Stat(filepath.Join(n.donor.Args.Datadir, "mysql"))
	return err == nil && info.IsDir()
}

// room takes what this node has for what a donor would send: nothing else is known.
func (n *node) room(ctx context.Context, needs map[string]int64, size int64) {
	var uncounted []string
	free, err := n.joiner.Room(ctx, needs, func(text string) { uncounted = append(uncounted, text) })
	switch {
	case err != nil && sst.IsShortage(err):
		n.r.warn("space", "make room: an SST writes databases over, but keeps the old InnoDB files until the new ones are complete",
			"an SST of what is here now would be refused: %v", err)
	case err != nil:
		n.r.failed("space", err)
	case len(uncounted) > 0:
		n.r.warn("space", "make room if this node is to take an SST", "%s", strings.Join(uncounted, "; "))
	case size == 0:
		n.r.ok("space", "%s are free; there is no database here to compare with", sst.BytesText(free))
	default:
		n.r.ok("space", "%s are free, an SST of what is here now is %s", sst.BytesText(free), sst.BytesText(size))
	}
}
