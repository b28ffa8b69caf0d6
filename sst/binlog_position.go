package sst

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A ReplicaPosition is where a replica made from a copy of a server begins to follow it:
// what SHOW MASTER STATUS and @@gtid_binlog_pos say while nobody writes.
type ReplicaPosition struct {
	GTID string `json:"gtid,omitempty"` // "0-1-1234,1-2-5"; "" if nothing was ever written
	File string `json:"file"`           // of the binlog
	Pos  int64  `json:"pos"`            // in it

	since string // the oldest binlog that a recovery after a crash would read
}

// lastPosition reads the end of the last binlog of a server that does not write, and how
// many binlogs a copy of it needs: the first start of the copy is a recovery, which looks
// in them for what was committed. 0 are those of a server that keeps none.
func lastPosition(b Binlog, datadir string) (p ReplicaPosition, needed int, err error) {
	if !b.On() {
		return p, 0, nil
	}
	names, err := readIndex(b.Index, datadir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(names) == 0 {
		return p, 0, nil
	}
	if err != nil {
		return p, 0, err
	}
	last := names[len(names)-1]
	f, err := os.Open(last)
	if err != nil {
		return p, 0, fmt.Errorf("binlog: %w", err)
	}
	defer f.Close()
	p, err = binlogEnd(bufio.NewReaderSize(f, 64<<10))
	if err != nil {
		return p, 0, fmt.Errorf("binlog %s: %w", last, err)
	}
	p.File = filepath.Base(last)
	oldest := slices.IndexFunc(names, func(name string) bool { return filepath.Base(name) == p.since })
	if p.since == "" {
		oldest = len(names) - 1
	}
	if oldest < 0 {
		return p, 0, fmt.Errorf("binlog %s: a recovery would need %s, which is not in the index", last, plain(p.since))
	}
	return p, len(names) - oldest, nil
}

// Types of binlog events that tell of positions (MariaDB, log_event.h), and sizes.
const (
	checkpointEvent = 161
	gtidEvent       = 162
	gtidListEvent   = 163
	encryptionEvent = 164

	eventHeader  = 19
	gtidListItem = 4 + 4 + 8
	// maxGTIDs bounds a list: a domain for each of that many streams of changes.
	maxGTIDs = 1 << 16
)

var binlogMagic = []byte{0xfe, 'b', 'i', 'n'}

// binlogEnd reads a binlog to its end: the position behind the last event, and the last
// GTID of each domain.
func binlogEnd(r *bufio.Reader) (p ReplicaPosition, err error) {
	magic := make([]byte, len(binlogMagic))
	if _, err := io.ReadFull(r, magic); err != nil || !slices.Equal(magic, binlogMagic) {
		return p, errors.New("it is no binlog")
	}
	p.Pos = int64(len(magic))
	last := map[uint32]string{} // by domain
	for {
		var h [eventHeader]byte
		if _, err := io.ReadFull(r, h[:]); err == io.EOF {
			break
		} else if err != nil {
			return p, errCutBinlog(p.Pos)
		}
		length := int64(binary.LittleEndian.Uint32(h[9:]))
		if length < eventHeader {
			return p, fmt.Errorf("at %d: an event of %d bytes", p.Pos, length)
		}
		body, server := length-eventHeader, binary.LittleEndian.Uint32(h[5:])
		switch h[4] {
		case encryptionEvent:
			return p, errors.New("it is encrypted, so its GTIDs cannot be read")
		case gtidEvent:
			var b [8 + 4]byte
			if body < int64(len(b)) {
				return p, fmt.Errorf("at %d: a GTID event of %d bytes", p.Pos, length)
			}
			if _, err := io.ReadFull(r, b[:]); err != nil {
				return p, errCutBinlog(p.Pos)
			}
			body -= int64(len(b))
			domain := binary.LittleEndian.Uint32(b[8:])
			last[domain] = fmt.Sprintf("%d-%d-%d", domain, server, binary.LittleEndian.Uint64(b[:]))
		case checkpointEvent:
			name := make([]byte, min(body, maxIndexLine))
			if _, err := io.ReadFull(r, name); err != nil {
				return p, errCutBinlog(p.Pos)
			}
			body -= int64(len(name))
			if len(name) < 4 || int64(binary.LittleEndian.Uint32(name)) > int64(len(name)-4) {
				return p, fmt.Errorf("at %d: a checkpoint of %d bytes", p.Pos, length)
			}
			p.since = filepath.Base(string(name[4 : 4+binary.LittleEndian.Uint32(name)]))
		case gtidListEvent:
			n, err := readGTIDList(r, body, last)
			if err != nil {
				return p, fmt.Errorf("at %d: %w", p.Pos, err)
			}
			body -= n
		}
		if n, err := io.CopyN(io.Discard, r, body); err != nil || n < body {
			return p, errCutBinlog(p.Pos)
		}
		p.Pos += length
		if len(last) > maxGTIDs {
			return p, fmt.Errorf("more than %d domains of GTIDs", maxGTIDs)
		}
	}
	var gtids []string
	for _, domain := range slices.Sorted(maps.Keys(last)) {
		gtids = append(gtids, last[domain])
	}
	p.GTID = strings.Join(gtids, ",")
	return p, nil
}

// readGTIDList reads what a binlog begins with: the last GTIDs before it. Of a domain the
// last of the list is the last that was written.
func readGTIDList(r io.Reader, body int64, last map[uint32]string) (read int64, err error) {
	var b [gtidListItem]byte
	if _, err := io.ReadFull(r, b[:4]); err != nil || body < 4 {
		return 0, errors.New("a list of GTIDs that is cut")
	}
	const countBits = 1<<28 - 1 // the rest are flags
	n := int64(binary.LittleEndian.Uint32(b[:]) & countBits)
	if n > maxGTIDs || 4+n*gtidListItem > body {
		return 0, fmt.Errorf("a list of %d GTIDs in %d bytes", n, body)
	}
	for range n {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return 0, errors.New("a list of GTIDs that is cut")
		}
		domain := binary.LittleEndian.Uint32(b[:])
		last[domain] = fmt.Sprintf("%d-%d-%d", domain, binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint64(b[8:]))
	}
	return 4 + n*gtidListItem, nil
}

// errCutBinlog: a server that stops in good order, or is locked, leaves whole events.
func errCutBinlog(at int64) error {
	return advise(fmt.Errorf("it ends within the event at %d: the server crashed, or writes", at),
		"start the server and stop it in good order, or lock its tables")
}
