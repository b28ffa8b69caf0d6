package wire

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const captures = "../../testdata/captures"

// Every recorded session of real peers is read to its last byte: handshake, binary setup, frames. What is in the frames must
// be what the golden file says, which was made without our code; see the README of the captures.
func TestCapturesDemultiplexToTheLastByte(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join(captures, "demux.golden"))
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(captures, "*.c2s"))
	if err != nil || len(names) != 90 {
		t.Fatalf("%d captures, %v", len(names), err)
	}
	split := map[string]func(io.Reader) io.Reader{
		"in whole":                func(r io.Reader) io.Reader { return r },
		"byte by byte":            iotest.OneByteReader,
		"EOF with the last bytes": iotest.DataErrReader,
	}
	for how, wrap := range split {
		t.Run(how, func(t *testing.T) {
			got := "# What is inside the frames of every capture: see README.md.\n"
			for _, path := range names {
				path = strings.TrimSuffix(path, ".c2s")
				text, err := replay(path, wrap)
				if err != nil {
					t.Errorf("%s: %v", filepath.Base(path), err)
				}
				got += text
			}
			if d := cmp.Diff(strings.Split(string(golden), "\n"), strings.Split(got, "\n")); d != "" {
				t.Error(d)
			}
		})
	}
}

// replay reads both directions of a capture and describes the frames.
func replay(path string, wrap func(io.Reader) io.Reader) (string, error) {
	c2s, err := os.ReadFile(path + ".c2s")
	if err != nil {
		return "", err
	}
	s2c, err := os.ReadFile(path + ".s2c")
	if err != nil {
		return "", err
	}
	c, s := NewReader(wrap(bytes.NewReader(c2s))), NewReader(wrap(bytes.NewReader(s2c)))
	defer c.Release()
	defer s.Release()
	proto, err := handshake(c, s)
	if err != nil {
		return "", fmt.Errorf("handshake: %w", err)
	}
	name := filepath.Base(path)
	client, err := describe(c, proto, len(c2s))
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	server, err := describe(s, proto, len(s2c))
	if err != nil {
		return "", fmt.Errorf("server: %w", err)
	}
	return name + ".c2s " + client + name + ".s2c " + server, nil
}

// handshake reads all that comes before the frames. The protocol is 0 if the server ended the session before them.
func handshake(c, s *Reader) (proto int, err error) {
	var greetings [2]Greeting
	for i, r := range []*Reader{c, s} {
		line, err := r.Line(MaxLine)
		if err != nil {
			return 0, err
		}
		if greetings[i], err = ParseGreeting(line); err != nil {
			return 0, err
		}
	}
	if proto, err = Negotiate(greetings[0], greetings[1]); err != nil {
		return 0, err
	}
	module, err := c.Line(MaxLine)
	if size, early := strings.CutPrefix(module, "#early_input="); early {
		n, _ := strconv.Atoi(size)
		if err := c.Full(make([]byte, n)); err != nil {
			return 0, err
		}
		_, err = c.Line(MaxLine)
	}
	if err != nil {
		return 0, err
	}
	for {
		line, err := s.Line(MaxLine)
		switch {
		case err != nil:
			return 0, err
		case line == "@RSYNCD: OK":
			return proto, setup(c, s)
		case strings.HasPrefix(line, "@RSYNCD: AUTHREQD "):
			if _, err := c.Line(MaxLine); err != nil {
				return 0, err
			}
		case line == "@RSYNCD: EXIT", strings.HasPrefix(line, "@ERROR"):
			return 0, nil
		}
	}
}

// setup reads the arguments and the binary items up to the seed.
func setup(c, s *Reader) error {
	args, err := c.Args()
	if err != nil {
		return err
	}
	letters, _, _ := strings.Cut(args[1], "e")
	if strings.Contains(letters, "s") {
		if args, err = c.Args(); err != nil {
			return err
		}
	}
	all := strings.Join(args, " ")
	flags, err := s.Varint()
	if err != nil {
		return err
	}
	var lists int
	if flags&CompatVarintFlistFlags != 0 && !strings.Contains(all, "--checksum-choice") {
		lists++
	}
	if flags&CompatVarintFlistFlags != 0 && strings.Contains(letters, "z") &&
		!strings.Contains(all, "--compress-choice") && !strings.Contains(all, "-compress ") {
		lists++
	}
	for range lists {
		for _, r := range []*Reader{c, s} {
			names, err := r.VString(MaxNegotiation)
			if err != nil {
				return err
			}
			if !strings.Contains(names, "md5") && !strings.Contains(names, "zlib") {
				return fmt.Errorf("names %q", names)
			}
		}
	}
	_, err = s.Int()
	return err
}

// describe reads frames to the end of input and tells what was in them, in the words of the golden file.
func describe(r *Reader, proto, size int) (string, error) {
	if proto == 0 {
		if _, err := r.Byte(); err != io.EOF {
			return "", fmt.Errorf("more input behind a session that ended in the handshake: %v", err)
		}
		return "no frames\n", nil
	}
	start := int(r.Count()) - (r.w - r.r)
	var messages strings.Builder
	r.StartMux(proto, func(m Message) error {
		payload := fmt.Sprintf("%x", m.Data)
		if payload == "" {
			payload = "-"
		}
		fmt.Fprintf(&messages, "  %d %s\n", m.Tag, payload)
		return nil
	})
	data := md5.New()
	var n int
	for {
		p, err := r.Next(1000)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		data.Write(p)
		n += len(p)
	}
	if int(r.Count()) != size {
		return "", fmt.Errorf("%d of %d bytes read", r.Count(), size)
	}
	return fmt.Sprintf("frames from %d, %d bytes of data, md5 %x\n%s", start, n, data.Sum(nil), messages.String()), nil
}
