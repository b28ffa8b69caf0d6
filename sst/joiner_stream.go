package sst

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/sst/plan"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// Streams bring the contents of files (docs/own-protocol.md).

// stream serves one of them. A connection that breaks is the donor's to make again.
func (j *joiner) stream(ctx context.Context, conn link) error {
	counted := j.flows.link(conn)
	defer j.flows.leave(counted)
	err := j.receiver.Serve(ctx, counted)
	switch fatal := (*ext.FatalError)(nil); {
	case errors.As(err, &fatal):
		return fail(exitPipe, err)
	case err != nil && ctx.Err() == nil:
		j.infof("a connection with data broke: %v", conn.Explain(err))
	}
	return nil
}

// newMemory makes a memory of digests. Its temporary file is made while it can be; only
// a database of more than 32 GiB needs one.
func (r *run) newMemory() *ext.Memory {
	m := ext.NewMemory(r.settings.TmpDir)
	err := m.Reserve()
	if err != nil && r.settings.TmpDir != "" {
		r.infof("tmpdir %s: %v; the system's is used", r.settings.TmpDir, err)
		m.Close()
		m = ext.NewMemory("")
		err = m.Reserve()
	}
	if err != nil {
		r.infof("no temporary file can be made for digests, which a large database needs: %v", err)
	}
	return m
}

// prepareStreams makes the receiver of the modules' stores.
func (j *joiner) prepareStreams(modules []plan.Module, owners transfer.Owners) {
	j.memory = j.newMemory()
	j.receiver = ext.Receiver{
		Stores: make([]transfer.Store, len(plan.Roots)), Owners: owners, Memory: j.memory, Log: j.logSession,
		Progress: func(n int64) { j.received.Add(n) },
	}
	for i, m := range modules {
		j.receiver.Stores[m.Root] = guardedStore{j.stores[i], j.daemon.Modules[i]}
	}
}

// A guardedStore is a store in which the module's rules hold for streams, as the daemon
// makes them hold for sessions.
type guardedStore struct {
	*transfer.DirStore
	module transfer.Module
}

// Update implements transfer.Store.
func (s guardedStore) Update(name string, inPlace bool) (transfer.File, error) {
	if s.module.Protects(name, false) {
		return nil, fmt.Errorf("%s is protected on this side and cannot be received: %w", plain(name), unix.EPERM)
	}
	return s.DirStore.Update(name, inPlace)
}

// SetAttrs implements transfer.Store.
func (s guardedStore) SetAttrs(name string, a transfer.Attrs) error {
	if s.module.Protects(name, false) {
		return fmt.Errorf("%s is protected on this side: %w", plain(name), unix.EPERM)
	}
	return s.DirStore.SetAttrs(name, a)
}

// holdsData says whether the directory has anything that new data could be compared
// with: tables, or what an earlier attempt left.
func (d *datadir) holdsData() bool {
	files, err := d.files(func(dir, name string) bool {
		return d.plan.Swapped(dir, name) || strings.HasPrefix(name, newPrefix) || strings.HasPrefix(name, oldPrefix)
	})
	return err == nil && len(files) > 0
}
