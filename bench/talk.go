package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// What two benches say to each other. The one that connects says on its first
// connection, through TLS, one line of JSON for each thing it wants (a request) and gets
// one for an answer (a reply). After it said that it begins something, it opens
// connections for the data, each headed by a line with the token of the session: through TLS, or,
// to measure the network alone, in the clear. What comes in the clear is counted and dropped.

// The things that are wanted.
const (
	opHello    = "hello"
	opTransfer = "transfer"
	opData     = "data" // a connection for data
	opDone     = "done" // with what was begun last; the reply tells what it took
)

type request struct {
	Op    string `json:"op"`
	Token string `json:"token,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`
	Files int    `json:"files,omitempty"`
}

type reply struct {
	Error   string `json:"error,omitempty"`
	Version string `json:"version,omitempty"`
	Token   string `json:"token,omitempty"`
	CPUs    int    `json:"cpus,omitempty"`
	Dir     string `json:"dir,omitempty"` // kind of file system that is written to; "": nothing is written

	CPU     float64 `json:"cpu,omitempty"`     // seconds since the last but one reply
	Peak    int64   `json:"peak,omitempty"`    // bytes of memory so far
	Seconds float64 `json:"seconds,omitempty"` // of writing
}

// maxTalk bounds a line.
const maxTalk = 4096

// talkLimit is how long one line may take.
const talkLimit = 30 * time.Second

func sendLine(conn net.Conn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	conn.SetWriteDeadline(time.Now().Add(talkLimit))
	defer conn.SetWriteDeadline(time.Time{})
	_, err = conn.Write(append(b, '\n'))
	return err
}

// receiveLine reads a line and not a byte further. limit 0: as long as it takes.
func receiveLine(conn net.Conn, v any, limit time.Duration) error {
	if limit > 0 {
		conn.SetReadDeadline(time.Now().Add(limit))
		defer conn.SetReadDeadline(time.Time{})
	}
	var line []byte
	for b := make([]byte, 1); ; {
		if _, err := io.ReadFull(conn, b); err != nil {
			return err
		}
		if b[0] == '\n' {
			break
		}
		if line = append(line, b[0]); len(line) > maxTalk {
			return errors.New("the other end sends a line that is too long")
		}
	}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("the other end sends no line of a bench: %w", err)
	}
	return nil
}

// ownUse is what this process has taken so far.
func ownUse() (Use, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Use{}, err
	}
	status, err := os.ReadFile("/proc/self/status")
	return Use{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Peak: vmHWM(status)}, err
}
