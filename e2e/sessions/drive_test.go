package sessions

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/e2e/internal/peers"
	"wsrep_sst_rsync_tunnel/tls/porttest"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/filter"
)

// limit ends a run that hangs.
const limit = 2 * time.Minute

// variant is what the scripts and versions vary in a run.
type variant struct {
	protocol int
	whole    bool // --whole-file; the wan method is without
	matrix
}

func (v variant) String() string {
	if v.whole {
		return fmt.Sprintf("protocol %d, whole files", v.protocol)
	}
	return fmt.Sprintf("protocol %d, deltas", v.protocol)
}

// sender makes one run from a layout to the daemon at address; daemon serves the modules of a layout.
type (
	sender func(t *testing.T, l layout, r run, v variant, address string) error
	daemon func(t *testing.T, l layout) (address string)
)

// byRsync makes the run with the rsync program, as the scripts do.
func byRsync(t *testing.T, l layout, r run, v variant, address string) error {
	t.Helper()
	args := v.clientArgs(r)
	target := "rsync://" + address + "/" + r.module
	if r.file != "" {
		args = append(args, "--archive", "--quiet", "--checksum", filepath.Join(l.dir(r.from), r.file), target)
	} else {
		args = append(args, "--owner", "--group", "--perms", "--links", "--specials", "--ignore-times", "--inplace", "--delete", "--quiet")
		if v.whole {
			args = append(args, "--whole-file")
		} else {
			args = append(args, "--no-whole-file")
		}
		if r.recursive {
			args = append(args, "--recursive")
		} else {
			args = append(args, "--dirs")
		}
		if r.list {
			args = append(args, "--max-size=0")
		}
		for _, rule := range r.rules {
			args = append(args, "-f", rule)
		}
		from := l.dir(r.from) + "/"
		if r.below != "" {
			from += "./" + r.below + "/"
			target += "/./" + r.below
		}
		args = append(args, from, target)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.program(t), args...)
	cmd.Env = append(os.Environ(), v.clientEnv()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("rsync: %w: %s", err, out)
	}
	return nil
}

// byUs makes the same run with transfer.Push.
func byUs(t *testing.T, l layout, r run, v variant, address string) error {
	t.Helper()
	rules, err := filter.Parse(r.rules...)
	if err != nil {
		return err
	}
	o := transfer.PushOptions{
		Module: r.module, Rules: rules, Recursive: r.recursive, Dirs: !r.recursive, Delete: true, WholeFile: v.whole, Inplace: true,
		IgnoreTimes: true, Owner: true, Group: true, Perms: true, Links: true, Specials: true, Timeout: limit, Protocol: v.protocol,
		Checksums: v.offered(), ListOnly: r.list,
		Log: func(_ transfer.Level, line string) { t.Log("the daemon says: " + line) },
	}
	var src transfer.Source
	switch {
	case r.file != "":
		o = transfer.PushOptions{Module: r.module, Recursive: true, Checksum: true, Owner: true, Group: true, Perms: true, Times: true,
			Links: true, Specials: true, Devices: true, Timeout: limit, Protocol: v.protocol, Checksums: o.Checksums, Log: o.Log}
		src, err = magicFile(filepath.Join(l.dir(r.from), r.file))
	default:
		if r.below != "" {
			o.Path = "./" + r.below
		}
		var root *os.Root
		if root, err = os.OpenRoot(filepath.Join(l.dir(r.from), r.below)); err != nil {
			return err
		}
		defer root.Close()
		var dir *transfer.DirSource
		dir, err = transfer.NewDirSource(root, transfer.DirSourceOptions{Rules: rules, Dirs: r.only, Recursive: r.recursive, Links: true, Specials: true})
		if err == nil {
			defer dir.Close()
		}
		src = dir
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stats, err := transfer.Push(ctx, conn, src, o)
	if err == nil {
		err = v.spoken(stats.Protocol, stats.Checksum)
	}
	return err
}

// magicFile is a file on disk with all its attributes, as the source of a run of its own.
func magicFile(path string) (transfer.Source, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := transfer.BytesFile(text, st.Mode&0o7777, time.Unix(st.Mtim.Unix()))
	f.UID, f.GID = st.Uid, st.Gid
	return transfer.NewFileSource(filepath.Base(path), f), nil
}

// rsyncDaemon serves the modules with the rsync program, configured as the stock script does it; for root, that it
// stay root.
func rsyncDaemon(t *testing.T, l layout) string {
	t.Helper()
	return serveBy(t, peers.Need(t, "rsync"), l)
}

func serveBy(t *testing.T, rsync string, l layout) string {
	t.Helper()
	conf := "use chroot = no\nread only = no\ntimeout = 300\n"
	if os.Getuid() == 0 {
		conf += "uid = 0\ngid = 0\n"
	}
	for name, dir := range l.modules() {
		conf += fmt.Sprintf("[%s]\n    path = %s\n", name, dir)
	}
	file := filepath.Join(t.TempDir(), "rsyncd.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	port := porttest.Free(t)
	cmd := exec.Command(rsync, "--daemon", "--no-detach", "--address=127.0.0.1", fmt.Sprintf("--port=%d", port), "--config="+file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
		cmd.Wait() // it was killed: its error says nothing
		if t.Failed() && said.Len() > 0 {
			t.Logf("the rsync daemon said: %s", said.String())
		}
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	listening(t, address)
	return address
}

// listening waits until somebody accepts connections.
func listening(t *testing.T, address string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var err error
	for range 1000 {
		var conn net.Conn
		if conn, err = net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("nobody listens: %v", err)
}

// ourDaemon serves the modules with transfer.Daemon.
func ourDaemon(t *testing.T, l layout) string {
	t.Helper()
	return serve(t, l, transfer.StoreOptions{}, variant{})
}

// sparseDaemon is ourDaemon with holes for zeros in every file.
func sparseDaemon(t *testing.T, l layout) string {
	t.Helper()
	return serve(t, l, transfer.StoreOptions{Sparse: func(string) bool { return true }}, variant{})
}

func serve(t *testing.T, l layout, o transfer.StoreOptions, v variant) string {
	t.Helper()
	d := &transfer.Daemon{Timeout: limit, PageSize: pageSize, Log: func(_ transfer.Level, line string) { t.Log("our daemon says: " + line) }}
	for name, dir := range l.modules() {
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		store, err := transfer.NewDirStore(root, o)
		root.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { store.Close() })
		d.Modules = append(d.Modules, transfer.Module{Name: name, Store: store})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed below
			}
			wg.Go(func() {
				defer conn.Close()
				res, err := d.Serve(context.Background(), conn)
				if err == nil && res.Module != "" {
					err = v.spoken(res.Protocol, res.Checksum)
				}
				if err != nil {
					t.Errorf("our daemon: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() { // before the stores are closed
		listener.Close()
		wg.Wait()
	})
	return listener.Addr().String()
}
