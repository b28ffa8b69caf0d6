package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"wsrep_sst_rsync_tunnel/sst"
	"wsrep_sst_rsync_tunnel/sst/report"
)

// What the two ends of a rehearsal say after the handshake. Lines are JSON; unknown
// fields are ignored. The one that dialled begins, the other answers, the first tells
// what it measured:
//
//	→ {"version":"0.1.0"}
//	← {"version":"0.1.0","time_ns":…,"seen":{…}}
//	→ {"version":"0.1.0","seen":{…},"ahead_ns":…,"round_trip_ns":…}

// maxLine bounds a line, its newline included; lineLimit is how long either side waits
// for the other's next one.
const (
	maxLine   = 16 << 10
	lineLimit = 10 * time.Second
)

// A line is one of them.
type line struct {
	Version string `json:"version"`
	Time    int64  `json:"time_ns,omitempty"` // the clock of who answers, since 1970
	Seen    *seen  `json:"seen,omitempty"`    // what the sender saw of the reader
	Ahead   int64  `json:"ahead_ns,omitempty"`
	Trip    int64  `json:"round_trip_ns,omitempty"`
}

// seen is what a side saw of the other, in words.
type seen struct {
	Address     string `json:"address"`
	Certificate string `json:"certificate"`
	Channel     string `json:"channel"`
	Name        string `json:"name"`
}

func (s seen) String() string {
	return fmt.Sprintf("%s: %s; %s; %s", s.Address, s.Certificate, s.Channel, s.Name)
}

func send(conn net.Conn, l line) error {
	l.Version = sst.Version
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(lineLimit))
	_, err = conn.Write(append(b, '\n'))
	return err
}

// receive reads one line, and nothing beyond it: whoever speaks waits for the answer.
func receive(conn net.Conn) (line, error) {
	conn.SetReadDeadline(time.Now().Add(lineLimit))
	var text []byte
	one := make([]byte, 1)
	for len(text) < maxLine {
		if _, err := io.ReadFull(conn, one); err != nil {
			return line{}, err
		}
		if one[0] == '\n' {
			return parseLine(text)
		}
		text = append(text, one[0])
	}
	return line{}, errLong
}

var errLong = fmt.Errorf("the other side sent a line of more than %d bytes", maxLine)

// parseLine makes what a peer wrote fit for a report.
func parseLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(bytes.TrimSpace(text), &l); err != nil {
		return line{}, errors.New("the other side sent something that check does not understand")
	}
	l.Version = short(l.Version)
	if l.Seen != nil {
		for _, s := range []*string{&l.Seen.Address, &l.Seen.Certificate, &l.Seen.Channel, &l.Seen.Name} {
			*s = short(*s)
		}
	}
	return l, nil
}

func short(text string) string {
	const most = 800
	if len(text) > most {
		text = text[:most]
	}
	return report.Clean(text)
}
