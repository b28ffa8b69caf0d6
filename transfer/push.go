package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"time"

	"wsrep_sst_rsync_tunnel/transfer/delta"
	"wsrep_sst_rsync_tunnel/transfer/filter"
	"wsrep_sst_rsync_tunnel/transfer/flist"
	"wsrep_sst_rsync_tunnel/transfer/wire"
)

// PushOptions are the options of one rsync run that sends to a daemon. Names and
// meanings are those of rsync's own options.
type PushOptions struct {
	Module string
	Path   string // below the module: "" for its root, or "./db1/"
	// Rules are told to the daemon when it deletes. The Source must apply them too.
	Rules *filter.List

	Recursive, Dirs    bool
	Delete             bool
	WholeFile, Inplace bool
	// ListOnly sends no data (--max-size=0): the daemon makes directories, links and
	// empty files and, with Delete, removes what the list does not have. Files that
	// are there stay as they are.
	ListOnly                             bool
	IgnoreTimes, Checksum                bool
	Owner, Group, Perms, Times           bool
	Links, Specials, Devices, NumericIDs bool

	// Timeout is the silence after which the session ends; the daemon is asked to
	// keep it too. 0: none.
	Timeout time.Duration
	// Protocol is the highest to offer, 30 to 32; 0 means 32.
	Protocol int
	// Checksums are the names to offer; nil means all.
	Checksums []string
	// Log gets what the peer says, one line a call. It is called from a goroutine
	// of the session. nil: not wanted.
	Log func(Level, string)
	// Progress gets the number of file bytes sent, now and then. nil: not wanted.
	Progress func(n int64)
}

// Stats tell what a session did.
type Stats struct {
	Protocol    int
	Checksum    string
	Entries     int   // of the file list
	Files       int   // regular files sent or received
	Bytes       int64 // their length
	Literal     int64 // of which travelled as data; the rest was there already
	Redone      int   // files sent a second time because their digest did not match
	Deleted     int   // files and directories removed (Daemon)
	WireRead    int64
	WireWritten int64
	// Vanished were listed and gone when their turn came; Failed could not be read
	// (Push) or written (Daemon).
	Vanished, Failed []string
}

// Push sends what src lists to a module of the daemon at the other end of conn:
// one run of rsync. It returns nil only when the daemon said that everything
// arrived; otherwise an *ExitError with rsync's exit code. The connection stays
// the caller's to close; after an error it is of no more use.
func Push(ctx context.Context, conn net.Conn, src Source, o PushOptions) (Stats, error) {
	l := newLink(conn, o.Timeout, o.Log)
	p := &pusher{link: l, src: src, o: o}
	defer l.release()
	defer l.conn.watching(ctx)()
	err := p.run(ctx)
	p.stats.WireRead, p.stats.WireWritten = l.r.Count(), l.w.Count()
	if err == nil {
		return p.stats, nil
	}
	p.tellError(err)
	return p.stats, l.exit(err)
}

// pusher is one Push under way.
type pusher struct {
	*link
	src     Source
	o       PushOptions
	entries []*flist.Entry // sorted: the index is the position
	ioError int32          // ours
	sender  *delta.FileSender
	asked   []uint8 // how often, for each entry; for the goroutine that reads
	told    bool    // the daemon was told that we give up
	stats   Stats
}

func (p *pusher) run(ctx context.Context) error {
	if err := p.setup(); err != nil {
		return err
	}
	if err := p.sendList(ctx); err != nil {
		return err
	}
	// From here on both directions run at once: the daemon asks for files while it
	// is still being sent others, and never waits for us to read.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	requests := newRequestQueue()
	readDone := make(chan error, 1)
	go func() {
		err := p.readRequests(requests)
		if err != nil {
			cancel(err) // stop sending what nobody wants any more
		}
		requests.close(err)
		readDone <- err
	}()
	err := p.answer(ctx, requests)
	if err != nil {
		cancel(err)
		requests.close(err)
		p.tellError(context.Cause(ctx))
		// What the daemon had to say may still be on its way, and explains more
		// than our broken write.
		p.conn.SetReadDeadline(time.Now().Add(lastWords))
	}
	<-readDone
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return p.verdict()
}

// lastWords is how long a side that fails still listens for the other's reason.
const lastWords = 2 * time.Second

func (p *pusher) setup() error {
	p.conn.SetDeadline(time.Now().Add(handshakeLimit))
	max := p.o.Protocol
	if max == 0 {
		max = wire.MaxProto
	}
	if err := p.greet(max); err != nil {
		return err
	}
	if err := p.openModule(p.o.Module); err != nil {
		return err
	}
	p.w.Args(clientArgs(&p.o))
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("send arguments: %w", err)
	}
	if err := p.setupClient(checksumNames(p.o.Checksums)); err != nil {
		return err
	}
	p.conn.SetDeadline(time.Time{})
	p.startMux(p.hearDaemon)
	p.sender = delta.NewFileSender(p.sum)
	p.stats.Protocol, p.stats.Checksum = p.proto, p.sum.Name()
	return nil
}

// hearDaemon handles the messages of a daemon.
func (p *pusher) hearDaemon(m wire.Message) error {
	switch m.Tag {
	case wire.IOTimeout: // §16.4
		n := time.Duration(m.Int()) * time.Second
		if cur := time.Duration(p.conn.timeout.Load()); n >= time.Second && n <= 24*time.Hour && (cur == 0 || n < cur) {
			p.conn.timeout.Store(int64(n))
		}
		return nil
	case wire.Deleted:
		p.log(Info, "deleted "+printable(string(m.Data)))
		return nil
	case wire.Noop:
		return p.w.KeepAlive()
	}
	return p.hear(m)
}

func (p *pusher) sendList(ctx context.Context) error {
	if p.o.Delete {
		rules := p.o.Rules
		if rules == nil {
			rules = &filter.List{}
		}
		rules.Send(p.w)
	}
	entries, ioError, err := p.src.List(ctx)
	if err != nil {
		return &ExitError{Code: ExitFile, Err: fmt.Errorf("list the files to send: %w", err)}
	}
	if p.o.Checksum {
		if err := p.sumEntries(ctx, entries); err != nil {
			return err
		}
	}
	options := p.listOptions(p.o.Checksum)
	options.Owner, options.Group, options.NumericIDs = p.o.Owner, p.o.Group, p.o.NumericIDs
	options.Links, options.Devices, options.Specials = p.o.Links, p.o.Devices, p.o.Specials
	entries = slices.DeleteFunc(entries, func(e *flist.Entry) bool {
		err := e.Check(options)
		if err != nil { // what cannot be listed is missing at the daemon: it must not delete
			p.failed(e, err)
		}
		return err != nil
	})
	p.ioError |= ioError
	users, groups := idNames(entries)
	if err := flist.Encode(p.w, entries, p.ioError, options, users, groups); err != nil {
		return &ExitError{Code: ExitFile, Err: err}
	}
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("send file list: %w", err)
	}
	flist.Sort(entries)
	p.entries, p.stats.Entries = entries, len(entries)
	p.asked = make([]uint8, len(entries))
	return nil
}

// sumEntries fills in the digests of --checksum (§11.7).
func (p *pusher) sumEntries(ctx context.Context, entries []*flist.Entry) error {
	for _, e := range entries {
		if !e.IsRegular() {
			continue
		}
		f, err := p.src.Open(e.Name)
		if err != nil {
			e.Sum = make([]byte, p.sum.Size()) // what C sends for what it cannot read
			continue
		}
		e.Sum, err = digest(ctx, f, f.Size(), p.sum)
		f.Close()
		if err != nil {
			return fmt.Errorf("read %s: %w", flist.Quote(e.Name), err)
		}
	}
	return nil
}

// request is one record of the daemon's generator (§10.1).
type request struct {
	done   bool // NDX_DONE
	ndx    int32
	iflags uint16
	basis  byte
	xname  string
	sums   *delta.Sums // nil without iflags TRANSFER
}

// maxDelStats is more than the one or two that daemons send.
const maxDelStats = 8

// readRequests reads all that the generator sends, to its last NDX_DONE (§14.2).
func (p *pusher) readRequests(q *requestQueue) error {
	left := 4
	if p.proto >= 31 {
		left = 5
	}
	for stats := 0; left > 0; {
		ndx, err := p.r.NDX()
		if err != nil {
			return fmt.Errorf("read request: %w", err)
		}
		req := request{ndx: ndx}
		switch {
		case ndx == ndxDone:
			left--
			req.done = true
		case ndx == ndxDelStats:
			if stats++; stats > maxDelStats {
				return wire.Errorf("14.2", "deletion counts without end")
			}
			for range 5 {
				if _, err := p.r.Varint(); err != nil {
					return fmt.Errorf("read deletion counts: %w", err)
				}
			}
			continue
		default:
			if err := p.readRequest(&req); err != nil {
				return err
			}
		}
		if !q.put(req) {
			return nil
		}
	}
	return nil
}

func (p *pusher) readRequest(req *request) error {
	if req.ndx < 0 || int(req.ndx) >= len(p.entries) {
		return wire.Errorf("17.1", "request for file number %d of %d", req.ndx, len(p.entries))
	}
	e := p.entries[req.ndx]
	if p.asked[req.ndx]++; p.asked[req.ndx] > maxRequests {
		return wire.Errorf("13", "%s is asked for again and again", flist.Quote(e.Name))
	}
	var err error
	if req.iflags, err = p.r.Short(); err != nil {
		return fmt.Errorf("read request for %s: %w", flist.Quote(e.Name), err)
	}
	if req.iflags&iflagBasisType != 0 {
		if req.basis, err = p.r.Byte(); err != nil {
			return err
		}
	}
	if req.iflags&iflagXName != 0 {
		if req.xname, err = p.r.VString(wire.MaxName); err != nil {
			return err
		}
	}
	if req.iflags&iflagTransfer == 0 {
		return nil
	}
	if !e.IsRegular() || e.Cleared {
		return wire.Errorf("17.2", "request for the data of %s, which is not a regular file", flist.Quote(e.Name))
	}
	head, err := delta.ReadSumHead(p.r, p.sum.Size())
	if err != nil {
		return err
	}
	req.sums, err = delta.ReadSums(p.r, head, sumsMemory(head.Count, e.Size))
	return err
}

// answer is the sender (§14.3).
func (p *pusher) answer(ctx context.Context, q *requestQueue) error {
	for phase := 0; ; {
		req, err := q.take(p.w)
		if err != nil {
			return err
		}
		if !req.done {
			if err := p.reply(ctx, req); err != nil {
				return err
			}
			continue
		}
		if phase++; phase > 2 {
			break
		}
		p.w.NDX(ndxDone)
	}
	if p.ioError != 0 {
		if err := p.w.MessageInt(wire.IOError, p.ioError); err != nil {
			return err
		}
	}
	p.w.NDX(ndxDone)
	goodbyes := 1
	if p.proto >= 31 {
		goodbyes = 2
	}
	for i := range goodbyes {
		req, err := q.take(p.w)
		if err != nil {
			return err
		}
		if !req.done {
			return wire.Errorf("14.1", "request after the end of the transfer")
		}
		if i == 0 && goodbyes == 2 {
			p.w.NDX(ndxDone)
		}
	}
	return p.w.Flush()
}

// reply answers one request (§11.1).
func (p *pusher) reply(ctx context.Context, req request) error {
	if req.sums == nil {
		p.echo(req)
		return p.w.Err()
	}
	e := p.entries[req.ndx]
	f, err := p.src.Open(e.Name)
	if err != nil {
		return p.noSend(req.ndx, e, err)
	}
	defer f.Close()
	p.echo(req)
	req.sums.Head.Write(p.w)
	if req.sums.Head.Count == 0 {
		err = p.sender.Whole(ctx, p.w, f, f.Size())
	} else {
		err = p.sender.Match(ctx, p.w, f, f.Size(), req.sums)
	}
	var readErr *delta.ReadError
	if errors.As(err, &readErr) {
		// The stream was completed with a digest that cannot match: the daemon will
		// ask once more, and report the file if that fails too.
		p.failed(e, err)
		err = nil
	}
	if err != nil {
		return fmt.Errorf("send %s: %w", flist.Quote(e.Name), err)
	}
	sent := p.sender.Sent()
	p.stats.Files++
	p.stats.Bytes += sent.Size()
	p.stats.Literal += sent.Literal
	if p.o.Progress != nil {
		p.o.Progress(sent.Size())
	}
	return nil
}

// echo repeats a request in the reply, exactly as received.
func (p *pusher) echo(req request) {
	p.w.NDX(req.ndx)
	p.w.Short(req.iflags)
	if req.iflags&iflagBasisType != 0 {
		p.w.Byte(req.basis)
	}
	if req.iflags&iflagXName != 0 {
		p.w.VString(req.xname)
	}
}

func (p *pusher) noSend(ndx int32, e *flist.Entry, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		p.ioError |= ioErrorVanished
		p.stats.Vanished = append(p.stats.Vanished, e.Name)
		p.log(Warning, "file has vanished: "+flist.Quote(e.Name))
	} else {
		p.failed(e, err)
	}
	return p.w.MessageInt(wire.NoSend, ndx)
}

func (p *pusher) failed(e *flist.Entry, err error) {
	p.ioError |= ioErrorGeneral
	p.stats.Failed = append(p.stats.Failed, e.Name)
	p.log(Error, err.Error())
}

// verdict turns what happened on the way into rsync's exit code.
func (p *pusher) verdict() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	io := p.ioError | p.link.ioError
	switch {
	case len(p.stats.Failed) > 0:
		return exitf(ExitPartial, "%d files could not be read, the first is %s", len(p.stats.Failed), flist.Quote(p.stats.Failed[0]))
	case p.xfer:
		return exitf(ExitPartial, "some files were not transferred")
	case io&ioErrorGeneral != 0:
		return exitf(ExitPartial, "some files could not be read")
	case len(p.stats.Vanished) > 0:
		return exitf(ExitVanished, "%d files went away, the first is %s", len(p.stats.Vanished), flist.Quote(p.stats.Vanished[0]))
	case io&ioErrorVanished != 0:
		return exitf(ExitVanished, "some files went away while they were listed")
	}
	return nil
}

// tellError tells the daemon why we stop (§16.2), as far as its protocol can say
// it. It says it once.
func (p *pusher) tellError(err error) {
	if p.proto < 31 || !p.muxed || p.told {
		return
	}
	p.told = true
	switch code := exitCode(err); {
	case p.peerGaveUp(): // an acknowledgement
		_ = p.w.Message(wire.ErrorExit, nil)
	case code == ExitSocket, code == ExitStream, code == ExitTimeout: // these just close
	default:
		_ = p.w.MessageInt(wire.ErrorExit, int32(code))
	}
}
