package transfer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"strings"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// Daemon serves modules that can be written, as `rsync --daemon` would with
// `use chroot = no`, `read only = no` and `munge symlinks = no`. One Daemon serves
// any number of connections at once.
type Daemon struct {
	Modules []Module
	// Timeout is the silence after which a session ends; the client is told. The
	// client's own shorter one counts too. 0: none.
	Timeout time.Duration
	// Handshake is the time for all that comes before the first frame; 0: 60 s.
	Handshake time.Duration
	// PageSize is the unit in which files change, in bytes: those whose length is a
	// multiple of it are compared page by page. 0: as rsync does.
	PageSize int64
	// Owners maps the owners of received files; nil: SystemOwners.
	Owners Owners
	// Lists is the memory for the file lists of all sessions together; nil: each has
	// flist.DefaultMaxBytes.
	Lists *flist.Pool
	// Begin is called when the first complete list of a session is in, before the
	// session changes anything. Its error ends the session and is told to the peer.
	// It may be called by several sessions at once. nil: nothing to ask.
	Begin func(ctx context.Context, s *Session) error
	// Log gets what sessions have to say, one line a call, from any goroutine.
	Log func(Level, string)
	// Progress gets the number of file bytes received, now and then.
	Progress func(n int64)
}

// Module is a place to write to.
type Module struct {
	Name, Comment string
	Store         Store
	// Protect excludes names (relative to the module's root) that are never
	// written and never removed, whatever the client says (§7.7). nil: none.
	Protect *filter.List
}

// Session is what a client wants, as Begin sees it.
type Session struct {
	Module string
	Path   string // destination below the module, "." for its root
	List   *flist.List
	Delete bool // what the list does not have goes
}

// Result tells what a served session did.
type Result struct {
	Module, Path string // Module is "" if the client only asked for the list of modules
	Delete       bool
	Stats
}

// Serve serves one connection to its end. It returns nil when the session ended as
// it should; a client that only looks at the list of modules is no error either.
// Otherwise the error is an *ExitError, and the client was told why as far as the
// protocol can. The connection stays the caller's to close.
func (d *Daemon) Serve(ctx context.Context, conn net.Conn) (Result, error) {
	l := newLink(conn, d.Timeout, d.Log)
	s := &session{link: l, d: d}
	defer l.release()
	defer l.conn.watching(ctx)()
	err := s.serve(ctx)
	res := Result{Module: s.module.Name, Path: s.dest, Delete: s.args != nil && s.args.delete, Stats: s.stats}
	res.WireRead, res.WireWritten = l.r.Count(), l.w.Count()
	s.list.Release()
	if err == nil {
		return res, nil
	}
	s.tellError(err)
	return res, l.exit(err)
}

// session is one connection being served.
type session struct {
	*link
	d      *Daemon
	module Module
	args   *serverArgs
	dest   string // below the module
	rename string // when a single file is stored under another name: that name
	rules  *filter.List
	list   *flist.List
	stats  Stats

	board      *board
	reports    *reports
	redone     map[int32]bool // files that were asked for twice; guarded by board.mu
	uids, gids map[uint32]uint32
}

func (s *session) serve(ctx context.Context) error {
	s.conn.SetDeadline(time.Now().Add(cmp.Or(s.d.Handshake, handshakeLimit)))
	again, err := s.handshake()
	if err != nil || !again {
		return err
	}
	if err := s.readArgs(); err != nil {
		return err
	}
	optionErr := s.chooseOptions()
	if err := s.setupServer(); err != nil {
		return err
	}
	s.conn.SetDeadline(time.Time{})
	s.startMux(s.hearClient)
	s.stats.Protocol, s.stats.Checksum = s.proto, s.sum.Name()
	if optionErr != nil {
		return optionErr // only now can the client be told (§16.2)
	}
	if err := s.tellTimeout(); err != nil {
		return err
	}
	if err := s.receiveList(); err != nil {
		return err
	}
	if s.d.Begin != nil {
		info := &Session{Module: s.module.Name, Path: s.dest, List: s.list, Delete: s.args.delete}
		if err := s.d.Begin(ctx, info); err != nil {
			return &ExitError{Code: ExitFile, Err: err}
		}
	}
	if err := s.enterDestination(); err != nil {
		return err
	}
	return s.transfer(ctx)
}

// handshake goes up to the OK; false when the client wants nothing more.
func (s *session) handshake() (more bool, err error) {
	if err := s.greet(wire.MaxProto); err != nil {
		var exit *ExitError
		var proto *wire.ProtocolError
		if errors.As(err, &proto) || errors.As(err, &exit) {
			s.refuse(err.Error())
		}
		return false, err
	}
	line, err := s.r.Line(wire.MaxLine)
	if err == nil && strings.HasPrefix(line, "#early_input=") {
		if err = s.skipEarlyInput(line); err == nil {
			line, err = s.r.Line(wire.MaxLine)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return false, nil // somebody only looked whether we are here
	case err != nil:
		return false, fmt.Errorf("read module name: %w", err)
	case line == "" || line == "#list":
		for _, m := range s.d.Modules {
			s.w.Line(fmt.Sprintf("%-15s\t%s", m.Name, m.Comment))
		}
		s.w.Line("@RSYNCD: EXIT")
		return false, s.w.Flush()
	case line[0] == '#':
		s.refuse("Unknown command '" + printable(line) + "'")
		return false, exitf(ExitStart, "client sent the unknown command %s", printable(line))
	}
	for _, m := range s.d.Modules {
		if m.Name == line {
			s.module = m
			s.w.Line("@RSYNCD: OK")
			return true, s.w.Flush()
		}
	}
	s.refuse("Unknown module '" + printable(line) + "'")
	return false, exitf(ExitStart, "client asked for the unknown module %s", printable(line))
}

func (s *session) refuse(why string) {
	s.w.Line("@ERROR: " + why)
	_ = s.w.Flush()
}

// skipEarlyInput drops what is meant for a hook that we do not have (§2.3).
func (s *session) skipEarlyInput(line string) error {
	var n int
	if _, err := fmt.Sscanf(line, "#early_input=%d", &n); err != nil || n < 1 || n > 5120 {
		s.refuse("invalid early_input length")
		return exitf(ExitStart, "client sent an invalid early_input length")
	}
	return s.r.Full(make([]byte, n))
}

func (s *session) readArgs() error {
	args, err := s.r.Args()
	if err != nil {
		return fmt.Errorf("read arguments: %w", err)
	}
	if s.args, err = parseServerArgs(args); err != nil {
		return s.refuseArgs(err)
	}
	if !s.args.secluded {
		return nil
	}
	if args, err = s.r.Args(); err != nil {
		return fmt.Errorf("read secluded arguments: %w", err)
	}
	capability := s.args.capability
	if s.args, err = parseServerArgs(args); err != nil {
		return s.refuseArgs(err)
	}
	if s.args.capability == "" {
		s.args.capability = capability
	}
	return nil
}

// refuseArgs keeps an error of the arguments until the client can be told.
func (s *session) refuseArgs(err error) error {
	s.args.refused = err
	return nil
}

// chooseOptions checks that the arguments make sense together.
func (s *session) chooseOptions() error {
	a := s.args
	if a.refused != nil {
		return a.refused
	}
	dest, slash, err := a.destination(s.module.Name)
	if err != nil {
		return err
	}
	s.dest, a.slash = dest, slash
	if a.checksums != "" {
		// "X,Y": one for the transfer, one for --checksum. We have one.
		if first, second, two := strings.Cut(a.checksums, ","); two && first != second {
			return errUnsupported("--checksum-choice=" + a.checksums)
		}
	}
	if t := a.timeout; t > 0 && (s.d.Timeout == 0 || t < s.d.Timeout) {
		s.conn.timeout.Store(int64(t))
	}
	return nil
}

// setupServer is the binary setup as the server does it (§4).
func (s *session) setupServer() error {
	s.compat = wire.CompatFor(s.args.capability)
	s.w.Varint(int32(s.compat))
	name := "md5"
	choice, _, _ := strings.Cut(s.args.checksums, ",")
	var err error
	switch {
	case choice != "" && choice != "auto":
		name = choice
	case s.has(wire.CompatVarintFlistFlags):
		if name, err = s.agreeChecksum(delta.Canonical(), false); err != nil {
			return err
		}
	}
	s.seed = s.args.seed
	if !s.args.seeded {
		s.seed = randomSeed()
	}
	s.w.Int(s.seed)
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("send setup: %w", err)
	}
	return s.useChecksum(name)
}

// hearClient handles the messages of a client.
func (s *session) hearClient(m wire.Message) error {
	switch m.Tag {
	case wire.NoSend:
		return s.noSend(m.Int())
	case wire.Noop:
		return nil
	}
	return s.hear(m)
}

func (s *session) tellTimeout() error {
	t := time.Duration(s.conn.timeout.Load())
	if t <= 0 || s.proto < 31 {
		return nil
	}
	return s.w.MessageInt(wire.IOTimeout, int32(max(1, t/time.Second)))
}

func (s *session) receiveList() error {
	a := s.args
	if a.delete {
		var err error
		if s.rules, err = filter.Receive(s.r); err != nil {
			return err
		}
		s.rules.SetBase(s.dest)
	}
	o := s.listOptions(a.checksum)
	o.Owner, o.Group, o.NumericIDs = a.owner, a.group, a.numericIDs
	o.Links, o.Devices, o.Specials = a.links, a.devices, a.specials
	o.Pool = s.d.Lists
	var err error
	if s.list, err = flist.Decode(s.r, o); err != nil {
		return err
	}
	s.stats.Entries = len(s.list.Entries)
	for _, e := range s.list.Entries {
		if strings.Count(e.Name, "/") > maxDepth {
			return wire.Errorf("17.1", "%s lies deeper than %d directories", flist.Quote(e.Name), maxDepth)
		}
	}
	return nil
}

// maxDepth bounds the directories in directories: each is opened from the one above,
// so that a list of the deepest names that there can be would keep us busy for hours.
const maxDepth = 256

// enterDestination decides where the list goes (§3.5): into the directory that the
// path names, made if need be, or, for a single file, to a file of that name.
func (s *session) enterDestination() error {
	if s.dest == "." {
		return nil
	}
	info, err := s.module.Store.Lstat(s.dest)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil && (s.args.slash || len(s.list.Entries) > 1 || s.startsWithRoot()):
		return exitf(ExitFile, "destination %s is not a directory", flist.Quote(s.dest))
	}
	if s.args.slash || len(s.list.Entries) != 1 || s.startsWithRoot() {
		if err := s.guard(s.dest, true); err != nil {
			return err
		}
		if err := s.module.Store.Mkdir(s.dest); err != nil {
			return &ExitError{Code: ExitFile, Err: fmt.Errorf("make the destination: %w", err)}
		}
		return nil
	}
	s.dest, s.rename = path.Dir(s.dest), path.Base(s.dest)
	return nil
}

func (s *session) startsWithRoot() bool {
	return len(s.list.Entries) > 0 && s.list.Entries[0].Name == flist.Root
}

// path gives the name of an entry below the module.
func (s *session) path(e *flist.Entry) string {
	if s.rename != "" {
		return join(s.dest, s.rename)
	}
	return join(s.dest, e.Name)
}

// guard refuses a name that the module protects.
func (s *session) guard(path string, dir bool) error {
	if s.protected(path, dir) {
		return exitf(ExitPartial, "%s is protected on this side and cannot be received", flist.Quote(path))
	}
	return nil
}

// protected says whether the module protects a path or a directory above it.
func (s *session) protected(path string, dir bool) bool { return s.module.Protects(path, dir) }

// Protects says whether Protect excludes a path or a directory above it.
func (m Module) Protects(path string, dir bool) bool {
	if m.Protect == nil || path == "." {
		return false
	}
	for i := range path {
		if path[i] == '/' && m.Protect.Excluded(filter.Receiver, path[:i], true) {
			return true
		}
	}
	return m.Protect.Excluded(filter.Receiver, path, dir)
}

// tellError tells the client why the session ends (§16.2), then reads on until the
// client has taken notice, so that no reset of the connection destroys the message.
func (s *session) tellError(err error) {
	if !s.muxed {
		return
	}
	code := exitCode(err)
	if s.peerGaveUp() {
		_ = s.w.Message(wire.ErrorExit, nil)
		return
	}
	if code == ExitSocket || code == ExitTimeout {
		return
	}
	s.conn.SetDeadline(time.Now().Add(lastWords))
	text := cut(printable(err.Error()), wire.MaxText-100)
	_ = s.w.Message(wire.Error, []byte(text+"\n"))
	if s.proto < 31 {
		return
	}
	_ = s.w.MessageInt(wire.ErrorExit, int32(code))
	for {
		if _, err := s.r.Next(1 << 18); err != nil {
			return
		}
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "..."
	}
	return s
}
