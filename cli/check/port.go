package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
)

const proc = "/proc"

// port says whether a joiner could listen. The kernel's tables are asked first: where
// somebody listens, or an SST runs, the port is not touched.
func (n *node) port(ctx context.Context) {
	subject := fmt.Sprintf("port %d", n.address.Port)
	pid, _ := sst.Running(n.joiner.Args.Datadir)
	sockets := listeners(n.address.Port)
	holder := holderOf(sockets)
	switch {
	case len(sockets) > 0 && pid != 0 && (holder == pid || holder == 0):
		n.r.ok(subject, "the SST that runs on this node (process %d) listens there", pid)
	case len(sockets) == 0 && pid != 0:
		n.r.ok(subject, "nobody listens there; it is not tried while an SST runs")
	default:
		n.tryPort(ctx, subject, holder)
	}
}

// tryPort listens as a joiner does, and lets go at once.
func (n *node) tryPort(ctx context.Context, subject string, holder int) {
	l, err := n.listen(ctx)
	if err == nil {
		l.Close()
		text := "a joiner can listen there"
		if l.Note() != "" {
			text += "; " + l.Note()
		}
		n.r.ok(subject, "%s", text)
		return
	}
	if holder == 0 || !errors.Is(err, syscall.EADDRINUSE) {
		n.r.failed(subject, err)
		return
	}
	n.r.fail(subject, "end that process, or set another port with wsrep_sst_receive_address=HOST:PORT",
		"process %d (%s) listens there: %v", holder, processName(holder), err)
}

// listen opens the port as the joiner does, with its settings if they are good for one.
func (n *node) listen(ctx context.Context) (*tls.Listener, error) {
	c := n.channel(tls.Joiner)
	if !n.joiner.Settings.Clear {
		if secure, err := tls.Load(c); err == nil {
			return secure.Listen(ctx, n.address.Host, n.address.Port)
		}
	}
	return tls.LoadClear(c).Listen(ctx, n.address.Host, n.address.Port)
}

// listeners are the sockets (by inode) that listen on a TCP port, by the kernel's table
// of the network that we are in.
func listeners(port int) []string {
	var found []string
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(filepath.Join(proc, "net", table))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if inode := listening(line, port); inode != "" {
				found = append(found, inode)
			}
		}
	}
	return found
}

// listening reads a line of /proc/net/tcp (proc(5)): number, local address, remote
// address, state, and six more up to the inode.
func listening(line string, port int) (inode string) {
	const listen = "0A"
	f := strings.Fields(line)
	if len(f) < 10 || f[3] != listen {
		return ""
	}
	_, hex, ok := strings.Cut(f[1], ":")
	if n, err := strconv.ParseUint(hex, 16, 16); !ok || err != nil || int(n) != port {
		return ""
	}
	return f[9]
}

// holderOf finds the process that has one of the sockets open; 0 if it is not one that
// we may look at.
func holderOf(inodes []string) int {
	if len(inodes) == 0 {
		return 0
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fds := filepath.Join(proc, e.Name(), "fd")
		open, err := os.ReadDir(fds)
		if err != nil {
			continue
		}
		for _, fd := range open {
			to, _ := os.Readlink(filepath.Join(fds, fd.Name()))
			if inode, ok := strings.CutPrefix(to, "socket:["); ok && slices.Contains(inodes, strings.TrimSuffix(inode, "]")) {
				return pid
			}
		}
	}
	return 0
}

func processName(pid int) string {
	b, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
