package bench

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"wsrep_sst_rsync_tunnel/bench/mariadbd"
	"wsrep_sst_rsync_tunnel/mycnf"
	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/tls"
	"wsrep_sst_rsync_tunnel/transfer"
	"wsrep_sst_rsync_tunnel/transfer/ext"
)

// HostOptions are those of a measurement between two hosts.
type HostOptions struct {
	Address string // HOST[:PORT]; "" to listen on all addresses at an SST's port
	// Node says that the certificates are those that an SST of this node would use;
	// Defaults tell where they stand. Without it they are made from the secret.
	Node     bool
	Defaults mycnf.Args
	Secret   string // Connect without Node

	// Dir: Listen writes below it, else nothing is written; Connect sends what an SST
	// would send of it, else what is made in memory.
	Dir string

	// Of Connect, as in Options.
	Megabytes, Files, Threads, Runs int
	Compress                        string
	Transport                       string // tls or dtls; "": as the node has it, else tls

	Out      io.Writer // of Listen: what the other host needs
	Progress io.Writer // nil: none
}

// channel loads the secure channel of a role, with files in folder.
func (o *HostOptions) channel(role tls.Role, as sst.Role, folder *mariadbd.Folder) (*tls.Channel, sst.Address, error) {
	address := o.Address
	if address == "" {
		address = "0.0.0.0"
	}
	a, err := sst.ParseAddress(address)
	if err != nil {
		return nil, a, err
	}
	var c tls.Config
	if o.Node {
		var s *sst.Settings
		s, err = sst.LoadSettings(sst.Args{Role: as, Address: a, Datadir: folder.Dir, Defaults: o.Defaults}, mycnf.LoadOptions{})
		if err == nil {
			c = s.TLS(role)
		}
	} else {
		dir := folder.Path("tls")
		if err = os.Mkdir(dir, 0o700); err == nil {
			c, err = secretConfig(o.Secret, dir, role)
		}
	}
	if err != nil {
		return nil, a, err
	}
	if err := checkTransport(o.Transport); err != nil {
		return nil, a, err
	}
	if o.Transport != "" {
		c.Transport = tls.Transport(o.Transport)
	}
	ch, err := tls.Load(c)
	return ch, a, err
}

// A listening is a Listen at work.
type listening struct {
	channel *tls.Channel
	folder  *mariadbd.Folder // for what is written
	writes  bool

	mu      sync.Mutex
	token   string             // of the session under way, "" if none
	op      string             // what data connections are for
	into    *ext.Receiver      // of opTransfer
	store   *transfer.DirStore // it writes to, nil: to nothing
	over    context.CancelFunc
	data    sync.WaitGroup // connections with the token
	serving sync.WaitGroup
}

// Listen is the joiner's end of a measurement between two hosts. It returns after one.
func Listen(ctx context.Context, o HostOptions) (err error) {
	if !o.Node {
		o.Secret = newSecret()
	}
	base := o.Dir
	if base == "" {
		base = os.TempDir()
	}
	l := &listening{writes: o.Dir != ""}
	if l.folder, err = mariadbd.NewFolder(base, "sst-bench-", false, 1<<20); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.folder.End(func(string) {})) }()
	var a sst.Address
	if l.channel, a, err = o.channel(tls.Joiner, sst.Joiner, l.folder); err != nil {
		return err
	}
	host := a.Host
	if o.Address == "" {
		host = ""
	}
	listener, err := l.channel.Listen(ctx, host, a.Port)
	if err != nil {
		return err
	}
	defer listener.Close()
	if note := listener.Note(); note != "" {
		fmt.Fprintln(o.Out, note)
	}
	l.invite(o, a.Port)
	ctx, l.over = context.WithCancel(ctx)
	defer l.over()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	err = l.accept(ctx, listener)
	l.serving.Wait()
	return errors.Join(err, l.close())
}

// invite says what to do on the other host.
func (l *listening) invite(o HostOptions, port int) {
	host, err := os.Hostname()
	if o.Address != "" || err != nil {
		host = o.Address
	}
	command := "wsrep_sst_rsync_tunnel bench --connect " + host
	if o.Address == "" {
		command += fmt.Sprintf(":%d", port)
	}
	if o.Node {
		command += " --node"
	} else {
		command += " --secret " + o.Secret
	}
	fmt.Fprintf(o.Out, "listening on port %d; on the other host:\n%s\n", port, command)
}

// accept serves connections until a session has ended.
func (l *listening) accept(ctx context.Context, listener net.Listener) error {
	var mu sync.Mutex
	var failed error
	for {
		raw, err := listener.Accept()
		switch {
		case err == nil:
		case ctx.Err() != nil:
			l.serving.Wait()
			mu.Lock()
			defer mu.Unlock()
			if cause := context.Cause(ctx); failed == nil && !errors.Is(cause, context.Canceled) {
				return cause
			}
			return failed
		default:
			return err
		}
		l.serving.Go(func() {
			defer raw.Close()
			defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Now().Add(time.Second)) })()
			if control, err := l.serve(ctx, raw); control {
				mu.Lock()
				failed = err
				mu.Unlock()
				l.over()
			}
		})
	}
}

// firstByte is the first byte that the peer sends, which stays to be read. Over UDP
// nothing comes in the clear.
func firstByte(conn net.Conn) (byte, error) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return tlsHandshake, nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return 0, err
	}
	b := make([]byte, 1)
	n := 0
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, failed = unix.Recvfrom(int(fd), b, unix.MSG_PEEK)
		return failed != unix.EAGAIN
	})
	if err = errors.Join(err, failed); err == nil && n == 0 {
		err = io.EOF
	}
	return b[0], err
}

// tlsHandshake is what a record of TLS begins with.
const tlsHandshake = 0x16

// serve serves one connection. control tells that it was that of a session, which is
// over. What does not know the token, or fails its handshake, is nobody.
func (l *listening) serve(ctx context.Context, raw net.Conn) (control bool, err error) {
	raw.SetReadDeadline(time.Now().Add(talkLimit))
	first, err := firstByte(raw)
	raw.SetReadDeadline(time.Time{})
	if err != nil {
		return false, err
	}
	if first != tlsHandshake {
		return false, l.inTheClear(raw)
	}
	conn, err := l.channel.Server(ctx, raw)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	var r request
	if err := receiveLine(conn, &r, talkLimit); err != nil {
		return false, err
	}
	if r.Op == opHello {
		return l.session(ctx, conn)
	}
	op, into, ok := l.wanted(r)
	if !ok {
		return false, errors.New("a connection without a token")
	}
	defer l.data.Done()
	if op == opTransfer {
		return false, into.Serve(ctx, conn)
	}
	return false, Drain(conn)
}

// inTheClear counts bytes, if they come with a token.
func (l *listening) inTheClear(raw net.Conn) error {
	var r request
	if err := receiveLine(raw, &r, talkLimit); err != nil {
		return err
	}
	op, _, ok := l.wanted(r)
	if !ok {
		return errors.New("a connection in the clear without a token")
	}
	defer l.data.Done()
	if op != Network {
		return errors.New("a connection in the clear when nobody asked for one")
	}
	return Drain(raw)
}

// wanted is what data connections are for, if r has the right token. Then data counts one
// more.
func (l *listening) wanted(r request) (op string, into *ext.Receiver, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ok = l.token != "" && subtle.ConstantTimeCompare([]byte(r.Token), []byte(l.token)) == 1
	if ok {
		l.data.Add(1)
	}
	return l.op, l.into, ok
}

// session is a control connection.
func (l *listening) session(ctx context.Context, conn net.Conn) (control bool, err error) {
	token := rand.Text()
	l.mu.Lock()
	busy := l.token != ""
	if !busy {
		l.token = token
	}
	l.mu.Unlock()
	if busy {
		return false, sendLine(conn, reply{Error: "another measurement is under way"})
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	hello := reply{Version: sst.Version, Token: token, CPUs: runtime.GOMAXPROCS(0)}
	if l.writes {
		hello.Dir = fileSystem(l.folder.Dir)
	}
	if err := sendLine(conn, hello); err != nil {
		return true, err
	}
	for {
		var r request
		if err := receiveLine(conn, &r, 0); err != nil {
			if errors.Is(err, io.EOF) {
				err = nil // the other end has what it wanted
			}
			return true, err
		}
		answer, err := l.answer(ctx, r)
		if err != nil {
			answer.Error = err.Error()
		}
		if err := sendLine(conn, answer); err != nil {
			return true, err
		}
	}
}

// answer does what is wanted.
func (l *listening) answer(ctx context.Context, r request) (out reply, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	target := l.folder.Path("joiner")
	switch r.Op {
	case Network, TLS:
		l.op = r.Op
	case opTransfer:
		err = l.receiver(target, r)
	case Writing:
		out.Seconds, err = l.write(ctx, target, r)
	case opDone:
		l.op = ""
		l.data.Wait() // the other end has closed them
		err = errors.Join(l.close(), os.RemoveAll(target))
	default:
		err = fmt.Errorf("%.20q is not known here (version %s)", r.Op, sst.Version)
	}
	use, useErr := ownUse()
	out.CPU, out.Peak = use.CPU.Seconds(), use.Peak
	return out, errors.Join(err, useErr)
}

// receiver makes what a transfer goes to.
func (l *listening) receiver(dir string, r request) error {
	var store transfer.Store = discard{}
	if l.writes {
		d, err := l.target(dir, r)
		if err != nil {
			return err
		}
		l.store, store = d, grown{d}
	}
	l.op, l.into = r.Op, &ext.Receiver{Stores: []transfer.Store{store}, Owners: nobody{}}
	return nil
}

// close closes what a transfer went to.
func (l *listening) close() (err error) {
	if l.into != nil {
		err = l.into.Close()
	}
	if l.store != nil {
		err = errors.Join(err, l.store.Close())
	}
	l.into, l.store = nil, nil
	return err
}

// target makes the directory that is written to, if there is room.
func (l *listening) target(dir string, r request) (*transfer.DirStore, error) {
	if r.Bytes < 0 || r.Bytes > maxMegabytes<<20 || r.Files < 0 || r.Files > maxFiles {
		return nil, fmt.Errorf("%d bytes in %d files are too many", r.Bytes, r.Files)
	}
	if err := mariadbd.CheckRoom(l.folder.Dir, room(r.Bytes, r.Files, 1)); err != nil {
		return nil, err
	}
	if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return transfer.NewDirStore(root, transfer.StoreOptions{})
}

// write measures writing alone, in seconds.
func (l *listening) write(ctx context.Context, dir string, r request) (float64, error) {
	if !l.writes || r.Files < 1 {
		return 0, errors.New("nothing is written here")
	}
	store, err := l.target(dir, r)
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		return 0, err
	}
	s := &set{}
	for i := range r.Files {
		s.files = append(s.files, file{filepath.Join("schema", fmt.Sprint(i)), r.Bytes / int64(r.Files)})
	}
	began := time.Now()
	err = writeSet(ctx, s, dir, runtime.GOMAXPROCS(0))
	seconds := time.Since(began).Seconds()
	return seconds, errors.Join(err, os.RemoveAll(dir))
}
