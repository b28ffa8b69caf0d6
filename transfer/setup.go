package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// handshakeLimit bounds the text handshake and the arguments (§2.7).
const handshakeLimit = 60 * time.Second

// Our greeting. The digests are for daemon authentication, which we neither offer
// nor do; a greeting of protocol 32 must have the list all the same.
var greetingDigests = []string{"sha512", "sha256", "sha1", "md5"}

// link is one session's connection: the two ends of the wire, what was agreed,
// and what the peer said.
type link struct {
	conn   *watchedConn
	r      *wire.Reader
	w      *wire.Writer
	proto  int
	compat uint32
	seed   int32
	sum    *delta.Algorithm
	muxed  bool
	log    func(Level, string)

	mu       sync.Mutex
	said     []string // errors the peer told, in its words
	xfer     bool     // one of them was an ERROR_XFER
	ioError  int32    // io_error bits told by message
	peerExit *ExitError
}

func newLink(conn net.Conn, timeout time.Duration, log func(Level, string)) *link {
	w := watch(conn, timeout)
	return &link{conn: w, r: wire.NewReader(w), w: wire.NewWriter(w), log: limited(log)}
}

// maxLines is how many lines a session may have in the log: a peer can send texts
// without end, and cause a complaint for each entry of its list.
const maxLines = 200

// limited passes on the first lines of a session.
func limited(log func(Level, string)) func(Level, string) {
	if log == nil {
		return func(Level, string) {}
	}
	var lines atomic.Int32
	return func(level Level, text string) {
		switch n := lines.Add(1); {
		case n < maxLines:
			log(level, text)
		case n == maxLines:
			log(Warning, "this session has more to say than is told here")
		default:
			lines.Store(maxLines) // never round the end of the number
		}
	}
}

func (l *link) release() {
	l.r.Release()
	l.w.Release()
}

// has says whether a compat flag was agreed on (§4.1).
func (l *link) has(flag uint32) bool { return l.compat&flag != 0 }

// listOptions are those of the file list that the setup decides; the options of the
// session are the caller's to add.
func (l *link) listOptions(checksum bool) flist.Options {
	o := flist.Options{
		Proto: l.proto, VarintFlags: l.has(wire.CompatVarintFlistFlags), SafeFlist: l.has(wire.CompatSafeFlist),
		ID0Names: l.has(wire.CompatID0Names),
	}
	if checksum {
		o.SumLen = l.sum.Size()
	}
	return o
}

// peerGaveUp says whether the other side has told that it ends the session.
func (l *link) peerGaveUp() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peerExit != nil
}

// exit is how a session fails: with the other side's reason, if it gave one, which
// explains more than what broke here because of it.
func (l *link) exit(err error) *ExitError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peerExit != nil {
		err = l.peerExit
	}
	return &ExitError{Code: exitCode(err), Err: err, Said: l.said}
}

// startMux begins the multiplexed part (§4.5) and the keep-alives (§16.5).
func (l *link) startMux(handle func(wire.Message) error) {
	l.r.StartMux(l.proto, handle)
	l.w.StartMux(l.proto)
	l.muxed = true
	l.conn.keepAlive(func() {
		if l.w.Idle() >= time.Duration(l.conn.timeout.Load())/2 {
			_ = l.w.KeepAlive() // a failure shows in the session's own writes
		}
	})
}

// hear deals with the messages that mean the same to either role.
func (l *link) hear(m wire.Message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch m.Tag {
	case wire.ErrorXfer, wire.Error:
		text := printable(string(m.Data))
		if len(l.said) < 16 {
			l.said = append(l.said, text)
		}
		l.xfer = l.xfer || m.Tag == wire.ErrorXfer
		l.log(Error, text)
	case wire.Warning:
		l.log(Warning, printable(string(m.Data)))
	case wire.Info:
		l.log(Info, printable(string(m.Data)))
	case wire.IOError:
		l.ioError |= m.Int() & ioErrorMask
	case wire.ErrorExit:
		if len(m.Data) == 0 {
			return errAcknowledged
		}
		code := int(m.Int())
		l.peerExit = exitf(code, "the other side gave up (rsync exit code %d)", code)
		return l.peerExit
	}
	return nil
}

// errAcknowledged: the peer answered our ERROR_EXIT.
var errAcknowledged = errors.New("the other side ended the session")

// greet exchanges the greetings (§2.1).
func (l *link) greet(max int) error {
	ours := wire.Greeting{Proto: max, Digests: greetingDigests}
	l.w.Line(ours.String())
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("send greeting: %w", err)
	}
	line, err := l.r.Line(wire.MaxLine)
	if err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	if strings.HasPrefix(line, "@ERROR") {
		return exitf(ExitStart, "the daemon refused: %s", printable(line))
	}
	theirs, err := wire.ParseGreeting(line)
	if err != nil {
		return err
	}
	l.proto, err = wire.Negotiate(ours, theirs)
	return err
}

// openModule asks for a module and waits for the daemon's OK (§2.4, 2.5).
func (l *link) openModule(module string) error {
	l.w.Line(module)
	if err := l.w.Flush(); err != nil {
		return fmt.Errorf("ask for module %s: %w", module, err)
	}
	for range 1000 {
		line, err := l.r.Line(wire.MaxLine)
		switch {
		case err != nil:
			return fmt.Errorf("open module %s: %w", module, err)
		case line == "@RSYNCD: OK":
			return nil
		case line == "@RSYNCD: EXIT":
			return exitf(ExitStart, "open module %s: the daemon ended the session", module)
		case strings.HasPrefix(line, "@RSYNCD: AUTHREQD"):
			return exitf(ExitStart, "open module %s: the daemon asks for a password, which an SST does not have", module)
		case strings.HasPrefix(line, "@ERROR"):
			return exitf(ExitStart, "open module %s: the daemon refused: %s", module, printable(strings.TrimPrefix(line, "@ERROR: ")))
		}
		// Anything else is the message of the day.
	}
	return exitf(ExitStart, "open module %s: the daemon talks without end", module)
}

// setupClient is the binary setup as the client sees it (§4).
func (l *link) setupClient(offered []string) error {
	compat, err := l.r.Varint()
	if err != nil {
		return fmt.Errorf("read compatibility flags: %w", err)
	}
	l.compat = uint32(compat)
	if l.has(wire.CompatIncRecurse) {
		return wire.Errorf("4.1", "incremental recursion was granted but not asked for")
	}
	name := "md5"
	if l.has(wire.CompatVarintFlistFlags) {
		if name, err = l.agreeChecksum(offered, true); err != nil {
			return err
		}
	}
	if l.seed, err = l.r.Int(); err != nil {
		return fmt.Errorf("read checksum seed: %w", err)
	}
	return l.useChecksum(name)
}

// agreeChecksum exchanges the lists of names (§4.2). Every client takes the first
// name of its own list that the server has too, so a server goes by the client's
// order, whatever it is.
func (l *link) agreeChecksum(ours []string, client bool) (string, error) {
	l.w.VString(strings.Join(ours, " "))
	if err := l.w.Flush(); err != nil {
		return "", err
	}
	text, err := l.r.VString(wire.MaxNegotiation)
	if err != nil {
		return "", fmt.Errorf("read checksum names: %w", err)
	}
	theirs := strings.Fields(text)
	if client {
		return wire.ChooseName(ours, ours, theirs)
	}
	return wire.ChooseName(theirs, ours, theirs)
}

func (l *link) useChecksum(name string) (err error) {
	l.sum, err = delta.Lookup(name, l.seed, l.has(wire.CompatChksumSeedFix))
	return err
}

// checksumNames gives what we offer, in the canonical order.
func checksumNames(wanted []string) []string {
	if len(wanted) == 0 {
		return delta.Canonical()
	}
	return slices.DeleteFunc(delta.Canonical(), func(n string) bool { return !slices.Contains(wanted, n) })
}

// ListModules asks a daemon for the names of its modules. It proves at the same
// time that a daemon is there and lets us in.
func ListModules(ctx context.Context, conn net.Conn) ([]string, error) {
	l := newLink(conn, handshakeLimit, nil)
	defer l.release()
	defer l.conn.watching(ctx)()
	names, err := l.listModules()
	if err != nil {
		return nil, &ExitError{Code: exitCode(err), Err: err}
	}
	return names, nil
}

func (l *link) listModules() ([]string, error) {
	if err := l.greet(wire.MaxProto); err != nil {
		return nil, err
	}
	l.w.Line("#list")
	if err := l.w.Flush(); err != nil {
		return nil, fmt.Errorf("ask for the modules: %w", err)
	}
	var names []string
	for range 1000 {
		line, err := l.r.Line(wire.MaxLine)
		switch {
		case errors.Is(err, io.EOF) && len(names) > 0, line == "@RSYNCD: EXIT":
			return names, nil
		case err != nil:
			return nil, fmt.Errorf("list modules: %w", err)
		case strings.HasPrefix(line, "@ERROR"):
			return nil, exitf(ExitStart, "list modules: the daemon refused: %s", printable(line))
		}
		if name, _, ok := strings.Cut(line, "\t"); ok {
			names = append(names, strings.TrimRight(name, " "))
		}
	}
	return nil, exitf(ExitStart, "list modules: the list has no end")
}
