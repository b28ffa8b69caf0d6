package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// A node that still runs a script is rsync behind a socat. Against it each of our two ends is measured
// beside rsync and socat in its place: with the engine, the channel and the options with which our roles
// meet such a node, and in one session, as the alternatives have it.

// Stock is the kind of an end that meets a script's node.
const Stock = "stock"

// silence is how long such a peer may be silent.
const silence = 5 * time.Minute

// stockPeers are the contenders against a script's node. replaced is the name of the one with nothing
// of ours.
func (b *local) stockPeers() []contender {
	needs := []string{"rsync", "socat"}
	return []contender{
		{name: "ours to socat, rsync", kind: kindStock, needs: needs, run: b.toStock, copies: true},
		{name: "rsync, socat to ours", kind: kindStock, needs: needs, run: b.fromStock, copies: true},
	}
}

const replaced = "rsync + 2 socat"

// stockArgs starts one of our ends.
func (b *local) stockArgs(role, dir string, more ...string) []string {
	return append([]string{b.Program, EndCommand, Stock, role, "--dir=" + dir, "--threads=" + strconv.Itoa(b.Threads),
		"--ca=" + b.oneCertificate(), "--cert=" + b.oneCertificate()}, more...)
}

// toStock is our donor before a script's joiner.
func (b *local) toStock(ctx context.Context, to string) (s sample, err error) {
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	d, inner, err := b.daemon(ctx, joiner, to)
	if err != nil {
		return s, err
	}
	defer d.stop()
	server, port, err := b.socatServer(ctx, joiner, inner)
	if err != nil {
		return s, err
	}
	defer server.stop()
	s.seconds, err = b.alone(ctx, donor, b.stockArgs("donor", b.set.dir, fmt.Sprintf("--port=%d", port)))
	server.settle()
	d.settle()
	return s, saying(err, server, d)
}

// fromStock is a script's donor before our joiner.
func (b *local) fromStock(ctx context.Context, to string) (s sample, err error) {
	donor, joiner := newMeter(), newMeter()
	defer func() { s.donor, s.joiner = donor.close(), joiner.close() }()
	j, err := start(joiner, b.folder.Dir, nil, b.stockArgs("joiner", to)...)
	if err != nil {
		return s, err
	}
	defer j.stop()
	var outer int
	if _, err := fmt.Fscanln(j.out, &outer); err != nil {
		return s, fmt.Errorf("no port from our joiner: %w: %s", err, j.said.String())
	}
	client, port, err := b.socatClient(ctx, donor, outer)
	if err != nil {
		return s, err
	}
	defer client.stop()
	s.seconds, err = b.alone(ctx, donor, b.rsyncArgs(b.set.dir+"/", rsyncURL(port)))
	client.settle()
	if err != nil {
		return s, saying(err, client, j)
	}
	return s, j.finish(ctx)
}

// push sends the set in one session of rsync, as our donor does to a script's joiner.
func (e *end) push(ctx context.Context) error {
	rules, err := filter.Parse("- /" + mariadbd.PositionFile)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(e.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	links, err := linkedDirs(e.Dir)
	defer func() {
		for _, l := range links {
			l.Close()
		}
	}()
	if err != nil {
		return err
	}
	src, err := transfer.NewDirSource(root, transfer.DirSourceOptions{Rules: rules, Recursive: true, Links: true, Specials: true, Follow: links})
	if err != nil {
		return err
	}
	defer src.Close()
	conn, err := e.dial(ctx)
	if err != nil {
		return err
	}
	_, err = transfer.Push(ctx, conn, src, transfer.PushOptions{
		Module: rsyncModule, Rules: rules, Recursive: true, Delete: true, WholeFile: true, Inplace: true, IgnoreTimes: true,
		Owner: true, Group: true, Perms: true, Links: true, Specials: true, Timeout: silence,
	})
	return errors.Join(err, conn.Close())
}

// linkedDirs are the directories of a set that are links. They are to be closed.
func linkedDirs(dir string) (map[string]*os.Root, error) {
	links := map[string]*os.Root{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return links, err
	}
	for _, e := range entries {
		if e.Type()&os.ModeSymlink == 0 {
			continue
		}
		if links[e.Name()], err = os.OpenRoot(filepath.Join(dir, e.Name())); err != nil {
			delete(links, e.Name())
			return links, err
		}
	}
	return links, nil
}

// receiveSession is our joiner's daemon before a script's donor.
func (e *end) receiveSession(ctx context.Context, conn net.Conn) error {
	root, err := os.OpenRoot(e.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	store, err := transfer.NewDirStore(root, transfer.StoreOptions{})
	if err != nil {
		return err
	}
	defer store.Close()
	protect, err := filter.Parse("- /" + mariadbd.PositionFile)
	if err != nil {
		return err
	}
	d := &transfer.Daemon{Timeout: silence, Modules: []transfer.Module{{Name: rsyncModule, Store: store, Protect: protect}}}
	_, err = d.Serve(ctx, conn)
	return err
}
