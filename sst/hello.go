package sst

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// What our own two ends say to each other besides rsync. A peer that agreed on
// ALPN wsrep-sst/1 sends one line first, the hello, on every connection: the donor
// its own, then the joiner the answer. After it an rsync session follows, unless
// the donor's hello said control, or stream. The control connection carries no rsync: it
// stays open as long as the SST, and each side sends a notice on it every few
// seconds, so that the joiner knows a donor that waits for its lock from a dead
// one, and reasons get across in words. Lines are JSON, unknown fields and
// unknown notices are ignored: later versions say more in the same form.

// maxHello bounds a line, its newline included.
const maxHello = 4096

// idLength is that of an SST's id: hexadecimal digits.
const idLength = 32

// maxReason bounds the text of a reason, so that any hello fits its line.
const maxReason = 900

// helloLimit is how long either side waits for the other's line.
const helloLimit = 30 * time.Second

// A hello introduces one side. Sizes are in bytes; 0 means not said.
type hello struct {
	Version      string   `json:"version"`
	Capabilities []string `json:"capabilities"`
	Role         string   `json:"role"`

	// ID is that of the SST: the donor makes it, and says it on each connection.
	ID string `json:"id,omitempty"`
	// Control asks for the control connection (donor), Again for one in the place of
	// one that broke.
	Control bool `json:"control,omitempty"`
	Again   bool `json:"again,omitempty"`
	// Stream: what follows are not rsync's but the frames of transfer/ext (donor).
	Stream bool `json:"stream,omitempty"`
	// OldData: the joiner has data to compare with.
	OldData bool `json:"old_data,omitempty"`
	// Summary is what the donor's log says at its end (donor, with the magic file).
	Summary string `json:"summary,omitempty"`
	// ByHand: a person started the joiner, and it may have data of a server that is in no
	// cluster.
	ByHand bool `json:"by_hand,omitempty"`
	// Replica is where a replica made from the data begins (donor, with the magic file).
	Replica *ReplicaPosition `json:"replica,omitempty"`
	// Need is what the donor will send, in allocated blocks, all roots together,
	// and Needs the same for each module ("" is the data directory).
	Need  int64            `json:"need_bytes,omitempty"`
	Needs map[string]int64 `json:"needs,omitempty"`
	// Free is what is free at the joiner, without what would be written over.
	Free int64 `json:"free_bytes,omitempty"`
	// Sessions is how many sessions the joiner serves at a time (sockopt max-children);
	// the control connection is none. 0: no limit.
	Sessions int `json:"sessions,omitempty"`
	// PageSize is innodb_page_size, if the side knows.
	PageSize int64 `json:"page_size,omitempty"`
	// Traits is what else decides whether the joiner can live on the donor's data
	// (on the control connection).
	Traits traits `json:"traits,omitzero"`

	// Refused is the reason why the joiner will not take this SST.
	Refused string `json:"refused,omitempty"`
}

// A notice is a later line on the control connection. One without a text says
// only that its sender lives.
type notice struct {
	State string `json:"state,omitempty"` // what the sender is doing
	Error string `json:"error,omitempty"` // why the sender gives up
	// Complete is the joiner's last notice: everything has arrived, and it leaves.
	Complete bool `json:"complete,omitempty"`
	// The pass that a donor is at: Done of Total bytes of files, in a round before the
	// lock or, with Locked, while its tables are.
	Round  int   `json:"round,omitempty"`
	Locked bool  `json:"locked,omitempty"`
	Done   int64 `json:"done_bytes,omitempty"`
	Total  int64 `json:"total_bytes,omitempty"`
}

func (h hello) line() ([]byte, error) {
	if h.Capabilities == nil {
		h.Capabilities = []string{} // a list, not null, also when empty
	}
	h.Refused, h.Summary = shorten(h.Refused), shorten(h.Summary)
	return jsonLine(h)
}

func (n notice) line() ([]byte, error) {
	n.Error, n.State = shorten(n.Error), shorten(n.State)
	return jsonLine(n)
}

func jsonLine(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // six bytes for each < and > in a reason
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if b.Len() > maxHello {
		return nil, fmt.Errorf("a line of %d bytes for the other side, at most %d are allowed", b.Len(), maxHello)
	}
	return b.Bytes(), nil
}

// parseHello reads the line of a peer that should have the given role. Its texts
// are fit for a log.
func parseHello(line []byte, role string) (hello, error) {
	var h hello
	if err := json.Unmarshal(line, &h); err != nil {
		return hello{}, fmt.Errorf("hello of the other side: %w", err)
	}
	if h.Role != role {
		return hello{}, fmt.Errorf("hello of the other side: its role is %s, a %s was expected", plain(h.Role), role)
	}
	if h.Need < 0 || h.Free < 0 || h.PageSize < 0 || h.Sessions < 0 {
		return hello{}, errors.New("hello of the other side: a size is negative")
	}
	if h.ID != "" && (len(h.ID) != idLength || strings.Trim(h.ID, "0123456789abcdef") != "") {
		return hello{}, fmt.Errorf("hello of the other side: the id %.40s is none", plain(h.ID))
	}
	if err := h.Traits.clean(); err != nil {
		return hello{}, err
	}
	for name, n := range h.Needs {
		if n < 0 {
			return hello{}, fmt.Errorf("hello of the other side: the size of %s is negative", plain(name))
		}
	}
	h.Version, h.Refused, h.Summary = plain(h.Version), plain(h.Refused), plain(h.Summary)
	if r := h.Replica; r != nil {
		if r.Pos < 0 || strings.Trim(r.GTID, "0123456789-,") != "" {
			return hello{}, errors.New("hello of the other side: the position for replicas is none")
		}
		r.File = plain(r.File)
	}
	return h, nil
}

func parseNotice(line []byte) (notice, error) {
	var n notice
	if err := json.Unmarshal(line, &n); err != nil {
		return notice{}, fmt.Errorf("notice of the other side: %w", err)
	}
	if n.Round < 0 || n.Done < 0 || n.Total < 0 {
		return notice{}, errors.New("notice of the other side: a size is negative")
	}
	n.Done = min(n.Done, n.Total)
	n.State, n.Error = plain(n.State), plain(n.Error)
	return n, nil
}

// sendHello and receiveHello move one hello, within helloLimit.
func sendHello(conn net.Conn, h hello) error {
	b, err := h.line()
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(helloLimit))
	defer conn.SetWriteDeadline(time.Time{})
	if _, err := conn.Write(b); err != nil {
		return fmt.Errorf("send the hello: %w", err)
	}
	return nil
}

func receiveHello(conn net.Conn, role string) (hello, error) {
	conn.SetReadDeadline(time.Now().Add(helloLimit))
	defer conn.SetReadDeadline(time.Time{})
	line, err := readLine(conn)
	if err != nil {
		return hello{}, fmt.Errorf("wait for the hello of the %s: %w", role, err)
	}
	return parseHello(line, role)
}

var errLineTooLong = fmt.Errorf("a line of more than %d bytes", maxHello)

// readLine reads up to a newline and not a byte further, since what follows is for
// the rsync engine. The line comes without its newline.
func readLine(r io.Reader) ([]byte, error) {
	line := make([]byte, 0, 256)
	for b := make([]byte, 1); len(line) < maxHello; {
		if _, err := io.ReadFull(r, b); err != nil {
			if len(line) > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if b[0] == '\n' {
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		line = append(line, b[0])
	}
	return nil, errLineTooLong
}

// plain makes a text of the peer fit for a log: one line, no control characters,
// bounded.
func plain(s string) string {
	var b strings.Builder
	for _, r := range shorten(s) {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteByte('?')
		}
	}
	return b.String()
}

// shorten cuts s to maxReason bytes at the border of a character, and takes out the
// characters that JSON would make longer than two bytes each.
func shorten(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
			return '?'
		}
		return r
	}, s)
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason - len("...")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}
